// Owns: Rerun, a machine that does again what was recorded.
// Callers: replay, tests. Promises: goes to any position of the run, by its inputs and nothing else; says where it
// cannot get to a position that the recording has.
#pragma once

#include <memory>

#include "emu/machine/machine.hpp"
#include "emu/session/recording/recording.hpp"

namespace forkscope {

class Rerun {
  public:
    // At power-on, or at the recording's beginning if that is later. The recording outlives it.
    static Result<Rerun> create(const Recording& recording, EngineKind engine);

    Machine& machine() { return *machine_; }
    // To a checkpoint; nullptr: the beginning. Error: it is damaged.
    Result<void> begin_at(const Recording::Checkpoint* checkpoint);
    // To a state of this recording, and the inputs that come then.
    Result<void> begin_at(const SnapshotSource& state);
    // Forwards. False: the run never gets to that position.
    bool run_to(Position target);
    // To a count of instructions, or to `end` if that is sooner.
    void run_to_instruction(u64 instructions, Position end);

  private:
    Rerun(const Recording& recording, std::unique_ptr<Machine> machine)
        : recording_(&recording), machine_(std::move(machine)) {}
    bool advance(const RunLimit& limit);

    const Recording* recording_;
    std::unique_ptr<Machine> machine_;
};

// Inputs from the given one on.
InputLog inputs_from(const Recording& recording, u64 first);

} // namespace forkscope
