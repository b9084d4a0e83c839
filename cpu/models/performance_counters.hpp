// Owns: what the guest's performance counters may count, and which event number of which model means what.
// Callers: the Cpu keeps the counts; RDPMC, RDMSR and WRMSR ask. Promises: an event that is not in the table counts
// nothing; every count is the same on every engine.
#pragma once

#include "cpu/models/model.hpp"

namespace forkscope {

enum class Counted : u8 {
    Nothing,
    UnhaltedCycles,
    Instructions,
    DataTlbMisses,
    CodeTlbMisses,
    Interrupts,      // INTR and NMI taken
    Branches,        // near ones; where the clock foretells them
    Mispredictions,  // likewise
    DataCacheMisses, // reads; where the clock has caches
    CodeCacheMisses,
    Misaligned, // where the clock charges them
};

// What a counter is set to.
struct CounterSetting {
    Counted counted = Counted::Nothing;
    bool user = false, supervisor = false; // at which privilege

    bool counts(u8 cpl) const { return counted != Counted::Nothing && (cpl == 3 ? user : supervisor); }
};

// The P6's EVNTSEL0 (with the enable bit for both) and EVNTSEL1; the Pentium's CESR. `number` is 0 or 1.
CounterSetting counter_setting(CpuModel model, u64 select0, u64 select1, u32 number);

} // namespace forkscope
