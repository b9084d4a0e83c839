// Clocks of the paths that mode, privilege, descriptors, paging and alignment choose, by the manuals: 386, 486,
// Pentium.
#include <array>
#include <string>

#include <gtest/gtest.h>

#include "cost_bench.hpp"
#include "tests/parameter_names.hpp"

namespace forkscope::test {
namespace {

using R = CodeRunner;
using B = CostBench;
using Bytes = std::vector<u8>;
using Clocks = std::array<u32, 3>; // 386, 486, Pentium

constexpr CpuModel kTabled[] = {CpuModel::I386, CpuModel::I486, CpuModel::Pentium};
constexpr u32 kStackTop = R::kStack - 0x200;
constexpr u8 kSegmentWrites = 0x92; // a data segment's access byte, not accessed yet

class CostPaths : public ::testing::TestWithParam<CpuModel> {
  protected:
    CostPaths() : bench(GetParam()) {}

    u32 mine(const Clocks& clocks) const { return clocks[static_cast<std::size_t>(GetParam())]; }
    // 386: the m of the filler behind a jump.
    u32 with_m(const Clocks& clocks) const { return mine(clocks) + (GetParam() == CpuModel::I386 ? 1 : 0); }
    u32 away() const { return bench.away(); }

    void stack(std::initializer_list<u32> values) {
        const std::vector<u32> kept = values;
        before([this, kept] {
            for (std::size_t i = 0; i < kept.size(); ++i)
                bench.runner.put32(kStackTop + 4 * static_cast<u32>(i), kept[i]);
        });
    }
    // Adds to what is done before each run.
    void before(const std::function<void()>& action) {
        bench.before_each = [earlier = bench.before_each, action] {
            earlier();
            action();
        };
    }
    void fresh(BenchMode mode = BenchMode::Protected, u8 cpl = 0) {
        bench.before_each = [] {};
        bench.enter(mode, cpl);
    }
    void set(u8 reg, u32 value) { bench.runner.edit().set_reg<u32>(reg, value); }
    void far_pointer(u32 offset, u16 selector) {
        before([=, this] {
            bench.runner.put32(B::kData, offset);
            bench.runner.put16(B::kData + 4, selector);
        });
    }
    // A call gate (access 8C, E C …) or task gate in the GDT at kFree.
    void gate(u16 selector, u32 offset, u8 access, u8 parameters = 0) {
        bench.runner.put32(R::kGdt + R::kFree, u32{selector} << 16 | (offset & 0xFFFF));
        bench.runner.put32(R::kGdt + R::kFree + 4, (offset & 0xFFFF0000) | u32{access} << 8 | parameters);
    }
    static Bytes far(u8 opcode, u32 offset, u16 selector) {
        Bytes bytes{opcode};
        for (u32 i = 0; i < 4; ++i)
            bytes.push_back(static_cast<u8>(offset >> 8 * i));
        bytes.push_back(static_cast<u8>(selector));
        bytes.push_back(static_cast<u8>(selector >> 8));
        return bytes;
    }

