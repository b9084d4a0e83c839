#include "clock_oracle.hpp"

#include <algorithm>

namespace forkscope::test {

namespace {

u32 bits(u64 x) { // ceil(log2 x), 0 for x <= 1
    u32 b = 0;
    while ((u64{1} << b) < x)
        ++b;
    return b;
}

struct Found {
    u32 place, passed; // the bit, and the zero bits before it in the scan's order
};
Found scan(u32 value, u32 width, bool reverse) {
    Found found{reverse ? width - 1 : 0, 0};
    while ((value >> found.place & 1) == 0) {
        found.place += reverse ? -1u : 1u;
        ++found.passed;
    }
    return found;
}

u32 scan_clocks(const ClockCell& cell, u32 chosen, u32 value, u32 width, bool reverse) {
    if (value == 0)
        return chosen;
    const Found found = scan(value, width, reverse);
    const u32 byte = found.place / 8, nibble = found.place % 8 / 4, bit = found.place % 4;
    switch (cell.rule) {
    case ClockRule::BitScan:
        return chosen + cell.step * found.passed;
    case ClockRule::BitScanNibbles:
        return chosen + 2 + 4 * (byte + 1) + 3 * (nibble + 1) + 3 * (bit + 1);
    case ClockRule::BitScanPlaces:
        return chosen + cell.step * (found.passed + 1);
    default:
        return chosen + 1 + cell.step * (32 - found.place);
    }
}

} // namespace

const ClockCell& cell_of(const ClockRow& row, CpuModel model) {
    return model == CpuModel::I386 ? row.i386 : model == CpuModel::I486 ? row.i486 : row.pentium;
}

u32 rule_clocks(const ClockCell& cell, CpuModel model, const Instruction& in, const Circumstance& with) {
    const u32 chosen = in.has_memory() ? cell.mem : cell.reg;
    const u32 components = model == CpuModel::I386 ? 1 : 0; // CLD follows
    switch (cell.rule) {
    case ClockRule::Absent:
        return 0;
    case ClockRule::Fixed:
        return chosen;
    case ClockRule::Jump:
        return chosen + components;
    case ClockRule::Branch:
        return with.holds ? cell.mem + components : cell.reg;
    case ClockRule::Width:
        return in.operand_size == 2 ? chosen : cell.step + chosen - cell.reg;
    case ClockRule::Condition:
        return with.holds ? chosen : in.has_memory() ? cell.mem + cell.step : cell.reg - cell.step;
    case ClockRule::Exchange:
        return with.holds || !in.has_memory() ? chosen : cell.mem + cell.step;
    case ClockRule::Multiply:
        return chosen + std::max(3u, bits(with.multiplier));
    case ClockRule::MultiplySigned:
        return chosen + std::max(with.negative ? 5u : 3u, bits(with.multiplier));
    case ClockRule::BitScan:
    case ClockRule::BitScanNibbles:
    case ClockRule::BitScanPlaces:
    case ClockRule::BitScanPlaces1:
        return scan_clocks(cell, chosen, with.multiplier, in.operand_size * 8u, form_at(in.form).mnemonic == "bsr");
    case ClockRule::RotateCarry:
        return with.count == 0 ? chosen : chosen + cell.step * (with.count - 1) / 30;
    case ClockRule::Enter:
    case ClockRule::EnterLess: {
        const u32 level = in.immediate2;
        const u32 less = cell.rule == ClockRule::EnterLess ? 1 : 0;
        return level == 0 ? cell.reg : level == 1 ? cell.mem : cell.mem + cell.step * level - less;
    }
    case ClockRule::Repeat:
    case ClockRule::RepeatMove:
    case ClockRule::RepeatPort:
        return in.repeats() ? cell.mem + cell.step * with.count : cell.reg;
    case ClockRule::ControlRegister:
        return in.reg == 2 ? cell.mem : in.reg == 3 ? cell.step : cell.reg;
    case ClockRule::DebugRegister:
        return in.reg < 4 ? cell.reg : cell.mem;
    }
    return 0;
}

} // namespace forkscope::test
