// Breakpoints, single step, shadows, NMI: SDM 3B chapter 17, SDM 3A 6.7 to 6.9, in every engine with and without the
// fast table.
#include <functional>

#include <gtest/gtest.h>

#include "code_runner.hpp"

namespace forkscope::test {
namespace {

constexpr u32 kStart = CodeRunner::kStart;
constexpr u32 kDr6 = 0xFFFF0FF0;
using Bytes = std::vector<int>;

// DR7 for breakpoint 0.
constexpr u32 dr7(u32 condition, u32 length) { return 0x400 | 1 | condition << 16 | (length - 1) << 18; }
enum : u32 { kExecute = 0, kWrite = 1, kPort = 2, kReadWrite = 3 };

// Logs where it came from and DR6, clears DR6, and returns; with RF if asked.
Bytes debug_handler(bool resume) {
    Bytes bytes = {0x50,                               // push eax
                   0x8B, 0x44, 0x24, 0x04, 0xE7, 0xE8, // mov eax, [esp+4]; out E8, eax
                   0x0F, 0x21, 0xF0, 0xE7, 0xE8,       // mov eax, dr6; out E8, eax
                   0x31, 0xC0, 0x0F, 0x23, 0xF0};      // xor eax, eax; mov dr6, eax
    if (resume)
        bytes.insert(bytes.end(), {0x80, 0x4C, 0x24, 0x0E, 0x01}); // or byte [esp+14], 1
    bytes.insert(bytes.end(), {0x58, 0xCF});                       // pop eax; iretd
    return bytes;
}

using Prepare = std::function<void(CodeRunner&)>;
const Prepare kNothing = [](CodeRunner&) {};

// Runs the code at ring 0 in every way; all must end alike. Returns the log.
std::vector<u32> run_in_every_way(const Bytes& code, const Prepare& prepare, bool resume = false) {
    std::vector<u32> log;
    u64 hash = 0;
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        runner.enter_protected_mode();
        runner.handler(1, debug_handler(resume));
        runner.code(code);
        prepare(runner);
        EXPECT_EQ(runner.run(), CpuStop::Halted);
        if (hash == 0) {
            hash = runner.hash();
            log = runner.log;
        }
        EXPECT_EQ(runner.log, log);
        EXPECT_EQ(runner.hash(), hash);
    }
    return log;
}

Prepare breakpoint(u32 address, u32 control) {
    return [=](CodeRunner& runner) {
        runner.edit().dr[0] = address;
        runner.edit().dr[7] = control;
        runner.apply();
    };
}

using Log = std::vector<u32>;

// mov dword [8000], 1; nop; mov eax, [8000]; hlt
const Bytes kStoreAndLoad = {0xC7, 0x05, 0, 0x80, 0, 0, 1, 0, 0, 0, 0x90, 0xA1, 0, 0x80, 0, 0, 0xF4};

TEST(DataBreakpoints, TrapAfterTheInstructionThatStores) {
    EXPECT_EQ(run_in_every_way(kStoreAndLoad, breakpoint(0x8000, dr7(kWrite, 4))), (Log{kStart + 10, kDr6 | 1}));
}

TEST(DataBreakpoints, OfBothKindsTrapOnLoadsToo) {
    EXPECT_EQ(run_in_every_way(kStoreAndLoad, breakpoint(0x8000, dr7(kReadWrite, 4))),
              (Log{kStart + 10, kDr6 | 1, kStart + 16, kDr6 | 1}));
}

TEST(DataBreakpoints, AreSilentWhileDisabled) {
    EXPECT_EQ(run_in_every_way(kStoreAndLoad, breakpoint(0x8000, dr7(kReadWrite, 4) & ~1u)), Log{});
}

TEST(DataBreakpoints, CoverTheirAlignedLength) {
    for (const u32 length : {1u, 2u, 4u}) {
        for (u32 at = 0x7FFC; at < 0x8008; ++at) {
            for (const u32 size : {1u, 4u}) { // mov byte [at], cl or mov [at], ecx
                const int low = static_cast<int>(at & 0xFF);
                const int high = static_cast<int>(at >> 8);
                const Bytes code = {size == 1 ? 0x88 : 0x89, 0x0D, low, high, 0, 0, 0xF4};
                const u32 start = 0x8003 & ~(length - 1);
                const bool overlaps = at + size > start && at < start + length;
                const Log log = run_in_every_way(code, breakpoint(0x8003, dr7(kWrite, length)));
                EXPECT_EQ(log, overlaps ? (Log{kStart + 6, kDr6 | 1}) : Log{}) << length << " " << at << " " << size;
            }
        }
    }
}

TEST(DataBreakpoints, CatchReadModifyWriteAndTheStack) {
    // add [8000], ecx; hlt
    EXPECT_EQ(run_in_every_way({0x01, 0x0D, 0, 0x80, 0, 0, 0xF4}, breakpoint(0x8000, dr7(kWrite, 4))),
              (Log{kStart + 6, kDr6 | 1}));
    // push ecx; hlt
    EXPECT_EQ(run_in_every_way({0x51, 0xF4}, breakpoint(CodeRunner::kStack - 4, dr7(kWrite, 1))),
              (Log{kStart + 1, kDr6 | 1}));
}

TEST(DataBreakpoints, StopRepeatedStringsAfterTheIteration) {
    // mov edi, 8000; mov ecx, 8; rep stosb; mov eax, ecx; out E8, eax; hlt
    const Bytes code = {0xBF, 0, 0x80, 0, 0, 0xB9, 8, 0, 0, 0, 0xF3, 0xAA, 0x89, 0xC8, 0xE7, 0xE8, 0xF4};
    EXPECT_EQ(run_in_every_way(code, breakpoint(0x8003, dr7(kWrite, 1))), (Log{kStart + 10, kDr6 | 1, 0}));
    // In the last iteration the instruction is over.
    EXPECT_EQ(run_in_every_way(code, breakpoint(0x8007, dr7(kWrite, 1))), (Log{kStart + 12, kDr6 | 1, 0}));
}

TEST(DataBreakpoints, AreForgottenIfTheInstructionFaults) {
    // push dword [8000] with no room on the stack: #SS
    const Log log = run_in_every_way({0xFF, 0x35, 0, 0x80, 0, 0, 0xF4}, [](CodeRunner& runner) {
        runner.handler(12, {0xB0, 12, 0xE6, 0xE8, 0xF4});
        runner.gate(12, CodeRunner::kCode, CodeRunner::handler_at(12), 0x8E);
        runner.descriptor(CodeRunner::kFree, 0, 0xFFFF, 0x93);
        CpuState& state = runner.edit();
        state.segments[kSs] = SegmentCache::from(CodeRunner::kFree, {0x0040F6000000'7FFFull, {}});
        state.segments[kSs].valid = true;
        state.segments[kSs].limit = 0x9FFF;
        state.segments[kSs].access = 0x93;
        state.segments[kSs].update_flat();
        state.set_reg<u32>(kEsp, 0xA010);
        state.dr[0] = 0x8000;
        state.dr[7] = dr7(kReadWrite, 4);
        runner.apply();
        runner.gate(12, CodeRunner::kTss2, 0, 0xE5);
        runner.put32(CodeRunner::kTss2At + 0x20, CodeRunner::handler_at(12));
        runner.put32(CodeRunner::kTss2At + 0x38, 0x7000);
        for (u32 at = 0x48; at < 0x60; at += 4)
            runner.put32(CodeRunner::kTss2At + at, CodeRunner::kData);
        runner.put32(CodeRunner::kTss2At + 0x4C, CodeRunner::kCode);
        runner.put32(CodeRunner::kTss2At + 0x24, 2);
    });
    EXPECT_EQ(log, (Log{12}));
}

TEST(DataBreakpoints, CatchTheFrameOfAnInterrupt) {
    // int 20h: the frame is pushed over the watched word; the trap comes before the handler's first instruction
    const Log log = run_in_every_way({0xCD, 0x20, 0xF4}, breakpoint(CodeRunner::kStack - 12, dr7(kWrite, 4)));
    ASSERT_EQ(log.size(), 3u);
    EXPECT_EQ(log[0], CodeRunner::handler_at(0x20));
    EXPECT_EQ(log[1], kDr6 | 1);
    EXPECT_EQ(log[2], 0x20u);
}

TEST(CodeBreakpoints, FaultBeforeTheInstructionUntilResumed) {
    // nop; inc ecx; nop; hlt
    const Bytes code = {0x90, 0x41, 0x90, 0xF4};
    EXPECT_EQ(run_in_every_way(code, breakpoint(kStart + 1, dr7(kExecute, 1)), true), (Log{kStart + 1, kDr6 | 1}));
}

TEST(CodeBreakpoints, FireAgainWithoutTheResumeFlag) {
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        runner.enter_protected_mode();
        runner.handler(1, debug_handler(false));
        runner.code({0x90, 0x41, 0x90, 0xF4});
        breakpoint(kStart + 1, dr7(kExecute, 1))(runner);
        EXPECT_EQ(runner.run(200), CpuStop::Instructions);
        EXPECT_GT(runner.log.size(), 20u);
        EXPECT_EQ(runner.reg(kEcx), 0u);
    }
}

TEST(CodeBreakpoints, ArePassedOnceByTheResumeFlag) {
    // inc ecx; cmp ecx, 3; jne start; hlt. The breakpoint is met three times.
    const Log log =
        run_in_every_way({0x41, 0x83, 0xF9, 3, 0x75, 0xFA, 0xF4}, breakpoint(kStart, dr7(kExecute, 1)), true);
    EXPECT_EQ(log.size(), 6u);
}

TEST(CodeBreakpoints, GoBeforeTheFaultsOfTheInstruction) {
    // ud2 with a breakpoint on it: first #DB, then, resumed, #UD
    const Log log = run_in_every_way({0x0F, 0x0B}, breakpoint(kStart, dr7(kExecute, 1)), true);
    EXPECT_EQ(log, (Log{kStart, kDr6 | 1, 6}));
}

TEST(CodeBreakpoints, AreSkippedInTheShadowOfMovSs) {
    // mov eax, ss; mov ss, eax; inc ecx; hlt
    EXPECT_EQ(run_in_every_way({0x8C, 0xD0, 0x8E, 0xD0, 0x41, 0xF4}, breakpoint(kStart + 4, dr7(kExecute, 1)), true),
              Log{});
    // sti; inc ecx; cli; hlt: STI shields from interrupts only
    EXPECT_EQ(run_in_every_way({0xFB, 0x41, 0xFA, 0xF4}, breakpoint(kStart + 1, dr7(kExecute, 1)), true),
              (Log{kStart + 1, kDr6 | 1}));
}

TEST(PortBreakpoints, TrapAfterTheInstructionWithDebugExtensions) {
    const auto prepare = [](u32 cr4) {
        return [cr4](CodeRunner& runner) {
            runner.edit().dr[0] = 0x80;
            runner.edit().dr[7] = dr7(kPort, 1);
            runner.edit().cr4 = cr4;
            runner.apply();
        };
    };
    const Bytes code = {0xE4, 0x80, 0x90, 0xE6, 0x81, 0xF4}; // in al, 80; nop; out 81, al; hlt
    EXPECT_EQ(run_in_every_way(code, prepare(kCr4De)), (Log{kStart + 2, kDr6 | 1}));
    EXPECT_EQ(run_in_every_way(code, prepare(0)), Log{});
}

TEST(DebugRegisters, AreGuardedByGeneralDetect) {
    // mov eax, dr0; hlt: #DB with BD, and the handler may use them again
    EXPECT_EQ(run_in_every_way({0x0F, 0x21, 0xC0, 0xF4}, breakpoint(0, 0x2400)), (Log{kStart, kDr6 | 1u << 13}));
}

TEST(DebugRegisters, HaveAliasesUnlessDebugExtensions) {
    // mov eax, dr5; out E8, eax; hlt
    const Bytes code = {0x0F, 0x21, 0xE8, 0xE7, 0xE8, 0xF4};
    EXPECT_EQ(run_in_every_way(code, breakpoint(0, 0x500)), (Log{0x500}));
    EXPECT_EQ(run_in_every_way(code,
                               [](CodeRunner& runner) {
                                   runner.edit().cr4 = kCr4De;
                                   runner.apply();
                               }),
              (Log{6}));
}

TEST(DebugRegisters, KeepTheirReservedBits) {
    // mov eax, -1; mov dr6, eax; mov eax, dr6; out E8, eax; mov eax, FFFFDFFF; mov dr7, eax; mov eax, dr7; out E8, eax
    const Bytes code = {0xB8, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x23, 0xF0, 0x0F, 0x21, 0xF0, 0xE7, 0xE8, 0xB8,
                        0xFF, 0xDF, 0xFF, 0xFF, 0x0F, 0x23, 0xF8, 0x0F, 0x21, 0xF8, 0xE7, 0xE8, 0xF4};
    const Log log = run_in_every_way(code, kNothing);
    ASSERT_GE(log.size(), 2u);
    EXPECT_EQ(log[0], 0xFFFFEFFFu);
}

constexpr u32 kStep = 1u << 14; // DR6.BS

// pushfd; or byte [esp+1], 1; popfd — 7 bytes: TF on
const Bytes kTrapOn = {0x9C, 0x80, 0x4C, 0x24, 0x01, 0x01, 0x9D};
Bytes stepped(const Bytes& bytes) {
    Bytes code = kTrapOn;
    code.insert(code.end(), bytes.begin(), bytes.end());
    // pushfd; and byte [esp+1], FE; popfd; hlt
    code.insert(code.end(), {0x9C, 0x80, 0x64, 0x24, 0x01, 0xFE, 0x9D, 0xF4});
    return code;
}
// The steps that the code reports between TF on and the three instructions that clear it, as offsets.
Log steps_of(const Bytes& bytes) {
    const Log log = run_in_every_way(stepped(bytes), kNothing);
    Log offsets;
    for (std::size_t i = 0; i + 1 < log.size(); i += 2) {
        EXPECT_EQ(log[i + 1], kDr6 | kStep);
        offsets.push_back(log[i] - kStart - 7);
    }
    return offsets;
}

// The same was seen on a processor: a trap after POPF that clears TF, none after POPF that sets it, none after MOV SS.
TEST(SingleStep, TrapsAfterEachInstructionThatBeganWithTf) { EXPECT_EQ(steps_of({0x90, 0x90}), (Log{1, 2, 3, 8, 9})); }

TEST(SingleStep, IsLostInTheShadowOfMovSs) {
    EXPECT_EQ(steps_of({0x8C, 0xD0, 0x8E, 0xD0, 0x90}), (Log{2, 5, 6, 11, 12}));
    EXPECT_EQ(steps_of({0x16, 0x17, 0x90}), (Log{1, 3, 4, 9, 10})); // push ss; pop ss; nop
}

TEST(SingleStep, GoesByIterations) {
    // rep stosb with ecx 3: mov ecx, 3; mov edi, 8000; rep stosb
    EXPECT_EQ(steps_of({0xB9, 3, 0, 0, 0, 0xBF, 0, 0x80, 0, 0, 0xF3, 0xAA}), (Log{5, 10, 10, 10, 12, 13, 18, 19}));
}

TEST(SingleStep, DoesNotEnterTheHandlerOfAnInterrupt) {
    const Bytes code = stepped({0xCD, 0x21, 0x90});
    const Log log = run_in_every_way(code, [](CodeRunner& runner) { runner.handler(0x21, {0xCF}); });
    // int 21h at 7: the first trap is that of the NOP behind it
    ASSERT_GE(log.size(), 2u);
    EXPECT_EQ(log[0], kStart + 10);
}

TEST(SingleStep, ComesTogetherWithADataBreakpoint) {
    const Log log = run_in_every_way(stepped({0x89, 0x0D, 0, 0x80, 0, 0}), breakpoint(0x8000, dr7(kWrite, 4)));
    ASSERT_GE(log.size(), 2u);
    EXPECT_EQ(log[1], kDr6 | kStep | 1);
}

TEST(Shadows, LetOneInstructionRunAfterSti) {
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        OneVector source(runner.cpu, 0x20);
        runner.enter_protected_mode();
        runner.code({0xFB, 0x41, 0x41, 0x41, 0xF4}); // sti; inc ecx x 3
        runner.cpu.set_line(0, true);
        EXPECT_EQ(runner.run(), CpuStop::Halted);
        EXPECT_EQ(runner.log, (Log{0x20}));
        EXPECT_EQ(runner.reg(kEcx), 1u);
    }
}

TEST(Shadows, DoNotGrowFromOneMovSsToTheNext) {
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        OneVector source(runner.cpu, 0x20);
        runner.enter_protected_mode();
        // mov eax, ss; mov ss, eax; mov ss, eax; inc ecx; inc ecx
        runner.code({0x8C, 0xD0, 0x8E, 0xD0, 0x8E, 0xD0, 0x41, 0x41, 0xF4});
        runner.edit().set_eflags(kFlagI);
        runner.apply();
        runner.cpu.run_until(kNever, runner.cpu.instructions() + 2);
        runner.cpu.set_line(0, true);
        runner.run();
        EXPECT_EQ(runner.log, (Log{0x20}));
        EXPECT_EQ(runner.reg(kEcx), 0u);
    }
}

