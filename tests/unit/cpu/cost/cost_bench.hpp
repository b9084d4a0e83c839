// Owns: CostBench, which measures what one instruction costs on a --clock: cycles of lead(), instruction, filler less
// those of the fillers alone, once everything that warms up is warm. Callers: tests of the clock models.
// Promises: the filler (CLD) pairs with nothing, writes no general register and has one component; behind lead() of
// them the 386's prefetch queue is full.
#pragma once

#include <functional>

#include "tests/unit/cpu/code_runner.hpp"

namespace forkscope::test {

enum class BenchMode : u8 { Real, Protected, Virtual8086 };

class CostBench {
  public:
    static constexpr u32 kData = 0x8000, kSource = 0x8400, kTarget = 0x8800; // EBX, ESI, EDI
    static constexpr u32 kAway = 0x43;                                       // where jumps go, from CS:start
    static constexpr u16 kRealCode = 0x1000;                                 // CS in real mode

    CostBench(CpuModel model, CostModelKind kind = CostModelKind::Model, Way way = {EngineKind::Block, true});

    // Resets the processor and enters the mode: registers and memory as every instruction can do with.
    void enter(BenchMode mode, u8 cpl = 0);
    u32 away() const { return mode_ == BenchMode::Protected ? CodeRunner::kStart + kAway : kAway; }
    // Fillers before the instruction.
    u32 lead() const { return runner.cpu.cost_model().queues() ? 12 : 1; }
    // Runs lead() fillers, `bytes`, filler from CS:start with the registers of `runner.edit()` as they stand, twice to
    // warm up and once to measure. Also ends where it comes to the filler at away(), or at that of a vector's handler.
    Cycles cost(const std::vector<u8>& bytes);
    Cycles cost(std::initializer_list<int> bytes) { return cost(std::vector<u8>(bytes.begin(), bytes.end())); }
    // Of what is delivered instead of the first filler, and ends in a handler.
    Cycles cost_of_delivery() { return cost({}) + fillers_ - filler_; }
    // Of a run that ends in HLT; the halting itself costs nothing.
    Cycles cost_of_halting();
    // Done before each of the three runs, for memory that the instruction changes.
    std::function<void()> before_each;

    CodeRunner runner;

  private:
    Cycles run_once(const CpuState& start);
    void set_ends(u32 last);

    BenchMode mode_ = BenchMode::Real;
    CpuModel model_;
    CostModelKind kind_;
    Cycles fillers_ = 0; // of lead() and one more
    Cycles filler_ = 0;  // of one
};

} // namespace forkscope::test
