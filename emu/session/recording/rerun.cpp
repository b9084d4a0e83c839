#include "emu/session/recording/rerun.hpp"

#include "cpu/engine/translator/translator_factory.hpp"
#include "emu/files/code_memory.hpp"

namespace forkscope {

InputLog inputs_from(const Recording& recording, u64 first) {
    const auto& all = recording.inputs();
    return InputLog({all.begin() + static_cast<std::ptrdiff_t>(std::min<u64>(first, all.size())), all.end()});
}

Result<Rerun> Rerun::create(const Recording& recording, EngineKind engine) {
    MachineConfig config = recording.machine();
    config.engine = engine;
    config.translator = translator_factory(map_code_memory);
    auto machine = Machine::create(std::move(config));
    if (!machine.ok())
        return machine.error();
    Rerun rerun(recording, std::move(machine).value());
    if (auto begun = rerun.begin_at(nullptr); !begun.ok())
        return begun.error();
    return rerun;
}

Result<void> Rerun::begin_at(const Recording::Checkpoint* checkpoint) {
    if (checkpoint == nullptr && recording_->beginning() == Position{}) {
        MachineConfig config = machine_->config();
        machine_.reset(); // never two of them in memory
        auto fresh = Machine::create(std::move(config));
        if (!fresh.ok())
            return fresh.error();
        machine_ = std::move(fresh).value();
        machine_->replay(inputs_from(*recording_, 0));
        return {};
    }
    checkpoint = checkpoint != nullptr ? checkpoint : recording_->checkpoint_before(recording_->beginning());
    if (checkpoint == nullptr)
        return Error{"the checkpoint at its beginning is damaged: nothing can be re-executed"};
    auto state = recording_->state(*checkpoint);
    if (!state.ok())
        return state.error();
    return begin_at(*state);
}

Result<void> Rerun::begin_at(const SnapshotSource& state) {
    if (auto restored = machine_->restore(state); !restored.ok())
        return restored;
    machine_->replay(inputs_from(*recording_, machine_->inputs().events().size()));
    return {};
}

// False: nothing moved.
bool Rerun::advance(const RunLimit& limit) {
    const Position before = machine_->position();
    const StopReason reason = machine_->run(limit);
    return machine_->position() != before || reason.kind == StopKind::Exit || reason.kind == StopKind::Requested;
}

// At one count of instructions time tells moments apart.
bool Rerun::run_to(Position target) {
    while (machine_->position() < target) {
        RunLimit limit;
        if (machine_->instructions() < target.instructions)
            limit.instructions = target.instructions;
        else
            limit.cycle = target.cycle;
        if (!advance(limit))
            return false;
    }
    return machine_->position() == target;
}

void Rerun::run_to_instruction(u64 instructions, Position end) {
    while (machine_->instructions() < instructions && machine_->position() < end)
        if (!advance({end.cycle, instructions}))
            return;
}

} // namespace forkscope