TEST(Shadows, HoldBackADataBreakpointOfPopSs) {
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        runner.enter_protected_mode(3);
        runner.code({0x17, 0x41, 0xCD, 0x20}); // pop ss; inc ecx; int 20h
        runner.put32(0x8000, CodeRunner::kUserData);
        runner.edit().set_reg<u32>(kEsp, 0x8000);
        breakpoint(0x8000, dr7(kReadWrite, 4))(runner);
        EXPECT_EQ(runner.run(), CpuStop::Halted);
        EXPECT_EQ(runner.log, (Log{1}));
        EXPECT_EQ(runner.stack32(0), kStart + 2);
    }
    // An interrupt instruction in the shadow goes first: the trap meets its handler.
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        runner.enter_protected_mode(3);
        runner.code({0x17, 0xCD, 0x20});
        runner.put32(0x8000, CodeRunner::kUserData);
        runner.edit().set_reg<u32>(kEsp, 0x8000);
        breakpoint(0x8000, dr7(kReadWrite, 4))(runner);
        EXPECT_EQ(runner.run(), CpuStop::Halted);
        EXPECT_EQ(runner.log, (Log{1}));
        EXPECT_EQ(runner.stack32(0), CodeRunner::handler_at(0x20));
    }
}

TEST(Nmi, IsBlockedUntilIret) {
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        runner.enter_protected_mode();
        // NMI handler: log, a few NOPs, iretd
        runner.handler(2, {0xB0, 2, 0xE6, 0xE8, 0x90, 0x90, 0xB0, 3, 0xE6, 0xE8, 0xCF});
        runner.code({0x90, 0x90, 0x90, 0x90, 0xF4});
        runner.cpu.set_line(1, true);
        runner.cpu.run_until(kNever, runner.cpu.instructions() + 3);
        runner.cpu.set_line(1, true); // within the handler: kept for later
        EXPECT_EQ(runner.run(), CpuStop::Halted);
        EXPECT_EQ(runner.log, (Log{2, 3, 2, 3}));
    }
}

