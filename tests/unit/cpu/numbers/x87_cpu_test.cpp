// What the x87 does to the rest of the processor: deferred exceptions, #NM, FERR#, environments in memory, pointers.
#include <cstring>
#include <initializer_list>

#include <gtest/gtest.h>

#include "cpu/cpu.hpp"

namespace forkscope::test {
namespace {

constexpr u32 kCode = 0x1000;
constexpr u32 kData = 0x2000;
constexpr u32 kHandlers = 0x4000; // 16 bytes a vector, with a jump to itself
constexpr u16 kJumpToItself = 0xFEEB;
constexpr u32 kIdt = 0x600;
constexpr u32 kGdt = 0x500;

enum class Mode { Real, Protected };

struct ErrorPin : InterruptInput {
    void set_line(u8, bool level) override { high = level; }
    bool high = false;
};

class Program {
  public:
    explicit Program(Mode mode = Mode::Protected)
        : memory_(u64{1} << 20), mmu_(memory_, bus_, tracer_), cpu_(mmu_, bus_, tracer_) {
        cpu_.set_float_error_line({&error_pin, 0});
        CpuState state = cpu_.state();
        state.cr0 = kCr0Et | kCr0Ne;
        if (mode == Mode::Protected)
            enter_protected_mode(state);
        else
            enter_real_mode(state);
        state.set_reg<u32>(kEsp, 0x8000);
        state.gpr[kEbx] = kData;
        state.x87.initialise();
        cpu_.set_state(state);
        for (u32 vector = 0; vector < 32; ++vector)
            put<u16>(kHandlers + 16 * vector, kJumpToItself);
    }

    template <class T> void put(u32 address, T value) {
        std::memcpy(memory_.host(PhysicalAddress(address)), &value, sizeof value);
    }
    template <class T> T get(u32 address) {
        T value;
        std::memcpy(&value, memory_.host(PhysicalAddress(address)), sizeof value);
        return value;
    }

    // Runs the bytes. Returns the vector that stopped them, or -1.
    int run(std::initializer_list<u8> bytes) {
        load(bytes);
        return go();
    }
    void load(std::initializer_list<u8> bytes) {
        u32 at = kCode;
        for (const u8 byte : bytes)
            put<u8>(at++, byte);
        put<u16>(at, kJumpToItself);
        end_ = at;
        cpu_.forget_derived_state(); // the code was not written by the guest
        edit([](CpuState& state) { state.eip = kCode; });
    }
    int go() {
        cpu_.run_until(cpu_.now() + 100000, cpu_.instructions() + 1000);
        const u32 eip = cpu_.state().eip;
        if (eip >= kHandlers && eip < kHandlers + 32 * 16)
            return static_cast<int>(eip - kHandlers) / 16;
        EXPECT_EQ(eip, end_);
        return -1;
    }
    // Where the exception was: the return address on its stack frame.
    u32 fault_eip() { return get<u32>(cpu_.state().esp()); }

    template <class Edit> void edit(Edit change) {
        CpuState state = cpu_.state();
        change(state);
        cpu_.set_state(state);
    }
    const X87State& x87() const { return cpu_.state().x87; }
    Cpu& cpu() { return cpu_; }
    u64 hash() {
        HashArchive archive;
        cpu_.serialize(archive);
        return archive.digest();
    }

    ErrorPin error_pin;

  private:
    void enter_protected_mode(CpuState& state) {
        state.cr0 |= kCr0Pe;
        put<u64>(kGdt + 8, 0x00CF9B000000FFFF);
        put<u64>(kGdt + 16, 0x00CF93000000FFFF);
        state.gdtr = {kGdt, 23};
        state.idtr = {kIdt, 8 * 32 - 1};
        for (u32 vector = 0; vector < 32; ++vector)
            put<u64>(kIdt + 8 * vector, u64{0x8E00} << 32 | 0x80000 | (kHandlers + 16 * vector));
        for (SegmentCache& segment : state.segments)
            segment = SegmentCache::from(0x10, {0x00CF93000000FFFF, {}});
        state.segments[kCs] = SegmentCache::from(0x08, {0x00CF9B000000FFFF, {}});
    }
    void enter_real_mode(CpuState& state) {
        state.idtr = {0, 0x3FF};
        for (u32 vector = 0; vector < 32; ++vector)
            put<u32>(4 * vector, kHandlers + 16 * vector);
        for (u8 segment = 0; segment < kSegmentCount; ++segment)
            state.segments[segment] = SegmentCache::at_reset(0, 0);
    }

