// The clock tables: complete, and equal to a second transcription of the sources, taken down form by form.
#include <array>
#include <bit>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/cost/latencies.hpp"
#include "cpu/decode/decoder.hpp"
#include "cpu/models/model.hpp"

namespace forkscope::test {
namespace {

constexpr CpuModel kModels[] = {CpuModel::I386, CpuModel::I486, CpuModel::Pentium};
constexpr std::string_view kModelNames[] = {"386", "486", "Pentium"};

const Latency& cell_of(const LatencyRow& row, std::size_t model) {
    return model == 0 ? row.i386 : model == 1 ? row.i486 : row.pentium;
}

bool row_covers(const LatencyRow& row, const Form& form) {
    return row.map == form.map && row.first <= form.opcode && form.opcode <= row.last &&
           (row.group == kAnyGroup || row.group == form.group);
}

bool may_be_memory(const Form& form) {
    if ((form.attributes & kRegisterOnly) != 0)
        return false;
    for (const Operand operand : form.operands) {
        if (kind_of(operand).addressed())
            return true;
    }
    return false;
}

std::string name_of(const Form& form) {
    char text[40];
    std::snprintf(text, sizeof text, "%d:%02X/%d ", form.map, form.opcode, form.group);
    return text + std::string(form.mnemonic);
}

TEST(Latencies, EveryFormHasExactlyOneRow) {
    for (u16 form = 0; form < form_count(); ++form) {
        std::size_t rows = 0;
        for (const LatencyRow& row : latency_rows())
            rows += row_covers(row, form_at(form)) ? 1 : 0;
        EXPECT_EQ(rows, 1u) << name_of(form_at(form));
        EXPECT_TRUE(row_covers(latency_row(form), form_at(form))) << name_of(form_at(form));
    }
}

TEST(Latencies, NoRowAndNoOpcodeOfARowCoversNothing) {
    for (const LatencyRow& row : latency_rows()) {
        ASSERT_LE(row.first, row.last);
        for (unsigned opcode = row.first; opcode <= row.last; ++opcode) {
            bool used = row.group == kAnyGroup && opcode != row.first;
            for (u16 form = 0; form < form_count() && !used; ++form) {
                const bool same = row.group == kAnyGroup || form_at(form).opcode == opcode;
                used = same && row_covers(row, form_at(form));
            }
            EXPECT_TRUE(used) << "map " << int{row.map} << " opcode " << opcode << " group " << row.group;
        }
    }
}

TEST(Latencies, NoCellIsZeroWhereTheModelHasTheForm) {
    for (u16 number = 0; number < form_count(); ++number) {
        const Form& form = form_at(number);
        for (std::size_t i = 0; i < std::size(kModels); ++i) {
            if (!model_of(kModels[i]).runs(form.since))
                continue;
            const Latency& cell = cell_of(latency_row(number), i);
            const std::string where = name_of(form) + " " + std::string(kModelNames[i]);
            EXPECT_NE(cell.rule, LatencyRule::Absent) << where;
            EXPECT_NE(cell.reg, 0) << where;
            EXPECT_NE(cell.mem, 0) << where;
        }
    }
}

TEST(Latencies, RowsThatAModelLacksAreMarkedAbsent) {
    for (const LatencyRow& row : latency_rows())
        for (std::size_t i = 0; i < std::size(kModels); ++i) {
            bool has = false;
            for (u16 form = 0; form < form_count(); ++form)
                has |= row_covers(row, form_at(form)) && model_of(kModels[i]).runs(form_at(form).since);
            EXPECT_EQ(cell_of(row, i).rule == LatencyRule::Absent, !has)
                << "map " << int{row.map} << " opcode " << int{row.first} << " group " << row.group;
        }
}

TEST(Latencies, RegisterFormsCostNoMoreThanMemoryForms) {
    for (u16 number = 0; number < form_count(); ++number)
        for (std::size_t i = 0; i < std::size(kModels); ++i) {
            const Latency& cell = cell_of(latency_row(number), i);
            if (cell.rule != LatencyRule::Fixed || !may_be_memory(form_at(number)))
                continue;
            const bool may = form_at(number).cost == CostClass::Float; // 486: FLD of memory is the faster one
            EXPECT_TRUE(cell.reg <= cell.mem || may) << name_of(form_at(number)) << " " << kModelNames[i];
        }
}

// Ports, far transfers and loads of segment registers cost what mode, privilege and descriptors make of them.
TEST(Latencies, OfWhatProtectionDecidesAreDecidedLate) {
    for (u16 number = 1; number < form_count(); ++number) {
        const Form& form = form_at(number);
        const Place target = kind_of(form.operands[0]).place;
        const bool segment =
            writes(form.operands[0].use) && (target == Place::Segment || target == Place::FixedSegment);
        const bool far_pointer = form.operands[1] == Operand::Mp;
        if (segment || far_pointer || form.port != Port::None || is_far(form.transfer)) {
            EXPECT_NE(latency_row(number).late.late, Late::No) << name_of(form);
        }
        if (form.port != Port::None) {
            EXPECT_EQ(latency_row(number).late.late, Late::Port) << name_of(form);
        }
    }
}

// Which of the figures of a form: that of the operand as it stands; of a branch, taken or not; of a string instruction
// with REP; of SETcc, true and false; of ENTER, the level that the bytes name; of a register by its number.
enum class Which : u8 { Form, Taken, NotTaken };

std::string range(int low, int high) { return std::to_string(low) + "-" + std::to_string(high); }
std::string plus(int start, const std::string& rest) { return std::to_string(start) + "+" + rest; }

int bits_of(const Instruction& in) {
    const Form& form = form_at(in.form);
    for (const Operand operand : form.operands)
        if (operand == Operand::Ibs)
            return 8;
    return form.operands[0] == Operand::Eb ? 8 : in.operand_size * 8;
}

std::string written_branch(const Latency& cell, bool i386, int base, Which which) {
    const int clocks = cell.rule == LatencyRule::Jump ? base : which == Which::Taken ? cell.mem : cell.reg;
    return which == Which::NotTaken || !i386 ? std::to_string(clocks) : plus(clocks, "m");
}

std::string written_register(const Latency& cell, u8 number) {
    if (cell.rule == LatencyRule::DebugRegister)
        return std::to_string(number < 4 ? cell.reg : cell.mem);
    return std::to_string(number == 2 ? cell.mem : number == 3 ? cell.step : cell.reg);
}

std::string written_enter(const Latency& cell, u16 level) {
    if (level < 2)
        return std::to_string(level == 0 ? cell.reg : cell.mem);
    return std::to_string(cell.mem + cell.step * level - (cell.rule == LatencyRule::EnterLess ? 1 : 0));
}

// A cell in the notation of the manuals, for one instruction.
std::string written(const Latency& cell, const Instruction& in, bool i386, Which which) {
    const bool memory = in.has_memory();
    const int base = memory ? cell.mem : cell.reg;
    const int bits = bits_of(in);
    switch (cell.rule) {
    case LatencyRule::Absent:
        return "-";
    case LatencyRule::Fixed:
        return std::to_string(base);
    case LatencyRule::Jump:
    case LatencyRule::Branch:
        return written_branch(cell, i386, base, which);
    case LatencyRule::Width:
        return std::to_string(in.operand_size == 4 ? cell.step + base - cell.reg : base);
    case LatencyRule::Condition:
        return std::to_string(base) + "," + std::to_string(memory ? base + cell.step : base - cell.step);
    case LatencyRule::Exchange:
        return memory ? range(base, base + cell.step) : std::to_string(base);
    case LatencyRule::Multiply:
    case LatencyRule::MultiplySigned:
    case LatencyRule::MultiplySigned5:
        return range(base + 3, base + bits);
    case LatencyRule::BitScan:
    case LatencyRule::BitScanReverse:
        return plus(base, std::to_string(cell.step) + "n");
    case LatencyRule::BitScanNibbles:
        return range(base, base + 2 + 4 * bits / 8 + 3 * 2 + 3 * 4);
    case LatencyRule::BitScanPlaces:
        return range(base, base + cell.step * bits);
    case LatencyRule::BitScanPlaces1:
        return range(base, base + 1 + cell.step * 32);
    case LatencyRule::RotateCarry:
        return range(base, base + cell.step);
    case LatencyRule::Enter:
    case LatencyRule::EnterLess:
        return written_enter(cell, in.immediate2);
    case LatencyRule::Repeat:
    case LatencyRule::RepeatMove:
    case LatencyRule::RepeatPort:
        return in.repeats() ? plus(cell.mem, cell.step == 1 ? "n" : std::to_string(cell.step) + "n")
                            : std::to_string(cell.reg);
    case LatencyRule::ControlRegister:
    case LatencyRule::DebugRegister:
        return written_register(cell, in.reg);
    }
    return "?";
}

// A line of the transcription: an instruction, what the sources say, and a ? where they are not sure of it.
struct Fact {
    std::string_view instruction;
    std::string_view bytes; // in a 32-bit segment
    std::string_view i386, i486, pentium;
    std::string_view pairing = "";
    Which which = Which::Form;
};

constexpr auto kTaken = Which::Taken;
constexpr auto kNotTaken = Which::NotTaken;
constexpr Fact kFacts[] = {
#include "tests/unit/cpu/cost/latencies_facts.inc"
};

std::vector<u8> bytes_of(std::string_view text) {
    std::vector<u8> bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 3)
        bytes.push_back(static_cast<u8>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16)));
    return bytes;
}