TEST(CodeBreakpoints, AreMetAtTheFirstInstructionOfAnInterruptHandler) {
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        OneVector source(runner.cpu, 0x20);
        runner.enter_protected_mode();
        runner.handler(1, debug_handler(true));
        runner.code({0xFB, 0x90, 0x90, 0xF4});
        runner.cpu.set_line(0, true);
        breakpoint(CodeRunner::handler_at(0x20), dr7(kExecute, 1))(runner);
        EXPECT_EQ(runner.run(), CpuStop::Halted);
        EXPECT_EQ(runner.log, (Log{CodeRunner::handler_at(0x20), kDr6 | 1, 0x20}));
    }
}

// A debugger's, wherever in a block they lie; others at the same place of another page, or beside it, stop nothing.
TEST(CodeBreakpoints, OfADebuggerStopInTheMiddleOfABlockAndNowhereElse) {
    constexpr u32 kCount = 200;
    Bytes code(kCount, 0x40); // inc eax: several blocks over four pieces of 64 bytes
    code.insert(code.end(), {0xE2, 0xFE, 0xF4});
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        runner.enter_protected_mode();
        runner.code(code);
        runner.edit().set_reg<u32>(kEcx, 3);
        runner.apply();
        const std::vector<u32> places = {kStart,      kStart + 3,   kStart + 63,
                                         kStart + 64, kStart + 130, kStart + kCount - 1};
        std::vector<u32> set = places;
        for (const u32 place : {kStart + 3, kStart + 66, kStart + 129})
            set.insert(set.end(), {place + kPageSize, place - kPageSize});
        set.push_back(kStart + kCount + 1); // within LOOP
        runner.cpu.set_breakpoints(set);
        for (const u32 place : places) {
            ASSERT_EQ(runner.run(), CpuStop::Breakpoint);
            EXPECT_EQ(runner.cpu.linear_eip(), place);
        }
        EXPECT_EQ(runner.run(), CpuStop::Halted);
        EXPECT_EQ(runner.cpu.instructions(), kCount + 4);
    }
}

