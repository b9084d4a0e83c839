#include "cost_oracle.hpp"

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

u32 scan_clocks(const Latency& cell, u32 chosen, u32 value, u32 width) {
    if (value == 0)
        return chosen;
    const bool reverse = cell.rule != LatencyRule::BitScan && cell.rule != LatencyRule::BitScanNibbles;
    const Found found = scan(value, width, reverse);
    const u32 byte = found.place / 8, nibble = found.place % 8 / 4, bit = found.place % 4;
    switch (cell.rule) {
    case LatencyRule::BitScan:
    case LatencyRule::BitScanReverse:
        return chosen + cell.step * found.passed;
    case LatencyRule::BitScanNibbles:
        return chosen + 2 + 4 * (byte + 1) + 3 * (nibble + 1) + 3 * (bit + 1);
    case LatencyRule::BitScanPlaces:
        return chosen + cell.step * (found.passed + 1);
    default:
        return chosen + 1 + cell.step * (32 - found.place);
    }
}

} // namespace

const Latency& cell_of(const LatencyRow& row, CpuModel model) {
    return model == CpuModel::I386 ? row.i386 : model == CpuModel::I486 ? row.i486 : row.pentium;
}

u32 rule_clocks(const Latency& cell, CpuModel model, const Instruction& in, const Circumstance& with) {
    const u32 chosen = in.has_memory() ? cell.mem : cell.reg;
    const u32 components = model == CpuModel::I386 ? 1 : 0; // CLD follows
    switch (cell.rule) {
    case LatencyRule::Absent:
        return 0;
    case LatencyRule::Fixed:
        return chosen;
    case LatencyRule::Jump:
        return chosen + components;
    case LatencyRule::Branch:
        return with.holds ? cell.mem + components : cell.reg;
    case LatencyRule::Width:
        return in.operand_size == 2 ? chosen : cell.step + chosen - cell.reg;
    case LatencyRule::Condition:
        return with.holds ? chosen : in.has_memory() ? cell.mem + cell.step : cell.reg - cell.step;
    case LatencyRule::Exchange:
        return with.holds || !in.has_memory() ? chosen : cell.mem + cell.step;
    case LatencyRule::Multiply:
    case LatencyRule::MultiplySigned:
        return chosen + std::max(3u, bits(with.multiplier));
    case LatencyRule::MultiplySigned5:
        return chosen + std::max(with.negative ? 5u : 3u, bits(with.multiplier));
    case LatencyRule::BitScan:
    case LatencyRule::BitScanReverse:
    case LatencyRule::BitScanNibbles:
    case LatencyRule::BitScanPlaces:
    case LatencyRule::BitScanPlaces1:
        return scan_clocks(cell, chosen, with.multiplier, in.operand_size * 8u);
    case LatencyRule::RotateCarry:
        return with.count == 0 ? chosen : chosen + cell.step * (with.count - 1) / 30;
    case LatencyRule::Enter:
    case LatencyRule::EnterLess: {
        const u32 level = in.immediate2;
        const u32 less = cell.rule == LatencyRule::EnterLess ? 1 : 0;
        return level == 0 ? cell.reg : level == 1 ? cell.mem : cell.mem + cell.step * level - less;
    }
    case LatencyRule::Repeat:
    case LatencyRule::RepeatMove:
    case LatencyRule::RepeatPort:
        return in.repeats() ? cell.mem + cell.step * with.count : cell.reg;
    case LatencyRule::ControlRegister:
        return in.reg == 2 ? cell.mem : in.reg == 3 ? cell.step : cell.reg;
    case LatencyRule::DebugRegister:
        return in.reg < 4 ? cell.reg : cell.mem;
    }
    return 0;
}

} // namespace forkscope::test