std::string_view pairing_name(Pairing pairing) {
    constexpr std::string_view kNames[] = {"NP", "UV", "PU", "PV", "FX", "FXCH"};
    return kNames[static_cast<std::size_t>(pairing)];
}

TEST(Latencies, AreThoseOfTheSources) {
    for (const Fact& fact : kFacts) {
        Instruction in;
        ASSERT_EQ(decode(bytes_of(fact.bytes), CodeMode{true}, in), DecodeStatus::Ok) << fact.instruction;
        const LatencyRow& row = latency_row(in.form);
        const std::string_view expected[] = {fact.i386, fact.i486, fact.pentium};
        for (std::size_t i = 0; i < std::size(kModels); ++i) {
            const Latency& cell = cell_of(row, i);
            const bool unsure = expected[i].back() == '?';
            const std::string_view text = expected[i].substr(0, expected[i].size() - (unsure ? 1 : 0));
            EXPECT_EQ(written(cell, in, i == 0, fact.which), text)
                << fact.instruction << " on " << kModelNames[i] << " (" << fact.bytes << ")";
            EXPECT_TRUE(!unsure || cell.source == LatencySource::Estimate) << fact.instruction << " must be marked [?]";
        }
        const std::string_view pairing = pairing_name(row.pairing);
        EXPECT_EQ(fact.pairing.empty() ? pairing : fact.pairing, pairing) << fact.instruction;
    }
}

