// A machine in any mode runs any code in both engines: neither crashes or hangs, and both come to the same state.
#include <map>
#include <memory>

#include <fmt/format.h>

#include "machine_scene.hpp"

namespace forkscope::fuzz {

namespace {

constexpr u64 kRam = u64{2} << 20;
constexpr u32 kSlices = 6;
constexpr u64 kSliceInstructions = 200;
constexpr Cycles kSliceCycles = 4000;

enum Option : u8 { kSlowTable = 1, kForgetful = 2, kSnapshots = 4 };

// Made once and set back for each input: a snapshot decides the whole state, so nothing of an input may stay behind.
class Stage {
  public:
    Stage(EngineKind engine, CpuModel model) {
        MachineConfig config;
        config.cpu = model;
        config.ram_bytes = kRam;
        config.engine = engine;
        auto made = Machine::create(std::move(config));
        if (!made.ok())
            report("no machine of 2 MB can be made");
        machine_ = std::move(made).value();
        pristine_ = machine_->snapshot();
    }

    Machine& set(bool fast_table, const MachineScene& scene) {
        if (!machine_->restore(pristine_).ok())
            report("a machine's own snapshot does not load");
        machine_->mmu().set_fast_table(fast_table);
        scene.apply(*machine_);
        return *machine_;
    }

  private:
    std::unique_ptr<Machine> machine_;
    Snapshot pristine_;
};

Stage& stage(EngineKind engine, CpuModel model) {
    static std::map<std::pair<EngineKind, CpuModel>, std::unique_ptr<Stage>> stages;
    std::unique_ptr<Stage>& one = stages[{engine, model}];
    if (one == nullptr)
        one = std::make_unique<Stage>(engine, model);
    return *one;
}

void disturb(Machine& machine, u8 options) {
    if ((options & kForgetful) != 0)
        machine.forget_derived_state();
    if ((options & kSnapshots) != 0 && !machine.restore(machine.snapshot()).ok())
        report("a machine's own snapshot does not load");
}

} // namespace

void machine(std::span<const u8> input) {
    InputReader reader(input);
    const u8 options = reader.take<u8>();
    const MachineScene scene(reader);
    Machine& reference = stage(EngineKind::Interpreter, scene.model()).set(true, scene);
    Machine& block = stage(EngineKind::Block, scene.model()).set((options & kSlowTable) == 0, scene);
    if (reference.hash() != block.hash())
        report("two machines of one scene start differently");
    for (u32 slice = 1; slice <= kSlices; ++slice) {
        // Odd ends, so that blocks are left in their middle.
        const RunLimit limit{reference.now() + kSliceCycles,
                             reference.instructions() + kSliceInstructions + (options >> 3)};
        const StopKind expected = reference.run(limit).kind;
        const StopKind cause = block.run(limit).kind;
        if (expected != cause || reference.now() != block.now() || reference.instructions() != block.instructions())
            report(
                fmt::format("the engines stop differently in slice {}: interpreter {} at {} cycles, {} instructions; "
                            "blocks {} at {} cycles, {} instructions",
                            slice, static_cast<int>(expected), reference.now(), reference.instructions(),
                            static_cast<int>(cause), block.now(), block.instructions())
                    .c_str());
        const bool hashed = slice == 1 || slice == kSlices || cause != StopKind::Limit; // most of the time goes there
        if (hashed && reference.hash() != block.hash())
            report(
                fmt::format("the engines differ after slice {}, {} instructions", slice, block.instructions()).c_str());
        if (cause != StopKind::Limit)
            return;
        if (slice == 1)
            disturb(block, options);
    }
}

} // namespace forkscope::fuzz
