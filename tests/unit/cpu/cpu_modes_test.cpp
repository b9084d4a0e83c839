// Real mode, and virtual-8086 mode with its extensions (CR4.VME, CR4.PVI): SDM 3A chapter 20. SYSENTER and SYSEXIT.
#include <gtest/gtest.h>

#include "code_runner.hpp"

namespace forkscope::test {
namespace {

using Bytes = std::vector<int>;
constexpr u32 kIopl3 = kFlagIopl;
constexpr u32 kRedirection = CodeRunner::kTssAt + 0x68; // 32 bytes, up to the I/O bitmap at 88

// Vector 20h as the 8086 program's own handler, at 1000:0100: INC CX; HLT. HLT is #GP here.
void own_handler(CodeRunner& runner) {
    runner.put16(0x20 * 4, 0x100);
    runner.put16(0x20 * 4 + 2, 0x1000);
    runner.put(CodeRunner::kStart + 0x100, {0x41, 0xF4});
}

struct Setup {
    u32 flags = 0;
    u32 cr4 = 0;
    bool redirected = true; // the bit of vector 20h is clear
};

struct Ended {
    std::vector<u32> log;
    u32 flags = 0; // in the frame of the fault that ended it
    u32 eip = 0;
    u32 eax = 0, ecx = 0;
    u16 sp = 0;
    u16 top[3] = {}; // words on the task's stack
    u64 hash = 0;
    bool operator==(const Ended& other) const {
        return log == other.log && flags == other.flags && eip == other.eip && hash == other.hash;
    }
};

// Ends with whatever enters ring 0, usually the #GP of a HLT.
Ended run(const Bytes& code, const Setup& setup) {
    Ended result;
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        runner.enter_virtual_8086(setup.flags);
        runner.edit().cr4 = setup.cr4;
        runner.apply();
        runner.put(kRedirection + 0x20 / 8, {setup.redirected ? 0 : 1});
        own_handler(runner);
        runner.code(code);
        EXPECT_EQ(runner.run(), CpuStop::Halted);
        Ended ended;
        ended.log = runner.log;
        const u32 skip = runner.log[0] == 13 ? 1 : 0;
        ended.eip = runner.stack32(skip);
        ended.flags = runner.stack32(skip + 2);
        ended.sp = static_cast<u16>(runner.stack32(skip + 3));
        ended.ecx = runner.reg(kEcx);
        for (u32 i = 0; i < 3; ++i)
            ended.top[i] = runner.get16(ended.sp + i * 2);
        ended.hash = runner.hash();
        if (way.engine == EngineKind::Interpreter && way.fast_table)
            result = ended;
        EXPECT_TRUE(ended == result);
    }
    return result;
}

using Log = std::vector<u32>;

TEST(Virtual8086, NeedsIopl3ForTheFlagInstructionsWithoutVme) {
    for (const Bytes& code : {Bytes{0xFA}, Bytes{0xFB}, Bytes{0x9C}, Bytes{0x9D}, Bytes{0xCD, 0x20}, Bytes{0xCF}}) {
        const Ended ended = run(code, {});
        EXPECT_EQ(ended.log, (Log{13})) << std::hex << code[0];
        EXPECT_EQ(ended.eip, 0u);
    }
    EXPECT_EQ(run({0xFB, 0xF4}, {kIopl3, 0}).flags & kFlagI, u32{kFlagI});
}

TEST(Virtual8086, ChangesVifInPlaceOfIfWithVme) {
    const Ended on = run({0xFB, 0xF4}, {0, kCr4Vme}); // sti; hlt
    EXPECT_EQ(on.eip, 1u);
    EXPECT_EQ(on.flags & (kFlagI | kFlagVif), u32{kFlagVif});
    const Ended off = run({0xFA, 0xF4}, {kFlagVif | kFlagI, kCr4Vme}); // cli; hlt
    EXPECT_EQ(off.flags & (kFlagI | kFlagVif), u32{kFlagI});
    const Ended pending = run({0xFB, 0xF4}, {kFlagVip, kCr4Vme});
    EXPECT_EQ(pending.log, (Log{13}));
    EXPECT_EQ(pending.eip, 0u) << "STI with VIP set";
    // With IOPL 3 it is the real one.
    EXPECT_EQ(run({0xFB, 0xF4}, {kIopl3, kCr4Vme}).flags & (kFlagI | kFlagVif), u32{kFlagI});
}

TEST(Virtual8086, PushesVifAsIfAndIopl3WithVme) {
    const Ended ended = run({0x9C, 0xF4}, {kFlagVif, kCr4Vme}); // pushf; hlt
    EXPECT_EQ(ended.eip, 1u);
    EXPECT_EQ(ended.top[0] & (kFlagI | kFlagIopl), u32{kFlagI | kFlagIopl});
    EXPECT_EQ(run({0x9C, 0xF4}, {kFlagI, kCr4Vme}).top[0] & (kFlagI | kFlagIopl), u32{kFlagIopl});
    // 32-bit forms are not helped.
    EXPECT_EQ(run({0x66, 0x9C, 0xF4}, {kFlagVif, kCr4Vme}).eip, 0u);
}

TEST(Virtual8086, PopsIfIntoVifWithVme) {
    // push 0200; popf; hlt
    const Ended ended = run({0x68, 0x00, 0x02, 0x9D, 0xF4}, {0, kCr4Vme});
    EXPECT_EQ(ended.eip, 4u);
    EXPECT_EQ(ended.flags & (kFlagI | kFlagVif | kFlagIopl), u32{kFlagVif});
    EXPECT_EQ(run({0x68, 0x00, 0x02, 0x9D, 0xF4}, {kFlagVip, kCr4Vme}).eip, 3u) << "VIP";
    EXPECT_EQ(run({0x68, 0x00, 0x01, 0x9D, 0xF4}, {0, kCr4Vme}).eip, 3u) << "TF";
    EXPECT_EQ(run({0x68, 0x00, 0x00, 0x9D, 0xF4}, {kFlagVif, kCr4Vme}).flags & kFlagVif, 0u);
}

TEST(Virtual8086, FaultsBeforeAnInstructionWithVifAndVip) {
    const Ended ended = run({0x90, 0xF4}, {kFlagVip | kFlagVif, kCr4Vme});
    EXPECT_EQ(ended.log, (Log{13}));
    EXPECT_EQ(ended.eip, 0u);
    EXPECT_EQ(run({0x90, 0xF4}, {kFlagVip | kFlagVif, 0}).eip, 1u) << "without VME they mean nothing";
}

TEST(Virtual8086, ReturnsWithVifWithVme) {
    // push 0201 (flags); push 1000 (cs); push 0200 (ip); iret. At 0200: hlt
    const Bytes code = {0x68, 0x01, 0x02, 0x68, 0x00, 0x10, 0x68, 0x10, 0x00,
                        0xCF, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xF4};
    const Ended ended = run(code, {0, kCr4Vme});
    EXPECT_EQ(ended.eip, 0x10u);
    EXPECT_EQ(ended.flags & (kFlagI | kFlagVif | kFlagC), u32{kFlagVif | kFlagC});
    EXPECT_EQ(ended.sp, CodeRunner::kUserStack);
    const Ended refused = run(code, {kFlagVip, kCr4Vme});
    EXPECT_EQ(refused.eip, 9u);
    EXPECT_EQ(refused.sp, CodeRunner::kUserStack - 6);
}

TEST(Virtual8086, LeavesInterruptsToTheProgramAsTheBitmapSays) {
    const Ended ended = run({0xCD, 0x20}, {kFlagVif | kFlagI, kCr4Vme});
    EXPECT_EQ(ended.log, (Log{13}));
    EXPECT_EQ(ended.eip, 0x101u) << "the HLT of its own handler";
    EXPECT_EQ(ended.flags & (kFlagI | kFlagVif), u32{kFlagI});
    EXPECT_EQ(ended.top[0], 2u);
    EXPECT_EQ(ended.top[1], 0x1000u);
    EXPECT_EQ(ended.top[2] & (kFlagI | kFlagIopl), u32{kFlagI | kFlagIopl});
    // The same with IOPL 3: the real IF.
    EXPECT_EQ(run({0xCD, 0x20}, {kFlagI | kIopl3, kCr4Vme}).flags & (kFlagI | kFlagVif), 0u);
    // A set bit keeps it for the monitor.
    EXPECT_EQ(run({0xCD, 0x20}, {0, kCr4Vme, false}).log, (Log{13}));
    EXPECT_EQ(run({0xCD, 0x20}, {0, kCr4Vme, false}).eip, 0u);
    EXPECT_EQ(run({0xCD, 0x20}, {kIopl3, kCr4Vme, false}).log, (Log{0x20}));
    EXPECT_EQ(run({0xCD, 0x20}, {kIopl3, 0}).log, (Log{0x20}));
    // INT3 is never redirected.
    EXPECT_EQ(run({0xCC}, {0, kCr4Vme}).log, (Log{3}));
}

TEST(ProtectedModeVirtualInterrupts, ChangeVifAtRing3) {
    for (const Way way : every_way()) {
        for (const u32 cr4 : {u32{0}, u32{kCr4Pvi}}) {
            CodeRunner runner(way);
            runner.enter_protected_mode(3);
            runner.edit().cr4 = cr4;
            runner.edit().set_eflags(kFlagI);
            runner.apply();
            runner.code({0xFB, 0xCD, 0x20}); // sti; int 20h
            runner.run();
            EXPECT_EQ(runner.log, (Log{cr4 == 0 ? 13u : 0x20u}));
            if (cr4 != 0) {
                EXPECT_EQ(runner.stack32(2) & (kFlagI | kFlagVif), u32{kFlagI | kFlagVif});
            }
        }
        CodeRunner runner(way);
        runner.enter_protected_mode(3);
        runner.edit().cr4 = kCr4Pvi;
        runner.edit().set_eflags(kFlagVip);
        runner.apply();
        runner.code({0xFA, 0xFB, 0xCD, 0x20}); // cli; sti: #GP as VIP is set
        runner.run();
        EXPECT_EQ(runner.log, (Log{13}));
        EXPECT_EQ(runner.stack32(1), CodeRunner::kStart + 1);
    }
}

TEST(FastSystemCalls, GoToRing0AndBack) {
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        runner.enter_protected_mode(3);
        runner.edit().sysenter = {CodeRunner::kCode, 0x8000, 0x11000};
        runner.edit().set_eflags(kFlagI);
        runner.apply();
        runner.code({0x0F, 0x34}); // sysenter
        // At 11000, ring 0: mov edx, 12000; mov ecx, 7000; sysexit
        runner.put(0x11000, {0xBA, 0, 0x20, 1, 0, 0xB9, 0, 0x70, 0, 0, 0x0F, 0x35});
        runner.cpu.run_until(kNever, runner.cpu.instructions() + 1);
        EXPECT_EQ(runner.cpu.state().cpl, 0);
        EXPECT_EQ(runner.cpu.state().segments[kSs].selector, CodeRunner::kData);
        EXPECT_EQ(runner.cpu.state().esp(), 0x8000u);
        EXPECT_FALSE(runner.cpu.state().flag(kFlagI));
        runner.cpu.run_until(kNever, runner.cpu.instructions() + 3);
        EXPECT_EQ(runner.cpu.state().cpl, 3);
        EXPECT_EQ(runner.eip(), 0x12000u);
        EXPECT_EQ(runner.cpu.state().esp(), 0x7000u);
        EXPECT_EQ(runner.cpu.state().segments[kCs].selector, CodeRunner::kCode + 16 + 3);
        EXPECT_EQ(runner.cpu.state().segments[kSs].selector, CodeRunner::kCode + 24 + 3);
    }
    CodeRunner runner;
    runner.enter_protected_mode(3);
    runner.code({0x0F, 0x34});
    runner.run();
    EXPECT_EQ(runner.log, (Log{13})) << "SYSENTER_CS is null";
}

