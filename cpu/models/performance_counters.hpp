// Owns: which event each performance counter counts, as the guest's event selectors say.
// Callers: the Cpu keeps the counts; RDPMC, RDMSR and WRMSR ask. Promises: an event that is not in the model's table
// counts nothing; every count is the same on every engine.
#pragma once

#include "cpu/models/model.hpp"

namespace forkscope {

// What a counter is set to.
struct CounterSetting {
    Counted counted = Counted::Nothing;
    bool user = false, supervisor = false; // at which privilege

    bool counts(u8 cpl) const { return counted != Counted::Nothing && (cpl == 3 ? user : supervisor); }
};

// The P6's EVNTSEL0 (with the enable bit for both) and EVNTSEL1; the Pentium's CESR. `number` is 0 or 1.
CounterSetting counter_setting(const Model& model, u64 select0, u64 select1, u32 number);

} // namespace forkscope