TEST(Shutdown, ExecutesNothingMore) {
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        runner.enter_protected_mode();
        runner.edit().idtr.limit = 0;
        runner.apply();
        runner.code({0x41, 0xF4});
        runner.cpu.set_line(1, true); // an NMI without a gate: triple fault
        EXPECT_EQ(runner.run(), CpuStop::Shutdown);
        EXPECT_EQ(runner.reg(kEcx), 0u);
    }
}

TEST(TaskSwitches, TrapIfTheTaskSaysSoAndDropLocalBreakpoints) {
    const Log log = run_in_every_way({0x9A, 0, 0, 0, 0, CodeRunner::kTss2, 0}, [](CodeRunner& runner) {
        runner.put(0x11000, {0x0F, 0x21, 0xF8, 0xE7, 0xE8, 0xF4}); // mov eax, dr7; out E8, eax; hlt
        runner.put32(CodeRunner::kTss2At + 0x20, 0x11000);
        runner.put32(CodeRunner::kTss2At + 0x24, 2);
        runner.put32(CodeRunner::kTss2At + 0x38, 0x7000);
        for (u32 at = 0x48; at < 0x60; at += 4)
            runner.put32(CodeRunner::kTss2At + at, CodeRunner::kData);
        runner.put32(CodeRunner::kTss2At + 0x4C, CodeRunner::kCode);
        runner.put32(CodeRunner::kTss2At + 0x64, 1);
        runner.edit().dr[7] = 0x400 | 0x3; // L0 and G0
        runner.edit().dr[0] = 0x12345;
        runner.apply();
    });
    EXPECT_EQ(log, (Log{0x11000, kDr6 | 1u << 15, 0x402}));
}

