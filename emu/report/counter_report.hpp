// Owns: the machine's counters as people read them: cycles by cause, the TLB's and the walker's work, flushes by cause;
// accesses that nothing answered. Callers: the program's `--info counters` and `unmapped`. Promises: looks only.
#pragma once

#include <functional>
#include <string>

#include "emu/base/trace_vocabulary.hpp"
#include "emu/observe/faults/unmapped_touches.hpp"
#include "emu/report/document.hpp"
#include "mmu/mmu.hpp"

namespace forkscope {

// What the CPU counts; the program fills it in.
struct CpuCounts {
    u64 instructions = 0;
    Cycles cycles = 0, halted_cycles = 0;
    CycleCounters by_cause{};
    u64 interrupts = 0;
    u64 branches = 0, mispredictions = 0; // where the clock foretells branches
    u64 data_cache_misses = 0, code_cache_misses = 0;
    u64 misaligned_accesses = 0;
};

Document counter_document(const CpuCounts& cpu, const Mmu& mmu);
// A row a port or page, in the order of the first touches. `name` says what lies at a linear address of a space.
Document unmapped_document(const UnmappedTouches::State& touches,
                           const std::function<std::string(u32 space, u32 address)>& name);

} // namespace forkscope
