// Owns: replay, the proof that a recorded run can be done again; and, where it cannot, the first thing that differs.
// Callers: `forkscope replay`, tests. Promises: each recorded hash is compared; of a run that strays it says from where
// to where it was equal, which instruction or event differs first, and which fields, by name.
#pragma once

#include <string>
#include <vector>

#include "emu/session/recording/recording.hpp"
#include "emu/session/recording/rerun.hpp"

namespace forkscope {

struct ReplayResult {
    u64 instructions = 0; // done again
    std::size_t hashes = 0;
    bool interrupted = false; // by Ctrl-C
    bool equal = true;        // all that were compared
    // Where it is not equal, in lines for a person.
    std::vector<std::string> differences;
};

// Error: this program cannot do it again, or the file is damaged where the run begins.
Result<ReplayResult> replay(const Recording& recording, EngineKind engine);

// The first count of instructions behind which two machines differ that are at one state and go on to `end`, at which
// they differ; then both stand there. Error: they cannot go back to the state.
Result<u64> first_difference(Rerun& one, Rerun& other, const Snapshot& state, Position end);

} // namespace forkscope