struct PathFact {
    CostPath path;
    int i386, i486, pentium; // -1: the source is silent
};

constexpr PathFact kPathFacts[] = {
    {CostPath::SegmentLoadRegister, 18, 9, 3},
    {CostPath::SegmentLoadMemory, 19, 9, 3},
    {CostPath::SegmentPop, 21, 9, 3},
    {CostPath::PushFlagsProtected, 4, 3, 3},
    {CostPath::PopFlagsProtected, 5, 6, 4},
    {CostPath::CallFarProtected, 34, 20, 4},
    {CostPath::CallGateSame, 52, 35, 22},
    {CostPath::CallGateInner, 86, 69, 44},
    {CostPath::JumpFarProtected, 27, 19, 3},
    {CostPath::JumpGate, 45, 32, 18},
    {CostPath::ReturnFarProtected, 32, 17, 4},
    {CostPath::ReturnFarOuter, 68, 35, 23},
    {CostPath::SegmentLoadFar, 22, 12, 4},
    {CostPath::SegmentLoadFarExtra, 25, 12, 4},
    {CostPath::SegmentLoadFarStack, 22, 12, 8},
    {CostPath::InImmediateAllowed, 6, 9, 4},
    {CostPath::InImmediateLookedUp, 26, 29, 21},
    {CostPath::InAllowed, 7, 8, 4},
    {CostPath::InLookedUp, 27, 28, 21},
    {CostPath::OutImmediateAllowed, 4, 11, 9},
    {CostPath::OutImmediateLookedUp, 24, 31, 26},
    {CostPath::OutAllowed, 5, 10, 9},
    {CostPath::OutLookedUp, 25, 30, 26},
    {CostPath::InStringAllowed, 9, 10, -1},
    {CostPath::InStringLookedUp, 29, 32, -1},
    {CostPath::OutStringAllowed, 8, 10, -1},
    {CostPath::OutStringLookedUp, 28, 32, -1},
    {CostPath::InterruptSame, 59, 44, 25},
    {CostPath::InterruptInner, 99, 71, 42},
    {CostPath::InterruptVirtual8086, 119, 82, 54},
    {CostPath::SoftwareInterrupt, 0, 0, 6},
    {CostPath::ReturnSame, 38, 20, 10},
    {CostPath::ReturnOuter, 82, 36, 27},
    {CostPath::ReturnVirtual8086, 60, -1, 27},
    {CostPath::TaskByInterrupt, 0, 37, 17},
    {CostPath::TaskByReturn, 0, 32, 10},
    {CostPath::TaskSwitch32, 309, 162, 85},
    {CostPath::TaskSwitchVirtual8086, 226, 140, 71},
    {CostPath::TaskSwitch16, 282, 143, 87},
    {CostPath::TaskReturn32, 275, -1, -1},
    {CostPath::TaskReturnVirtual8086, 224, -1, -1},
    {CostPath::TaskReturn16, 271, -1, -1},
    {CostPath::InvalidateHit, 0, 12, 25},
    {CostPath::InvalidateMiss, 0, 11, 25},
    {CostPath::WalkClean, -1, 13, -1},
    {CostPath::WalkOneUpdate, -1, 21, -1},
    {CostPath::WalkTwoUpdates, -1, 28, -1},
    {CostPath::DescriptorUnaccessed, -1, 11, -1},
    {CostPath::Misaligned, 2, 3, 3},
    {CostPath::IndexRegister, 0, 1, 0},
    {CostPath::AddressInterlock, 0, 1, 1},
    {CostPath::DisplacementAndImmediate, 0, 1, 0},
    {CostPath::EffectiveAddress, 1, 0, 0},
    {CostPath::Prefix, 0, 1, -1},
    {CostPath::BankConflict, 0, 0, 1},
    {CostPath::MispredictedU, 0, 0, 3},
    {CostPath::MispredictedV, 0, 0, 4},
    {CostPath::RepeatNone, 5, 5, -1},
    {CostPath::RepeatMoveOnce, 9, 13, 13},
};