// A debugger that goes elsewhere takes nothing of a shadow along: MOV SS there casts its own.
TEST(SingleStep, IsHeldBackByMovSsAlsoWhereADebuggerWentFromAnother) {
    CodeRunner runner;
    runner.enter_protected_mode(0);
    runner.code({0x8E, 0xD0, 0x90, 0x90}); // mov ss, eax
    runner.edit().set_reg<u32>(kEax, CodeRunner::kData);
    runner.apply();
    runner.step();
    EXPECT_EQ(runner.eip(), kStart + 2);
    runner.edit().eip = kStart;
    runner.edit().set_eflags(runner.edit().eflags() | kFlagT);
    runner.apply();
    EXPECT_EQ(runner.run(), CpuStop::Halted);
    EXPECT_EQ(runner.log, (Log{1}));
    EXPECT_EQ(runner.stack32(0), kStart + 3) << "behind the first NOP";
}

TEST(AlignmentChecks, FaultAtRing3WithAcAndAm) {
    for (const Way way : every_way()) {
        for (const bool armed : {false, true}) {
            CodeRunner runner(way);
            runner.enter_protected_mode(3);
            // mov ecx, [8000]; mov ecx, [8002]; int 20h
            runner.code({0x8B, 0x0D, 0, 0x80, 0, 0, 0x8B, 0x0D, 2, 0x80, 0, 0, 0xCD, 0x20});
            runner.edit().cr0 |= kCr0Am;
            runner.edit().set_eflags(armed ? u32{kFlagAc} : 0);
            runner.apply();
            EXPECT_EQ(runner.run(), CpuStop::Halted);
            EXPECT_EQ(runner.log, (Log{armed ? 17u : 0x20u}));
            if (armed) {
                EXPECT_EQ(runner.stack32(0), 0u) << "the error code";
                EXPECT_EQ(runner.stack32(1), kStart + 6);
            }
        }
    }
}