    B bench;
};

// --- Segments

TEST_P(CostPaths, OfSegmentLoads) {
    fresh();
    far_pointer(R::kData, R::kData);
    set(kEax, R::kData);
    stack({R::kData});
    EXPECT_EQ(bench.cost({0x8E, 0xC0}), mine({18, 9, 3})) << "MOV ES, AX";
    EXPECT_EQ(bench.cost({0x8E, 0x03}), mine({19, 9, 3})) << "MOV ES, [EBX]";
    EXPECT_EQ(bench.cost({0x07}), mine({21, 9, 3})) << "POP ES";
    EXPECT_EQ(bench.cost({0x0F, 0xA1}), mine({21, 9, 3})) << "POP FS";
    EXPECT_EQ(bench.cost({0xC5, 0x13}), mine({22, 12, 4})) << "LDS EDX, [EBX]";
    EXPECT_EQ(bench.cost({0xC4, 0x13}), mine({22, 12, 4})) << "LES EDX, [EBX]";
    EXPECT_EQ(bench.cost({0x0F, 0xB2, 0x13}), mine({22, 12, 8})) << "LSS EDX, [EBX]";
    EXPECT_EQ(bench.cost({0x0F, 0xB4, 0x13}), mine({25, 12, 4})) << "LFS EDX, [EBX]";
    EXPECT_EQ(bench.cost({0x0F, 0xB5, 0x13}), mine({25, 12, 4})) << "LGS EDX, [EBX]";
    set(kEax, 0);
    EXPECT_EQ(bench.cost({0x8E, 0xC0}), mine({18, 3, 3})) << "MOV ES, AX; AX null";
}

TEST_P(CostPaths, OfDescriptorsThatWereNotAccessedYet) {
    fresh();
    set(kEax, R::kFree);
    before([this] { bench.runner.descriptor(R::kFree, 0, 0xFFFFF, kSegmentWrites, true, true); });
    EXPECT_EQ(bench.cost({0x8E, 0xC0}), mine({18 + 4, 9 + 11, 3 + 4}));
}

TEST_P(CostPaths, OfFlagsOnTheStack) {
    fresh();
    stack({2});
    EXPECT_EQ(bench.cost({0x9C}), mine({4, 3, 3})) << "PUSHF";
    EXPECT_EQ(bench.cost({0x9D}), mine({5, 6, 4})) << "POPF";
}

// --- Far transfers

TEST_P(CostPaths, OfFarTransfersInOneRing) {
    fresh();
    far_pointer(away(), R::kCode);
    stack({away(), R::kCode});
    EXPECT_EQ(bench.cost(far(0x9A, away(), R::kCode)), with_m({34, 20, 4})) << "CALL far";
    EXPECT_EQ(bench.cost({0xFF, 0x1B}), with_m({38, 20, 5})) << "CALL far [EBX]";
    EXPECT_EQ(bench.cost(far(0xEA, away(), R::kCode)), with_m({27, 19, 3})) << "JMP far";
    EXPECT_EQ(bench.cost({0xFF, 0x2B}), with_m({31, 18, 4})) << "JMP far [EBX]";
    EXPECT_EQ(bench.cost({0xCB}), with_m({32, 17, 4})) << "RETF";
    EXPECT_EQ(bench.cost({0xCA, 0x08, 0x00}), with_m({32, 18, 4})) << "RETF 8";
}

TEST_P(CostPaths, OfCallGates) {
    fresh();
    gate(R::kCode, away(), 0x8C);
    far_pointer(0, R::kFree);
    EXPECT_EQ(bench.cost(far(0x9A, 0, R::kFree)), with_m({52, 35, 22})) << "CALL gate";
    EXPECT_EQ(bench.cost({0xFF, 0x1B}), with_m({56, 35, 22})) << "CALL [EBX], a gate";
    EXPECT_EQ(bench.cost(far(0xEA, 0, R::kFree)), with_m({45, 32, 18})) << "JMP gate";
    EXPECT_EQ(bench.cost({0xFF, 0x2B}), with_m({49, 31, 18})) << "JMP [EBX], a gate";
    fresh(BenchMode::Protected, 3);
    gate(R::kCode, away(), 0xEC);
    EXPECT_EQ(bench.cost(far(0x9A, 0, R::kFree)), with_m({86, 69, 44})) << "CALL gate, inwards";
    gate(R::kCode, away(), 0xEC, 1);
    EXPECT_EQ(bench.cost(far(0x9A, 0, R::kFree)), with_m({94 + 4, 77 + 4, 45 + 2})) << "the same, one parameter";
    gate(R::kCode, away(), 0xEC, 5);
    EXPECT_EQ(bench.cost(far(0x9A, 0, R::kFree)), with_m({94 + 20, 77 + 20, 45 + 10})) << "the same, five";
}

TEST_P(CostPaths, OfReturnsToAnOuterRing) {
    fresh();
    stack({away(), R::kUserCode, kStackTop, R::kUserData});
    EXPECT_EQ(bench.cost({0xCB}), mine({68, 35, 23})) << "RETF";
    fresh();
    stack({away(), R::kUserCode, 2, kStackTop, R::kUserData});
    EXPECT_EQ(bench.cost({0xCF}), mine({82, 36, 27})) << "IRET";
}

// --- Interrupts

TEST_P(CostPaths, OfSoftwareInterruptsThroughAGate) {
    for (const u8 cpl : {0, 3}) {
        fresh(BenchMode::Protected, cpl);
        const Clocks gate = cpl == 0 ? Clocks{59, 44, 25} : Clocks{99, 71, 42};
        const auto more = [&](u32 i386, u32 i486, u32 pentium) {
            return mine({gate[0] + i386, gate[1] + i486, gate[2] + pentium});
        };
        EXPECT_EQ(bench.cost({0xCD, 0x04}), more(0, 0, 6)) << "INT 4 from ring " << int{cpl};
        EXPECT_EQ(bench.cost({0xCC}), more(0, 0, 2)) << "INT3 from ring " << int{cpl};
        EXPECT_EQ(bench.cost({0xF1}), more(0, 0, 2)) << "INT1 from ring " << int{cpl};
        EXPECT_EQ(bench.cost({0xCE}), mine({3, 3, 4})) << "INTO, not taken, in ring " << int{cpl};
        bench.runner.edit().set_eflags(kFlagO);
        EXPECT_EQ(bench.cost({0xCE}), more(0, 2, 2)) << "INTO from ring " << int{cpl};
    }
    fresh(BenchMode::Virtual8086);
    EXPECT_EQ(bench.cost({0xCD, 0x04}), mine({119, 82, 60})) << "INT 4 from virtual-8086 mode";
    fresh(BenchMode::Real);
    EXPECT_EQ(bench.cost({0xCD, 0x04}), mine({37, 30, 16})) << "INT 4 in real mode";
    bench.runner.edit().set_eflags(kFlagO);
    EXPECT_EQ(bench.cost({0xCE}), mine({35, 28, 13})) << "INTO in real mode";
}

TEST_P(CostPaths, OfReturnsFromInterrupts) {
    fresh();
    stack({away(), R::kCode, 2});
    EXPECT_EQ(bench.cost({0xCF}), mine({38, 20, 10})) << "to the same ring";
    fresh();
    stack({B::kAway, B::kRealCode, kFlagVm | 2, R::kUserStack, 0, 0, 0, 0, 0});
    EXPECT_EQ(bench.cost({0xCF}), mine({60, 36, 27})) << "to virtual-8086 mode";
}

// The line is up before the first filler; what is measured is the delivery and the handler's one filler.
TEST_P(CostPaths, OfInterruptsFromOutside) {
    OneVector controller(bench.runner.cpu, kOverflow);
    for (const u8 cpl : {0, 3}) {
        fresh(BenchMode::Protected, cpl);
        bench.runner.edit().set_eflags(kFlagI | 2);
        before([this] { bench.runner.cpu.set_line(0, true); });
        EXPECT_EQ(bench.cost_of_delivery(), cpl == 0 ? mine({59, 44 + 11, 25}) : mine({99, 71 + 11, 42})) << "INTR";
        const auto causes = bench.runner.cpu.cycles_by_cause();
        EXPECT_GE(causes[static_cast<std::size_t>(CycleCause::Delivery)], 3 * mine({59, 55, 25}));
    }
    fresh(BenchMode::Real);
    bench.runner.edit().set_eflags(kFlagI | 2);
    before([this] { bench.runner.cpu.set_line(0, true); });
    EXPECT_EQ(bench.cost_of_delivery(), mine({33, 26 + 11, 11})) << "INTR, real mode";
}

TEST_P(CostPaths, OfPageFaults) {
    for (const u8 cpl : {0, 3}) {
        fresh(BenchMode::Protected, cpl);
        bench.runner.enable_paging();
        bench.runner.put32(bench.runner.page_entry(0x180000), 0);
        set(kEbx, 0x180000);
        const Clocks gate = cpl == 0 ? Clocks{59, 44, 25} : Clocks{99, 71, 42};
        EXPECT_EQ(bench.cost({0x8B, 0x03}), mine({gate[0] + 4, gate[1] + 24 + 13, gate[2] + 4}))
            << "delivery, and the walk that found out, from ring " << int{cpl};
    }
}

// UD2; the handler is MOV ES, AX; HLT, or CLD; HLT.
TEST_P(CostPaths, OfAHandlersFirstInstructionAreItsOwn) {
    const auto cycles_of = [](const std::vector<int>& handler) {
        R runner({EngineKind::Block, true}, GetParam());
        runner.cpu.set_model(GetParam(), CostModelKind::Model);
        runner.enter_protected_mode();
        runner.code({0x0F, 0x0B});
        runner.handler(kInvalidOpcode, handler);
        runner.edit().set_reg<u32>(kEax, R::kData);
        runner.apply();
        EXPECT_EQ(runner.run(), CpuStop::Halted);
        return runner.cpu.now();
    };
    EXPECT_EQ(cycles_of({0x8E, 0xC0, 0xF4}) - cycles_of({0xFC, 0xF4}), mine({18 - 2, 9 - 2, 3 - 2}));
}

// --- Task switches

struct Task {
    u32 flags = 2;
    bool narrow = false;
};

class CostTasks : public CostPaths {
  protected:
    // kTss2 names a task that continues at away(); JMP and CALL find it as this leaves it.
    void prepare(const Task& task) {
        before([this, task] {
            const bool wide = !task.narrow;
            const bool virtual_8086 = (task.flags & kFlagVm) != 0;
            const u32 at = R::kTss2At, step = wide ? 4 : 2;
            const auto put = [&](u32 offset, u32 value) {
                wide ? bench.runner.put32(at + offset, value)
                     : bench.runner.put16(at + offset, static_cast<u16>(value));
            };
            const auto target = static_cast<u16>(narrow_target());
            put(wide ? 0x20 : 14, wide ? (virtual_8086 ? u32{B::kAway} : away()) : target);
            put(wide ? 0x24 : 16, task.flags);
            for (u32 i = 0; i < 8; ++i)
                put((wide ? 0x28 : 18) + i * step, kStackTop);
            for (u32 i = 0; i < (wide ? 6u : 4u); ++i) {
                const u32 selector = i == 1 ? u32{wide ? R::kCode : R::kCode16} : u32{R::kData};
                put((wide ? 0x48 : 34) + i * step, virtual_8086 ? (i == 1 ? B::kRealCode : 0u) : selector);
            }
            put(wide ? 0x60 : 42, 0);
            bench.runner.descriptor(R::kTss2, R::kTss2At, 0x67, wide ? 0x89 : 0x81);
            bench.runner.descriptor(R::kTss, R::kTssAt, 0x1FF, 0x8B);
            bench.runner.descriptor(R::kCode16, R::kStart, 0xFFFF, 0x9B, false);
        });
    }
    u32 narrow_target() const { return B::kAway; }
};

TEST_P(CostTasks, SwitchByJumpAndCall) {
    fresh();
    prepare({});
    far_pointer(0, R::kTss2);
    EXPECT_EQ(bench.cost(far(0xEA, 0, R::kTss2)), mine({309, 42 + 162, 19 + 85})) << "JMP";
    EXPECT_EQ(bench.cost({0xFF, 0x2B}), mine({314, 41 + 162, 19 + 85})) << "JMP [EBX]";
    EXPECT_EQ(bench.cost(far(0x9A, 0, R::kTss2)), mine({309, 37 + 162, 21 + 85})) << "CALL";
    EXPECT_EQ(bench.cost({0xFF, 0x1B}), mine({314, 37 + 162, 21 + 85})) << "CALL [EBX]";
    gate(R::kTss2, 0, 0x85);
    far_pointer(0, R::kFree);
    EXPECT_EQ(bench.cost(far(0xEA, 0, R::kFree)), mine({309, 43 + 162, 20 + 85})) << "JMP gate";
    EXPECT_EQ(bench.cost({0xFF, 0x2B}), mine({314, 42 + 162, 20 + 85})) << "JMP [EBX], a gate";
    EXPECT_EQ(bench.cost(far(0x9A, 0, R::kFree)), mine({309, 38 + 162, 22 + 85})) << "CALL gate";
    EXPECT_EQ(bench.cost({0xFF, 0x1B}), mine({314, 38 + 162, 22 + 85})) << "CALL [EBX], a gate";
}

TEST_P(CostTasks, SwitchToOtherKindsOfTask) {
    fresh();
    prepare({kFlagVm | 2, false});
    EXPECT_EQ(bench.cost(far(0xEA, 0, R::kTss2)), mine({226, 42 + 140, 19 + 71})) << "JMP, virtual-8086";
    fresh();
    prepare({2, true});
    EXPECT_EQ(bench.cost(far(0xEA, 0, R::kTss2)), mine({282, 42 + 143, 19 + 87})) << "JMP, 16-bit";
}

TEST_P(CostTasks, SwitchByInterrupt) {
    fresh();
    prepare({});
    bench.runner.gate(kOverflow, R::kTss2, 0, 0xE5);
    EXPECT_EQ(bench.cost({0xCD, 0x04}), mine({309, 37 + 162, 17 + 85})) << "INT 4";
    fresh(BenchMode::Virtual8086);
    prepare({});
    before([this] { bench.runner.descriptor(R::kCode, 0, 0xFFFFF, 0x9B, true, true); });
    bench.runner.gate(kOverflow, R::kTss2, 0, 0xE5);
    // The task's EIP is that of the measured code's own segment: away() counts from 1000:0 there.
    before([this] { bench.runner.put32(R::kTss2At + 0x20, R::kStart + B::kAway); });
    EXPECT_EQ(bench.cost({0xCD, 0x04}), mine({314, 37 + 162, 17 + 85})) << "INT 4 from virtual-8086 mode";
}

TEST_P(CostTasks, SwitchByReturn) {
    for (const Task& task : {Task{}, Task{kFlagVm | 2, false}, Task{2, true}}) {
        fresh();
        prepare(task);
        before([this, task] {
            bench.runner.put16(R::kTssAt, R::kTss2);
            bench.runner.descriptor(R::kTss2, R::kTss2At, 0x67, task.narrow ? 0x83 : 0x8B);
        });
        bench.runner.edit().set_eflags(kFlagNt | 2);
        const Clocks expected = task.narrow                   ? Clocks{271, 32 + 143, 10 + 87}
                                : (task.flags & kFlagVm) != 0 ? Clocks{224, 32 + 140, 10 + 71}
                                                              : Clocks{275, 32 + 162, 10 + 85};
        EXPECT_EQ(bench.cost({0xCF}), mine(expected)) << "IRET";
    }
}

// --- Ports

struct PortForm {
    Bytes bytes;
    Clocks real, allowed, looked_up, virtual_8086;
};
const PortForm kPortForms[] = {
    {{0xE4, R::kLogPort}, {12, 14, 7}, {6, 9, 4}, {26, 29, 21}, {26, 27, 19}},
    {{0xE5, R::kLogPort}, {12, 14, 7}, {6, 9, 4}, {26, 29, 21}, {26, 27, 19}},
    {{0xEC}, {13, 14, 7}, {7, 8, 4}, {27, 28, 21}, {27, 27, 19}},
    {{0xE6, R::kLogPort}, {10, 16, 12}, {4, 11, 9}, {24, 31, 26}, {24, 29, 24}},
    {{0xEE}, {11, 16, 12}, {5, 10, 9}, {25, 30, 26}, {25, 29, 24}},
    {{0xEF}, {11, 16, 12}, {5, 10, 9}, {25, 30, 26}, {25, 29, 24}},
    {{0x6C}, {15, 17, 9}, {9, 10, 6}, {29, 32, 24}, {29, 30, 22}},
    {{0x6E}, {14, 17, 13}, {8, 10, 10}, {28, 32, 27}, {28, 30, 25}},
};

TEST_P(CostPaths, OfPortsByPrivilege) {
    for (const PortForm& form : kPortForms) {
        const std::string what = "opcode " + std::to_string(form.bytes[0]);
        fresh(BenchMode::Real);
        EXPECT_EQ(bench.cost(form.bytes), mine(form.real)) << what << ", real mode";
        fresh();
        EXPECT_EQ(bench.cost(form.bytes), mine(form.allowed)) << what << ", ring 0";
        fresh(BenchMode::Protected, 3);
        EXPECT_EQ(bench.cost(form.bytes), mine(form.looked_up)) << what << ", ring 3";
        bench.runner.edit().set_eflags(kFlagIopl | 2);
        EXPECT_EQ(bench.cost(form.bytes), mine(form.allowed)) << what << ", ring 3 with IOPL 3";
        fresh(BenchMode::Virtual8086);
        EXPECT_EQ(bench.cost(form.bytes), mine(form.virtual_8086)) << what << ", virtual-8086 mode";
    }
}

TEST_P(CostPaths, OfRepeatedPortInstructions) {
    const Clocks in_step{6, 8, 3}, out_step_real{12, 5, 4}, out_step{5, 5, 4};
    for (const u32 count : {0u, 1u, 2u, 17u}) {
        const auto with = [&](const Clocks& start, const Clocks& step) { return mine(start) + count * mine(step); };
        const auto expect = [&](const Clocks& in, const Clocks& out, const Clocks& step, const char* where) {
            set(kEcx, count);
            EXPECT_EQ(bench.cost({0xF3, 0x6C}), with(in, in_step)) << "REP INSB " << count << where;
            EXPECT_EQ(bench.cost({0xF3, 0x6E}), with(out, step)) << "REP OUTSB " << count << where;
        };
        fresh(BenchMode::Real);
        expect({13, 16, 11}, {5, 17, 13}, out_step_real, ", real mode");
        fresh();
        expect({7, 10, 8}, {6, 11, 10}, out_step, ", ring 0");
        fresh(BenchMode::Protected, 3);
        expect({27, 30, 25}, {26, 31, 27}, out_step, ", ring 3");
        fresh(BenchMode::Virtual8086);
        expect({27, 29, 23}, {26, 30, 25}, out_step, ", virtual-8086 mode");
    }
}

// --- Memory

TEST_P(CostPaths, OfTlbWalksAreByWhatTheyWrite) {
    constexpr u32 kAccessed = kPteAccessed, kDirty = kPteDirty;
    fresh();
    bench.runner.enable_paging();
    const u32 page = 0x180000, entry = bench.runner.page_entry(page), directory = 0x100000;
    set(kEbx, page);
    u32 bits = 0, directory_bits = 0;
    before([&] {
        bench.runner.put32(entry, page | kPtePresent | kPteWritable | kPteUser | bits);
        bench.runner.put32(directory, 0x101000 | kPtePresent | kPteWritable | kPteUser | directory_bits);
        bench.runner.mmu.invalidate_page(LinearAddress(page));
    });
    const u32 load = mine({4, 1, 1}), store = mine({2, 1, 1});
    const u32 clean = mine({4, 13, 4}), one = mine({8, 21, 12}), two = mine({12, 28, 20});
    EXPECT_EQ(bench.cost({0x8B, 0x03}), load + two) << "neither entry was accessed";
    EXPECT_EQ(bench.cost({0x89, 0x03}), store + two) << "the same, written";
    directory_bits = kAccessed;
    EXPECT_EQ(bench.cost({0x8B, 0x03}), load + one) << "the page was not";
    EXPECT_EQ(bench.cost({0x89, 0x03}), store + one) << "the same, written";
    bits = kAccessed;
    EXPECT_EQ(bench.cost({0x8B, 0x03}), load + clean) << "both were";
    EXPECT_EQ(bench.cost({0x89, 0x03}), store + one) << "but it was clean";
    EXPECT_EQ(bench.cost({0x8B, 0x03, 0x89, 0x0B}),
              load + clean + store + one - (GetParam() == CpuModel::Pentium ? 1 : 0))
        << "it is read, then written";
    bits |= kDirty;
    EXPECT_EQ(bench.cost({0x89, 0x03}), store + clean) << "it was dirty";
    const auto causes = bench.runner.cpu.cycles_by_cause();
    EXPECT_GT(causes[static_cast<std::size_t>(CycleCause::TlbWalk)], 20 * clean);
}

TEST_P(CostPaths, OfInvlpgAreByWhetherThePageIsHeld) {
    if (GetParam() == CpuModel::I386)
        GTEST_SKIP() << "the 386 has no INVLPG";
    fresh();
    bench.runner.enable_paging();
    set(kEbx, 0x180000);
    const u32 load_and_walk = 1 + mine({0, 13, 4});
    EXPECT_EQ(bench.cost({0x8B, 0x03, 0x0F, 0x01, 0x3B}), load_and_walk + mine({0, 12, 25})) << "held";
    EXPECT_EQ(bench.cost({0x0F, 0x01, 0x3B}), mine({0, 11, 25})) << "not held";
}

TEST_P(CostPaths, OfMisalignedOperandsAreThoseAcrossADoubleword) {
    const u32 more = mine({2, 3, 3});
    fresh();
    for (u32 offset = 0; offset < 4; ++offset) {
        set(kEbx, B::kData + offset);
        const auto where = [&](const char* what) { return what + std::string(" at ") + std::to_string(offset); };
        const u32 dword = offset != 0 ? more : 0, word = offset == 3 ? more : 0;
        const u32 prefix = mine({0, 1, 1});
        EXPECT_EQ(bench.cost({0x8A, 0x03}), mine({4, 1, 1})) << where("MOV AL");
        EXPECT_EQ(bench.cost({0x66, 0x8B, 0x03}), mine({4, 1, 1}) + prefix + word) << where("MOV AX");
        EXPECT_EQ(bench.cost({0x8B, 0x03}), mine({4, 1, 1}) + dword) << where("MOV EAX");
        EXPECT_EQ(bench.cost({0x89, 0x03}), mine({2, 1, 1}) + dword) << where("MOV to memory");
        EXPECT_EQ(bench.cost({0x01, 0x03}), mine({7, 3, 3}) + 2 * dword) << where("ADD to memory: read and write");
        EXPECT_EQ(bench.cost({0xFF, 0x33}), mine({5, 4, 2}) + dword) << where("PUSH of memory");
    }
}

TEST_P(CostPaths, OfMisalignedQuadwordsAreAcrossAQuadwordOnThePentiumAlone) {
    const u32 load = mine({25, 3, 1}), more = mine({2, 3, 3});
    fresh();
    for (const u32 offset : {0u, 1u, 4u, 8u}) {
        set(kEbx, B::kData + offset);
        const bool across = offset % 4 != 0 || (GetParam() == CpuModel::Pentium && offset % 8 != 0);
        EXPECT_EQ(bench.cost({0xDD, 0x03}), load + (across ? more : 0)) << "FLD qword at " << offset;
    }
}

INSTANTIATE_TEST_SUITE_P(EachModel, CostPaths, ::testing::ValuesIn(kTabled), ::testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(EachModel, CostTasks, ::testing::ValuesIn(kTabled), ::testing::PrintToStringParamName());

} // namespace
} // namespace forkscope::test
