// Owns: Choices, what a person has told the views to look at: an address, a process, two spaces, an earlier moment.
// Callers: observe() reads them; both faces keep one, and give it the words after `show`. Promises: plain data; any
// words get an answer, and words that are not understood change nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emu/session/session.hpp"

namespace forkscope {

// A space as it was, to be compared with what it is.
struct ThenSpace {
    Position at;
    u32 space = 0;
    PageTableView table;
};

struct Choices {
    // Of an address space: a process goes through several, if it calls exec.
    struct Space {
        u32 pid = 0, root = 0; // pid 0: the space alone
        u32 now(const ForkTracer* tracer) const;
    };
    struct Memory {
        u64 address = 0;
        bool physical = false;
        std::optional<Space> space; // else the one followed, or the one loaded
    };

    std::optional<Memory> memory;  // else what the stack pointer points to
    std::optional<u32> code;       // else what runs next
    bool tracepoints = true;       // their instructions are listed
    std::optional<Space> followed; // process: its tables and memory, whoever runs
    std::optional<std::pair<Space, Space>> spaces;
    std::shared_ptr<const ThenSpace> then;
    std::size_t stack_row = 0;        // whose variables are shown
    std::vector<std::string> printed; // expressions, beside them
};

// The words after `show`. What is to be seen now, in words; Error: what was not understood, and what would be.
Result<std::string> choose(Choices& choices, std::string_view words, Session& session);

struct ChoiceHelp {
    std::string_view words, text;
};
std::span<const ChoiceHelp> choice_help();

} // namespace forkscope