// SDM 3A, table 6-7: a state image by operand size, extended precision by eight bytes. The operand is [ebx] or [edi].
TEST(AlignmentChecks, AskNoMoreOfAStateImageThanItsFieldsNeed) {
    struct Case {
        std::vector<int> bytes;
        u32 alignment;
    };
    const Case cases[] = {
        {{0xDD, 0x23}, 4},             // frstor
        {{0xDD, 0x33}, 4},             // fnsave
        {{0xD9, 0x23}, 4},             // fldenv
        {{0xD9, 0x33}, 4},             // fnstenv
        {{0x66, 0xDD, 0x23}, 2},       // frstor
        {{0x66, 0xDD, 0x33}, 2},       // fnsave
        {{0x66, 0xD9, 0x33}, 2},       // fnstenv
        {{0xDB, 0x2B}, 8},             // fld tbyte
        {{0xDB, 0x3B}, 8},             // fstp tbyte
        {{0xDF, 0x33}, 8},             // fbstp
        {{0x66, 0x0F, 0xF7, 0xC1}, 8}, // maskmovdqu xmm0, xmm1
    };
    for (const Case& one : cases) {
        for (const u32 misaligned_by : {8u, 4u, 2u, 1u}) {
            CodeRunner runner;
            runner.enter_protected_mode(3);
            runner.code(one.bytes);
            const u32 address = 0xB000 + misaligned_by;
            for (u32 at = 0; at < 112; at += 4)
                runner.put32(address + at, 0x5555037F);
            runner.edit().cr0 |= kCr0Am;
            runner.edit().cr4 |= kCr4OsFxsr;
            runner.edit().set_eflags(kFlagAc);
            runner.edit().set_reg<u32>(kEbx, address);
            runner.edit().set_reg<u32>(kEdi, address);
            runner.edit().x87.initialise();
            runner.edit().x87.occupied = 1;
            runner.apply();
            runner.step();
            const bool faulted = runner.cpu.state().cpl == 0;
            EXPECT_EQ(faulted, misaligned_by < one.alignment) << one.bytes[0] << " at " << misaligned_by;
            for (u32 at = 0; faulted && at < 112; at += 4)
                ASSERT_EQ(runner.get32(address + at), 0x5555037Fu) << "half of it was stored";
        }
    }
}

} // namespace
} // namespace forkscope::test
