#include "cpu/models/performance_counters.hpp"

namespace forkscope {

namespace {

Counted find(const Model& model, u64 number) {
    for (const CountedEvent& event : model.events) {
        if (event.number == number)
            return event.counted;
    }
    return Counted::Nothing;
}

// SDM 3B 18.6.9.1: event in bits 5:0, how it is counted in 8:6; the second counter's 16 bits higher.
CounterSetting cesr_setting(const Model& model, u64 cesr, u32 number) {
    const u64 field = cesr >> (16 * number);
    CounterSetting setting;
    setting.counted = (field & 0x100) != 0 ? Counted::UnhaltedCycles : find(model, field & 0x3F);
    setting.supervisor = (field & 0x40) != 0;
    setting.user = (field & 0x80) != 0;
    return setting;
}

// SDM 3B 18.6.8: event in bits 7:0, USR 16, OS 17, EN 22 of the first for both.
CounterSetting per_counter_setting(const Model& model, u64 select, u64 select0) {
    CounterSetting setting;
    if ((select0 & 1u << 22) == 0)
        return setting;
    setting.counted = find(model, select & 0xFF);
    setting.user = (select & 1u << 16) != 0;
    setting.supervisor = (select & 1u << 17) != 0;
    return setting;
}

} // namespace

CounterSetting counter_setting(const Model& model, u64 select0, u64 select1, u32 number) {
    switch (model.selectors) {
    case EventSelectors::Cesr:
        return cesr_setting(model, select0, number);
    case EventSelectors::PerCounter:
        return per_counter_setting(model, number == 0 ? select0 : select1, select0);
    case EventSelectors::None:
        break;
    }
    return {};
}

} // namespace forkscope