TEST(Latencies, OfPathsAreThoseOfTheSources) {
    for (const PathFact& fact : kPathFacts) {
        const PathLatency& path = path_latency(fact.path);
        const int expected[] = {fact.i386, fact.i486, fact.pentium};
        const int found[] = {path.i386, path.i486, path.pentium};
        for (std::size_t i = 0; i < 3; ++i)
            EXPECT_TRUE(expected[i] < 0 || expected[i] == found[i])
                << path.text << " on " << kModelNames[i] << ": " << found[i];
    }
}

// The cost meter counts on the order: allowed, looked up, virtual-8086 mode.
TEST(Latencies, OfPortsHaveTheirNeighboursBehindThem) {
    for (const LatencyRow& row : latency_rows()) {
        if (row.late.late != Late::Port)
            continue;
        for (const CostPath path : {row.late.path, row.late.other}) {
            const std::size_t first = static_cast<std::size_t>(path);
            EXPECT_TRUE(path_latencies()[first].text.ends_with(", allowed")) << path_latencies()[first].text;
            EXPECT_EQ(path_latencies()[first + 1].text, "the same, looked up");
            EXPECT_EQ(path_latencies()[first + 2].text, "the same, virtual-8086 mode");
        }
    }
}

const LatencyRow& row_of(std::string_view bytes) {
    Instruction in;
    EXPECT_EQ(decode(bytes_of(bytes), CodeMode{true}, in), DecodeStatus::Ok);
    return latency_row(in.form);
}

// What known emulators' tables have wrong must not come in by way of copying.
TEST(Latencies, DoNotCarryTheKnownErrorsOfEmulators) {
    const PathLatency& same = path_latency(CostPath::InterruptSame);
    const PathLatency& inner = path_latency(CostPath::InterruptInner);
    const PathLatency& virtual_8086 = path_latency(CostPath::InterruptVirtual8086);
    EXPECT_EQ((std::array{same.i386, inner.i386, virtual_8086.i386}), (std::array<u16, 3>{59, 99, 119}))
        << "the 386's row of interrupts is rotated";
    EXPECT_NE(same.i386, row_of("CD 80").i386.reg) << "INT n in protected mode costs what it does in real mode";
    EXPECT_NE(path_latency(CostPath::ReturnOuter).i386, row_of("CF").i386.reg) << "and so does IRET";
    EXPECT_NE(row_of("0F 22 C0").pentium.reg, row_of("0F 22 C0").i486.reg) << "the 486's CR moves on the Pentium";
    EXPECT_LT(path_latency(CostPath::Breakpoint).i386, same.i386) << "INT3 pays for the gate twice";
    EXPECT_LT(path_latency(CostPath::Breakpoint).i486, same.i486) << "INT3 pays for the gate twice";
}

TEST(Latencies, SayWhereTheyComeFrom) {
    unsigned cells[3][3] = {};
    unsigned paths[3][3] = {};
    for (const LatencyRow& row : latency_rows())
        for (std::size_t i = 0; i < 3; ++i)
            if (cell_of(row, i).rule != LatencyRule::Absent)
                ++cells[i][static_cast<std::size_t>(cell_of(row, i).source)];
    for (const PathLatency& path : path_latencies())
        for (std::size_t i = 0; i < 3; ++i)
            if ((i == 0 ? path.i386 : i == 1 ? path.i486 : path.pentium) != 0)
                ++paths[i][static_cast<std::size_t>(path.sources[i])];
    for (std::size_t i = 0; i < 3; ++i)
        std::printf("%-7s cells: %u manual, %u published, %u [?]; paths: %u manual, %u published, %u [?]\n",
                    kModelNames[i].data(), cells[i][0], cells[i][1], cells[i][2], paths[i][0], paths[i][1],
                    paths[i][2]);
    EXPECT_GT(cells[0][0], 0u);
    EXPECT_GT(cells[1][0], 0u);
    EXPECT_EQ(cells[2][0], 0u) << "the Pentium's manual has not been seen";
}

} // namespace
} // namespace forkscope::test