struct TransferEvents : TraceSink {
    TraceKinds kinds() const override { return trace_kinds({TraceKind::Interrupt, TraceKind::InterruptReturn}); }
    void on_event(const TraceEvent& event) override { events.push_back(event); }
    std::vector<TraceEvent> events;
};

TEST(FastSystemCalls, AreSeenLikeInterruptsAndTheirReturns) {
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        runner.enter_protected_mode(3);
        runner.edit().sysenter = {CodeRunner::kCode, 0x8000, 0x11000};
        runner.apply();
        TransferEvents seen;
        runner.cpu.tracer().set_sink(&seen);
        runner.code({0x90, 0x0F, 0x34}); // nop; sysenter
        runner.put(0x11000, {0xBA, 0, 0x20, 1, 0, 0xB9, 0, 0x70, 0, 0, 0x0F, 0x35});
        runner.cpu.run_until(kNever, runner.cpu.instructions() + 5);
        ASSERT_EQ(seen.events.size(), 2u);
        const TraceEvent& call = seen.events[0];
        EXPECT_EQ(call.kind, TraceKind::Interrupt);
        EXPECT_EQ(call.a, kNoVector);
        EXPECT_TRUE(is_system_call(call));
        EXPECT_EQ(interrupt_cause(call), InterruptCause::Sysenter);
        EXPECT_EQ(kInterruptFromCpl(call), 3u);
        EXPECT_EQ(call.d, CodeRunner::kStart + 3) << "the instruction after it";
        EXPECT_EQ(call.eip, CodeRunner::kStart + 1);
        EXPECT_EQ(call.instructions, 1u) << "as INT: before it has retired";
        const TraceEvent& back = seen.events[1];
        EXPECT_EQ(back.kind, TraceKind::InterruptReturn);
        EXPECT_EQ(back.a, 0x12000u);
        EXPECT_EQ(back.b, 0u);
        EXPECT_EQ(back.c, 3u);
        runner.cpu.tracer().set_sink(nullptr);
    }
    CodeRunner runner;
    runner.enter_protected_mode(3);
    TransferEvents seen;
    runner.cpu.tracer().set_sink(&seen);
    runner.code({0x0F, 0x34});
    runner.run();
    ASSERT_EQ(seen.events.size(), 1u) << "SYSENTER_CS is null: #GP alone";
    EXPECT_EQ(interrupt_cause(seen.events[0]), InterruptCause::Fault);
    runner.cpu.tracer().set_sink(nullptr);
}

