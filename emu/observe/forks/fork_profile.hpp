// Owns: a fork profile: what the stops of a kernel's fork are, by its functions, and where its current process is
// found. Callers: sessions read it from TOML (emu/session/profiles), reports show its names. Promises: plain data; a
// stop that a profile does not know has no function, never a wrong one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emu/observe/forks/fork_record.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

// A place in the profile's file, from 1.
struct ProfilePlace {
    u32 line = 0, column = 0;
};

struct ProfileFunction {
    std::string name; // in the kernel, or "program:name"
    ProfilePlace place;
};

struct ProfileStop {
    std::string number; // "0", "1", "1b", "2", "2b", "3", "4", "5", or "F" for the later fault
    u32 id = 0;         // of its tracepoint, where a guest states it
    ProfilePlace place;
    // Where it begins: at the entry of any of these. A kernel need not have all of them.
    std::vector<ProfileFunction> functions;
    std::string original; // what the system's own source calls it, for people
};

struct ForkProfile {
    std::string name;   // as --os and --profile take it
    std::string file;   // where it was read, for messages
    std::string system; // as people write it
    // C, as `print` has it. Empty: unknown.
    std::string pid;  // of the current process
    std::string root; // what CR3 holds while it runs, or where the kernel has that mapped
    ProfilePlace pid_place, root_place;
    std::vector<ProfileStop> stops; // in the order in which the system goes

    // Empty where the profile does not know the stop.
    std::string_view functions_at(std::string_view stop) const;
};

// Where the source states a stop: the innermost function around it that is not merely the writing
// of the tracepoint. Without a symbol where nobody knows.
Location stop_location(const ForkStop& stop, const Symbolizer& symbols);

} // namespace forkscope
