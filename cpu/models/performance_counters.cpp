#include "cpu/models/performance_counters.hpp"

namespace forkscope {

namespace {

struct EventRow {
    u8 number;
    Counted counted;
};

// SDM 3B, table 19-38.
constexpr EventRow kPentiumEvents[] = {
    {0x02, Counted::DataTlbMisses},  {0x03, Counted::DataCacheMisses}, {0x0B, Counted::Misaligned},
    {0x0D, Counted::CodeTlbMisses},  {0x0E, Counted::CodeCacheMisses}, {0x12, Counted::Branches},
    {0x15, Counted::Mispredictions}, {0x16, Counted::Instructions},    {0x27, Counted::Interrupts},
};
// SDM 3B, table 19-37.
constexpr EventRow kP6Events[] = {
    {0x45, Counted::DataCacheMisses}, {0x79, Counted::UnhaltedCycles}, {0x81, Counted::CodeCacheMisses},
    {0x85, Counted::CodeTlbMisses},   {0xC0, Counted::Instructions},   {0xC4, Counted::Branches},
    {0xC5, Counted::Mispredictions},  {0xC8, Counted::Interrupts},
};

template <std::size_t kCount> Counted find(const EventRow (&rows)[kCount], u64 number) {
    for (const EventRow& row : rows) {
        if (row.number == number)
            return row.counted;
    }
    return Counted::Nothing;
}

// SDM 3B 18.6.9.1: event in bits 5:0, how it is counted in 8:6; the second counter's 16 bits higher.
CounterSetting pentium_setting(u64 cesr, u32 number) {
    const u64 field = cesr >> (16 * number);
    CounterSetting setting;
    setting.counted = (field & 0x100) != 0 ? Counted::UnhaltedCycles : find(kPentiumEvents, field & 0x3F);
    setting.supervisor = (field & 0x40) != 0;
    setting.user = (field & 0x80) != 0;
    return setting;
}

// SDM 3B 18.6.8: event in bits 7:0, USR 16, OS 17, EN 22 of the first for both.
CounterSetting p6_setting(u64 select, u64 select0) {
    CounterSetting setting;
    if ((select0 & 1u << 22) == 0)
        return setting;
    setting.counted = find(kP6Events, select & 0xFF);
    setting.user = (select & 1u << 16) != 0;
    setting.supervisor = (select & 1u << 17) != 0;
    return setting;
}

} // namespace

CounterSetting counter_setting(CpuModel model, u64 select0, u64 select1, u32 number) {
    if (model == CpuModel::Pentium)
        return pentium_setting(select0, number);
    if (model == CpuModel::P6)
        return p6_setting(number == 0 ? select0 : select1, select0);
    return {};
}

} // namespace forkscope