TEST(RealMode, WritesThroughCsAfterAWayThroughProtectedMode) {
    for (const Way way : every_way()) {
        CodeRunner runner(way);
        runner.enter_protected_mode();
        // In a 16-bit code segment at 10000: mov eax, cr0; and al, FE; mov cr0, eax; jmp 1000:0010
        runner.descriptor(CodeRunner::kCode16, CodeRunner::kStart, 0xFFFF, 0x9A, false);
        runner.code({0x0F, 0x20, 0xC0, 0x24, 0xFE, 0x0F, 0x22, 0xC0, 0xEA, 0x10, 0x00, 0x00, 0x10});
        // cs mov byte [80], 5A; hlt
        runner.put(CodeRunner::kStart + 0x10, {0x2E, 0xC6, 0x06, 0x80, 0x00, 0x5A, 0xF4});
        CpuState& state = runner.edit();
        state.segments[kCs] = SegmentCache::from(
            CodeRunner::kCode16,
            {u64{runner.get32(CodeRunner::kGdt + 0x34)} << 32 | runner.get32(CodeRunner::kGdt + 0x30), {}});
        state.eip = 0;
        runner.apply();
        EXPECT_EQ(runner.run(), CpuStop::Halted);
        EXPECT_EQ(runner.log, Log{});
        EXPECT_EQ(runner.get32(CodeRunner::kStart + 0x80), 0x5Au);
    }
}

