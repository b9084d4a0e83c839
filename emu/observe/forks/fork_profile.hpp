// Owns: the names that a system's own source gives to the stops of its fork.
// Callers: reports, cli. Promises: plain data, so that a profile of a foreign kernel may come from a file one day; a
// stop that a profile does not know has no function, never a wrong one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emu/observe/forks/fork_record.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

// One stop: "0", "1", "1b", "2", "2b", "3", "4", "5", or "F" for the later fault.
struct StopFunctions {
    std::string stop;
    std::string functions; // the original's, the first one first
};

struct ForkProfile {
    std::string name;   // as --os takes it
    std::string system; // as people write it
    std::vector<StopFunctions> stops;

    // Empty where the profile does not know the stop.
    std::string_view functions_at(std::string_view stop) const;
};

// The built-in guest's. nullptr: there is none of that name.
const ForkProfile* find_fork_profile(std::string_view name);

// Where the source states a stop: the innermost function around it that is not merely the writing
// of the tracepoint. Without a symbol where nobody knows.
Location stop_location(const ForkStop& stop, const Symbolizer& symbols);

} // namespace forkscope
