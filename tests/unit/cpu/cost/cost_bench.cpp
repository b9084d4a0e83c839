#include "cost_bench.hpp"

#include <gtest/gtest.h>

namespace forkscope::test {

namespace {
constexpr u8 kFiller = 0xFC; // CLD
constexpr u32 kFillers = CodeRunner::kStart + 0x800;
constexpr u8 kVectors[] = {kDebugException, kBreakpoint, kOverflow, kPageFault};
} // namespace

CostBench::CostBench(CpuModel model, CostModelKind kind, Way way) : runner(way, model), model_(model), kind_(kind) {
    before_each = [] {};
}

// Where a measured run stops: behind `last`, and behind the fillers that it may jump to.
void CostBench::set_ends(u32 last) {
    std::vector<u32> ends{last, CodeRunner::kStart + kAway + 1};
    for (const u8 vector : kVectors)
        ends.push_back(CodeRunner::handler_at(vector) + 1);
    runner.cpu.set_breakpoints(ends);
}

void CostBench::enter(BenchMode mode, u8 cpl) {
    mode_ = mode;
    runner.cpu.set_model(model_, kind_);
    if (mode == BenchMode::Real)
        runner.enter_real_mode();
    else if (mode == BenchMode::Protected)
        runner.enter_protected_mode(cpl);
    else
        runner.enter_virtual_8086(kFlagIopl);
    for (u32 at = kData; at < kTarget + 0x400; at += 4)
        runner.put32(at, 0);
    CpuState& state = runner.edit();
    if (runner.cpu.model().has(Feature::Sse))
        state.cr4 |= kCr4OsFxsr;
    state.x87.control = X87State::kInitialControl;
    state.set_reg<u32>(kEax, 100);
    state.set_reg<u32>(kEcx, away());
    state.set_reg<u32>(kEdx, CodeRunner::kLogPort);
    state.set_reg<u32>(kEbx, kData);
    state.set_reg<u32>(kEsi, kSource);
    state.set_reg<u32>(kEdi, kTarget);
    state.set_reg<u32>(kEbp, CodeRunner::kStack - 0x100);
    state.set_reg<u32>(kEsp, CodeRunner::kStack - 0x200);
    runner.put(CodeRunner::kStart + kAway, {kFiller});
    for (const u8 vector : kVectors)
        runner.handler(vector, {kFiller});
    runner.apply();
    const CpuState start = runner.cpu.state();
    CpuState fillers = start;
    fillers.eip += kFillers - CodeRunner::kStart;
    const auto cycles_of = [&](u32 count) {
        set_ends(runner.put(kFillers, std::vector<int>(count, kFiller)));
        runner.cpu.forget_derived_state(); // no store of the guest's put the code there
        run_once(fillers);
        return run_once(fillers);
    };
    const Cycles before = cycles_of(lead());
    fillers_ = cycles_of(lead() + 1);
    filler_ = fillers_ - before;
    runner.cpu.set_state(start);
}

Cycles CostBench::run_once(const CpuState& start) {
    before_each();
    runner.cpu.set_state(start);
    const Cycles before = runner.cpu.now();
    const CpuStop reason = runner.cpu.run_until(kNever, runner.cpu.instructions() + 10'000);
    EXPECT_TRUE(reason == CpuStop::Breakpoint || reason == CpuStop::Halted) << "it did not come to a known end";
    return runner.cpu.now() - before;
}

Cycles CostBench::cost(const std::vector<u8>& bytes) {
    std::vector<int> code(lead(), kFiller);
    code.insert(code.end(), bytes.begin(), bytes.end());
    code.push_back(kFiller);
    EXPECT_LE(code.size(), kAway);
    set_ends(runner.put(CodeRunner::kStart, code));
    runner.cpu.forget_derived_state(); // no store of the guest's put the code there
    runner.edit();
    runner.apply();
    const CpuState start = runner.cpu.state();
    run_once(start);
    run_once(start);
    const Cycles cycles = run_once(start);
    runner.cpu.set_state(start);
    EXPECT_FALSE(runner.cpu.halted()) << "it ran into a handler";
    return cycles - fillers_;
}

Cycles CostBench::cost_of_halting() {
    std::vector<int> code(lead(), kFiller);
    code.push_back(0xF4);
    runner.put(CodeRunner::kStart, code);
    runner.cpu.forget_derived_state();
    runner.edit();
    runner.apply();
    const CpuState start = runner.cpu.state();
    const Cycles cycles = run_once(start);
    return cycles - (fillers_ - filler_);
}

} // namespace forkscope::test