TEST(RealMode, ChecksLimitsAtTheEndOfASegment) {
    struct Case {
        Bytes code;
        std::vector<u32> log;
    };
    const Case cases[] = {
        {{0xA1, 0xFF, 0xFF, 0xF4}, {13}},                   // mov ax, [FFFF]
        {{0xA0, 0xFF, 0xFF, 0xF4}, {}},                     // mov al, [FFFF]
        {{0x36, 0xA1, 0xFF, 0xFF, 0xF4}, {12}},             // mov ax, ss:[FFFF]
        {{0x67, 0xA0, 0, 0, 1, 0, 0xF4}, {13}},             // mov al, [00010000]
        {{0xBC, 0x01, 0x00, 0x50, 0xF4}, {12}},             // mov sp, 1; push ax: the word lies at FFFF
        {{0x26, 0x36, 0x3E, 0xA1, 0xFF, 0xFF, 0xF4}, {13}}, // the last override counts
        {{0x3E, 0x36, 0xA1, 0xFF, 0xFF, 0xF4}, {12}},
    };
    for (const Case& c : cases) {
        for (const Way way : every_way()) {
            CodeRunner runner(way);
            runner.enter_real_mode();
            runner.code(c.code);
            const CpuStop reason = runner.run();
            if (c.code[0] == 0xBC) {
                EXPECT_EQ(reason, CpuStop::Shutdown) << "no room for the frame of #SS either, nor for #DF's";
                continue;
            }
            EXPECT_EQ(reason, CpuStop::Halted);
            EXPECT_EQ(runner.log, c.log) << std::hex << c.code[0];
        }
    }
}

TEST(Instructions, AreAtMostFifteenBytesLong) {
    for (const Way way : every_way()) {
        for (const u32 prefixes : {14u, 15u}) {
            CodeRunner runner(way);
            runner.enter_protected_mode();
            Bytes code(prefixes, 0x3E);
            code.insert(code.end(), {0x90, 0xF4});
            runner.code(code);
            EXPECT_EQ(runner.run(), CpuStop::Halted);
            EXPECT_EQ(runner.log, prefixes == 14 ? Log{} : Log{13});
        }
    }
}

} // namespace
} // namespace forkscope::test