    Bus bus_;
    Tracer tracer_;
    PhysicalMemory memory_;
    Mmu mmu_;
    Cpu cpu_;
    u32 end_ = 0;
};

// FLDCW [ebx]; FLD1; FLDZ; FDIVP: 1 / 0.
constexpr u8 kDivideByZero[] = {0xD9, 0x2B, 0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9};
#define DIVIDE_BY_ZERO 0xD9, 0x2B, 0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9

TEST(X87Cpu, DefersAnExceptionToTheNextWaitingInstruction) {
    Program program;
    program.put<u16>(kData, 0x037B); // division by zero unmasked
    EXPECT_EQ(program.run({DIVIDE_BY_ZERO}), -1);
    EXPECT_TRUE(program.x87().error_pending());
    EXPECT_EQ(program.x87().status_word(), 0xB084); // busy, TOP 6, error summary, zero divide
    EXPECT_EQ(program.x87().top, 6);                // no result, no pop

    EXPECT_EQ(program.run({0xD9, 0xE8}), kFloatingPoint);
    EXPECT_EQ(program.fault_eip(), kCode);
    EXPECT_EQ(program.x87().top, 6);
}

TEST(X87Cpu, ReportsThePendingExceptionBeforeAFaultOfTheOperand) {
    Program program;
    program.put<u16>(kData, 0x037B);
    EXPECT_EQ(program.run({DIVIDE_BY_ZERO}), -1);
    program.edit([](CpuState& state) {
        state.segments[kDs].limit = 0xFFF;
        state.segments[kDs].flat_read = state.segments[kDs].flat_write = false;
    });
    EXPECT_EQ(program.run({0xD9, 0x03}), kFloatingPoint); // fld dword [ebx]
    EXPECT_EQ(program.run({0xDB, 0xE2, 0xD9, 0x03}), kGeneralProtection);
}

TEST(X87Cpu, LetsFwaitReportAndTheOthersPass) {
    Program program;
    program.put<u16>(kData, 0x037B);
    EXPECT_EQ(program.run({DIVIDE_BY_ZERO, 0x9B}), kFloatingPoint);
    EXPECT_EQ(program.fault_eip(), kCode + sizeof kDivideByZero);
    EXPECT_EQ(program.run({0xD9, 0x7B, 0x10, 0xDD, 0x7B, 0x12, 0xDF, 0xE0}), -1); // fnstcw, fnstsw, fnstsw ax
    EXPECT_EQ(program.get<u16>(kData + 0x10), 0x037B);
    EXPECT_EQ(program.get<u16>(kData + 0x12), 0xB084);
    EXPECT_EQ(program.cpu().state().reg<u16>(kEax), 0xB084);
    EXPECT_EQ(program.run({0xDB, 0xE0, 0xDB, 0xE1, 0xDB, 0xE4}), -1); // feni, fdisi, fsetpm
    EXPECT_EQ(program.run({0xD9, 0x73, 0x20}), -1);                   // fnstenv masks everything
    EXPECT_EQ(program.x87().control, 0x037F);
    EXPECT_EQ(program.run({0x9B}), -1);
    EXPECT_EQ(program.run({0xD9, 0x63, 0x20}), -1); // fldenv brings the exception back
    EXPECT_EQ(program.run({0x9B}), kFloatingPoint);
    EXPECT_EQ(program.run({0xDB, 0xE2, 0x9B}), -1); // fnclex
    EXPECT_EQ(program.x87().status_word(), 0x3000);
}

TEST(X87Cpu, RaisesDeviceNotAvailable) {
    struct Case {
        u32 cr0;
        bool wait_too;
    };
    for (const Case& c :
         {Case{kCr0Em, false}, Case{kCr0Ts, false}, Case{kCr0Ts | kCr0Mp, true}, Case{kCr0Em | kCr0Mp, false}}) {
        Program program;
        program.edit([&](CpuState& state) { state.cr0 |= c.cr0; });
        EXPECT_EQ(program.run({0xD9, 0xE8}), kDeviceNotAvailable);
        EXPECT_EQ(program.run({0xDB, 0xE3}), kDeviceNotAvailable);
        EXPECT_EQ(program.run({0xDF, 0xE0}), kDeviceNotAvailable);
        EXPECT_EQ(program.run({0xD9, 0x3B}), kDeviceNotAvailable);
        EXPECT_EQ(program.run({0x9B}), c.wait_too ? kDeviceNotAvailable : -1);
    }
}

TEST(X87Cpu, TellsStackOverflowFromUnderflow) {
    Program program;
    EXPECT_EQ(program.run({0xD9, 0xC0}), -1); // fld st(0) of an empty stack
    EXPECT_EQ(program.x87().status_word(), 0x3841);
    EXPECT_EQ(program.x87().st(0), Float80::indefinite());
    EXPECT_EQ(program.run({0xDB, 0xE3, 0xD9, 0xE8, 0xD9, 0xE8, 0xD9, 0xE8, 0xD9, 0xE8,
                           0xD9, 0xE8, 0xD9, 0xE8, 0xD9, 0xE8, 0xD9, 0xE8, 0xD9, 0xEE}),
              -1); // nine loads
    EXPECT_EQ(program.x87().status_word(), 0x3A41);
    EXPECT_EQ(program.x87().st(0), Float80::indefinite());

    program.put<u16>(kData, 0x037E);                                  // invalid operation unmasked
    EXPECT_EQ(program.run({0xDB, 0xE3, 0xD9, 0x2B, 0xD9, 0xC0}), -1); // nothing is pushed
    EXPECT_EQ(program.x87().status_word(), 0x80C1);
    EXPECT_EQ(program.x87().tag_word(), 0xFFFF);
}

TEST(X87Cpu, LeavesEverythingAloneWhenTheOperandFaults) {
    Program program;
    EXPECT_EQ(program.run({0xD9, 0xE8}), -1);
    const X87State before = program.x87();
    program.edit([](CpuState& state) {
        state.segments[kDs].limit = kData + 8; // one byte of a tbyte is outside
        state.segments[kDs].flat_read = state.segments[kDs].flat_write = false;
    });
    EXPECT_EQ(program.run({0xDB, 0x2B}), kGeneralProtection);       // fld tbyte [ebx]
    EXPECT_EQ(program.run({0xDB, 0x3B}), kGeneralProtection);       // fstp tbyte [ebx]
    EXPECT_EQ(program.run({0xD9, 0x33}), kGeneralProtection);       // fnstenv [ebx]
    EXPECT_EQ(program.run({0xDD, 0x33}), kGeneralProtection);       // fnsave [ebx]
    EXPECT_EQ(program.run({0xDD, 0x23}), kGeneralProtection);       // frstor [ebx]
    EXPECT_EQ(program.run({0xDC, 0x43, 0x04}), kGeneralProtection); // fadd qword [ebx+4]
    EXPECT_EQ(program.x87().registers, before.registers);
    EXPECT_EQ(program.x87().status_word(), before.status_word());
    EXPECT_EQ(program.x87().control, before.control);
    EXPECT_EQ(program.x87().instruction_offset, before.instruction_offset);
    EXPECT_EQ(program.get<u64>(kData), 0u);
}

// FST, FSTP, FIST, FISTP, FBSTP of an empty ST(0), invalid operation unmasked: nothing would be stored.
TEST(X87Cpu, ReportsAFaultOfTheOperandAlsoWhereNothingIsStored) {
    for (const auto& [opcode, reg] : {std::pair<u8, u8>{0xD9, 2}, {0xDD, 3}, {0xDB, 7}, {0xDF, 3}, {0xDF, 6}}) {
        Program program;
        program.put<u16>(kData, 0x037E);
        ASSERT_EQ(program.run({0xD9, 0x2B}), -1);
        const u8 mod_rm = static_cast<u8>(reg << 3 | kEbx);
        program.edit([](CpuState& state) {
            state.segments[kDs].limit = kData - 1;
            state.segments[kDs].flat_read = state.segments[kDs].flat_write = false;
        });
        EXPECT_EQ(program.run({opcode, mod_rm}), kGeneralProtection) << int{opcode};
        EXPECT_EQ(program.x87().status_word(), 0);
        program.edit([](CpuState& state) { state.segments[kDs].limit = 0xFFFF; });
        EXPECT_EQ(program.run({opcode, mod_rm}), -1);
        EXPECT_EQ(program.x87().status_word(), 0x80C1); // invalid, stack fault, error summary, busy
    }
}

// SDM 1, 8.1.8: control instructions do not count.
TEST(X87Cpu, PointsToTheLastInstructionThatWasNoControlInstruction) {
    Program program;
    EXPECT_EQ(program.run({0xD9, 0xE8, 0xD8, 0x43, 0x08, 0xD9, 0x3B, 0xDF, 0xE0, 0x9B}), -1); // fld1; fadd [ebx+8]; ...
    EXPECT_EQ(program.x87().instruction_offset, kCode + 2);
    EXPECT_EQ(program.x87().instruction_selector, 0x08);
    EXPECT_EQ(program.x87().data_offset, kData + 8);
    EXPECT_EQ(program.x87().data_selector, 0x10);
    EXPECT_EQ(program.x87().opcode, 0x043);
    EXPECT_EQ(program.run({0xD9, 0xE8}), -1); // no memory operand: the data pointer stays
    EXPECT_EQ(program.x87().opcode, 0x1E8);
    EXPECT_EQ(program.x87().data_offset, kData + 8);
}

// SDM 1, figures 8-9 to 8-12.
void set_pointers(CpuState& state) {
    state.x87.instruction_offset = 0x00045678;
    state.x87.instruction_selector = 0x1B;
    state.x87.data_offset = 0x0009ABCD;
    state.x87.data_selector = 0x23;
    state.x87.opcode = 0x5A5;
    state.x87.set_status_word(0x2A21);
    state.x87.occupied = 0x81;
}

TEST(X87Cpu, WritesThe32BitEnvironmentOfProtectedMode) {
    Program program;
    program.edit(set_pointers);
    ASSERT_EQ(program.run({0xD9, 0x33}), -1);
    const u32 expected[] = {0xFFFF037F, 0xFFFF2A21, 0xFFFF7FFD, 0x00045678, 0x05A5001B, 0x0009ABCD, 0xFFFF0023};
    for (u32 i = 0; i < 7; ++i)
        EXPECT_EQ(program.get<u32>(kData + 4 * i), expected[i]) << i;
    EXPECT_EQ(program.get<u32>(kData + 28), 0u);
}

TEST(X87Cpu, WritesThe16BitEnvironmentOfProtectedMode) {
    Program program;
    program.edit(set_pointers);
    ASSERT_EQ(program.run({0x66, 0xD9, 0x33}), -1);
    const u16 expected[] = {0x037F, 0x2A21, 0x7FFD, 0x5678, 0x001B, 0xABCD, 0x0023};
    for (u32 i = 0; i < 7; ++i)
        EXPECT_EQ(program.get<u16>(kData + 2 * i), expected[i]) << i;
    EXPECT_EQ(program.get<u16>(kData + 14), 0u);
}

TEST(X87Cpu, WritesThe32BitEnvironmentOfRealMode) {
    Program program(Mode::Real);
    program.edit(set_pointers);
    ASSERT_EQ(program.run({0x66, 0xD9, 0x37}), -1); // [bx]
    // Linear addresses: 1B0h + 45678h and 230h + 9ABCDh.
    const u32 expected[] = {0xFFFF037F, 0xFFFF2A21, 0xFFFF7FFD, 0xFFFF5828, 0x000045A5, 0xFFFFADFD, 0x00009000};
    for (u32 i = 0; i < 7; ++i)
        EXPECT_EQ(program.get<u32>(kData + 4 * i), expected[i]) << i;
}

TEST(X87Cpu, WritesThe16BitEnvironmentOfRealMode) {
    Program program(Mode::Real);
    program.edit(set_pointers);
    ASSERT_EQ(program.run({0xD9, 0x37}), -1);
    const u16 expected[] = {0x037F, 0x2A21, 0x7FFD, 0x5828, 0x45A5, 0xADFD, 0x9000};
    for (u32 i = 0; i < 7; ++i)
        EXPECT_EQ(program.get<u16>(kData + 2 * i), expected[i]) << i;
}

TEST(X87Cpu, ReadsBackTheEnvironmentsThatItWrites) {
    for (const Mode mode : {Mode::Real, Mode::Protected})
        for (const bool prefixed : {false, true}) {
            Program program(mode);
            program.edit(set_pointers);
            const u8 mod_rm = mode == Mode::Real ? 0x07 : 0x03;
            const u8 prefix = prefixed ? 0x66 : 0x3E;
            ASSERT_EQ(program.run({prefix, 0xD9, static_cast<u8>(0x30 | mod_rm), 0xDB, 0xE3, 0x90}), -1);
            ASSERT_EQ(program.run({prefix, 0xD9, static_cast<u8>(0x20 | mod_rm)}), -1); // fldenv
            const X87State& x87 = program.x87();
            const bool wide = (mode == Mode::Protected) != prefixed;
            EXPECT_EQ(x87.status_word(), 0x2A21);
            EXPECT_EQ(x87.occupied, 0x81);
            const u32 instruction = mode == Mode::Real ? 0x45828 : wide ? 0x45678 : 0x5678;
            const u32 data = mode == Mode::Real ? 0x9ADFD : wide ? 0x9ABCD : 0xABCD;
            EXPECT_EQ(x87.instruction_offset, instruction);
            EXPECT_EQ(x87.data_offset, data);
            EXPECT_EQ(x87.instruction_selector, mode == Mode::Real ? 0 : 0x1B);
            EXPECT_EQ(x87.opcode, mode == Mode::Real || wide ? 0x5A5 : 0);
        }
}

TEST(X87Cpu, SavesTheRegistersFromTheTopAndStartsAnew) {
    Program program;
    EXPECT_EQ(program.run({0xD9, 0xE8, 0xD9, 0xEB, 0xDD, 0x33}), -1); // fld1; fldpi; fnsave [ebx]
    EXPECT_EQ(program.get<u64>(kData + 28), 0xC90FDAA22168C235u);
    EXPECT_EQ(program.get<u16>(kData + 36), 0x4000u);
    EXPECT_EQ(program.get<u64>(kData + 38), u64{1} << 63);
    EXPECT_EQ(program.x87().tag_word(), 0xFFFF);
    EXPECT_EQ(program.x87().control, 0x037F);
    EXPECT_EQ(program.x87().top, 0);
    EXPECT_EQ(program.run({0xDD, 0x23}), -1);
    EXPECT_EQ(program.x87().top, 6);
    EXPECT_EQ(program.x87().st(0), Float80::make(false, 0x4000, 0xC90FDAA22168C235));
    EXPECT_EQ(program.x87().st(1), Float80::make(false, 0x3FFF, u64{1} << 63));
}

TEST(X87Cpu, DrivesFerrAndWaitsForTheInterruptWhereNeIsClear) {
    Program program;
    program.put<u16>(kData, 0x037B);
    program.edit([](CpuState& state) {
        state.cr0 &= ~u32{kCr0Ne};
        state.set_eflags(state.eflags() | kFlagI);
    });
    EXPECT_FALSE(program.error_pin.high);
    program.load({DIVIDE_BY_ZERO, 0xD9, 0xE8});
    program.cpu().run_until(program.cpu().now() + 10000, ~u64{0});
    EXPECT_TRUE(program.error_pin.high);
    EXPECT_TRUE(program.cpu().halted());
    EXPECT_EQ(program.cpu().state().eip, kCode + sizeof kDivideByZero);
    EXPECT_EQ(program.x87().top, 6);

    struct Thirteen : InterruptSource {
        u8 acknowledge() override { return 0x1D; }
    } source;
    program.cpu().set_interrupt_source(&source);
    program.cpu().set_line(0, true);
    program.cpu().run_until(program.cpu().now() + 100, ~u64{0});
    EXPECT_EQ(program.cpu().state().eip, kHandlers + 16 * 0x1D);
    EXPECT_EQ(program.fault_eip(), kCode + sizeof kDivideByZero);
}

TEST(X87Cpu, GoesOnWhereTheErrorIsIgnored) {
    Program program;
    program.put<u16>(kData, 0x037B);
    program.edit([](CpuState& state) { state.cr0 &= ~u32{kCr0Ne}; });
    program.cpu().set_line(2, true); // IGNNE#
    EXPECT_EQ(program.run({DIVIDE_BY_ZERO, 0xD9, 0xE8, 0x9B, 0xDB, 0xE2}), -1);
    EXPECT_EQ(program.x87().top, 5);
    EXPECT_FALSE(program.error_pin.high);
}

TEST(X87Cpu, TakesTheErrorToTheOtherReporterWhenNeChanges) {
    Program program;
    program.put<u16>(kData, 0x037B);
    EXPECT_EQ(program.run({DIVIDE_BY_ZERO}), -1);
    EXPECT_FALSE(program.error_pin.high);
    program.edit([](CpuState& state) { state.set_reg<u32>(kEax, state.cr0 & ~u32{kCr0Ne}); });
    EXPECT_EQ(program.run({0x0F, 0x22, 0xC0}), -1); // mov cr0, eax
    EXPECT_TRUE(program.error_pin.high);
    EXPECT_EQ(program.run({0xDB, 0xE2}), -1);
    EXPECT_FALSE(program.error_pin.high);
}

// SQRT(2), SQRT(SQRT(2)), ...: the host's x87 computes them from the second one on.
TEST(X87Cpu, HashesTheSameWithTheHostsHelpAndWithout) {
    u64 hashes[2] = {};
    for (const bool helped : {false, true}) {
        Program program;
        program.cpu().set_host_float(helped ? HostFloat::WhereExact : HostFloat::Never);
        EXPECT_EQ(program.run({0xD9, 0xE8, 0xD8, 0xC0, 0xB9, 40,   0,    0,    0,    0xD9, 0xFA,
                               0xDC, 0xC8, 0xD9, 0xFA, 0xD9, 0xE8, 0xDE, 0xC1, 0xE2, 0xF4}),
                  -1);
        hashes[helped ? 1 : 0] = program.hash();
    }
    EXPECT_EQ(hashes[0], hashes[1]);
}

} // namespace
} // namespace forkscope::test
