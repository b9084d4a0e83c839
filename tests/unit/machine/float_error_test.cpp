// An x87 error on its way from FERR# through the latch and the 8259s to IRQ 13, and back through port F0h.
#include <gtest/gtest.h>

#include "emu/machine/machine.hpp"

namespace forkscope::test {
namespace {

constexpr u32 kProgram = 0x1000;
constexpr u32 kHandler = 0x5000;
constexpr u32 kData = 0x2000;

// 8259s to vectors 8 and 70h, all masked but IRQ 13; then 1 / 0 in the shadow of interrupts that are off.
constexpr u8 kProgramBytes[] = {
    0xB0, 0x11, 0xE6, 0x20, 0xE6, 0xA0, 0xB0, 0x08, 0xE6, 0x21, 0xB0, 0x70, // mov al, 11h; out 20h, al; ...
    0xE6, 0xA1, 0xB0, 0x04, 0xE6, 0x21, 0xB0, 0x02, 0xE6, 0xA1, 0xB0, 0x01, //
    0xE6, 0x21, 0xE6, 0xA1, 0xB0, 0xFB, 0xE6, 0x21, 0xB0, 0xDF, 0xE6, 0xA1, //
    0xDB, 0xE3, 0xD9, 0x2E, 0x00, 0x20,                                     // fninit; fldcw [2000h]
    0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9,                                     // fld1; fldz; fdivp st(1), st
    0xFB, 0xD9, 0xE8,                                                       // sti; fld1
    0xC7, 0x06, 0x04, 0x20, 0x01, 0x00, 0xEB, 0xFE,                         // mov word [2004h], 1; jmp $
};
constexpr u8 kHandlerBytes[] = {
    0x50, 0xE6, 0xF0,                   // push ax; out F0h, al
    0xDD, 0xD8,                         // fstp st(0), which IGNNE# lets pass
    0xDD, 0x3E, 0x02, 0x20, 0xDB, 0xE2, // fnstsw [2002h]; fnclex
    0xB0, 0x20, 0xE6, 0xA0, 0xE6, 0x20, // mov al, 20h; out A0h, al; out 20h, al
    0xFF, 0x06, 0x06, 0x20, 0x58, 0xCF, // inc word [2006h]; pop ax; iret
};

u16 word_at(Machine& machine, u32 address) {
    u8 bytes[2] = {};
    EXPECT_TRUE(machine.mmu().memory().read(PhysicalAddress(address), bytes));
    return static_cast<u16>(bytes[0] | bytes[1] << 8);
}

void put(Machine& machine, u32 address, std::span<const u8> bytes) {
    ASSERT_TRUE(machine.mmu().poke_physical(PhysicalAddress(address), bytes));
}

TEST(FloatError, BecomesOneInterrupt13) {
    for (const EngineKind engine : {EngineKind::Interpreter, EngineKind::Block}) {
        MachineConfig config;
        config.engine = engine;
        auto created = Machine::create(config);
        ASSERT_TRUE(created.ok());
        Machine& machine = *created.value();
        const u8 vector[] = {0x00, kHandler >> 8, 0, 0};
        const u8 control[] = {0x7B, 0x03}; // division by zero unmasked
        put(machine, 0x75 * 4, vector);
        put(machine, kProgram, kProgramBytes);
        put(machine, kHandler, kHandlerBytes);
        put(machine, kData, control);
        CpuState state = machine.registers();
        for (SegmentCache& segment : state.segments)
            segment = SegmentCache::at_reset(0, 0);
        state.eip = kProgram;
        state.set_reg<u32>(kEsp, 0x8000);
        machine.cpu().set_state(state);
        machine.run({machine.now() + 100'000, machine.instructions() + 1000});
        EXPECT_EQ(word_at(machine, kData + 6), 1u);      // one interrupt
        EXPECT_EQ(word_at(machine, kData + 2), 0xB884u); // in which the error still stood, and one number was popped
        EXPECT_EQ(word_at(machine, kData + 4), 1u);      // and the program went on
        EXPECT_EQ(machine.registers().x87.top, 6);
    }
}

// With interrupts off it waits for ever, which is no HLT.
TEST(FloatError, IsAwaitedForEverWithInterruptsOff) {
    auto created = Machine::create({});
    ASSERT_TRUE(created.ok());
    Machine& machine = *created.value();
    // fninit; fldcw [2000h]; fld1; fldz; fdivp; fld1, which waits
    const u8 code[] = {0xDB, 0xE3, 0xD9, 0x2E, 0x00, 0x20, 0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9, 0xD9, 0xE8};
    const u8 control[] = {0x7B, 0x03};
    put(machine, kProgram, code);
    put(machine, kData, control);
    const auto start = [&machine](u32 eip) {
        CpuState state = machine.registers();
        for (SegmentCache& segment : state.segments)
            segment = SegmentCache::at_reset(0, 0);
        state.eip = eip;
        machine.cpu().set_state(state);
        return machine.run({kNever, machine.instructions() + 100}).kind;
    };
    EXPECT_EQ(start(kProgram), StopKind::Halted);
    EXPECT_TRUE(machine.cpu().awaits_float_error());
    EXPECT_EQ(machine.cpu().linear_eip(), kProgram + 12);
    // A HLT is none, though the error still stands.
    auto again = Machine::create({});
    ASSERT_TRUE(again.ok());
    const u8 halt[] = {0xF4};
    put(*again.value(), kProgram, halt);
    CpuState state = again.value()->registers();
    state.segments[kCs] = SegmentCache::at_reset(0, 0);
    state.eip = kProgram;
    again.value()->cpu().set_state(state);
    EXPECT_EQ(again.value()->run({kNever, 100}).kind, StopKind::Halted);
    EXPECT_FALSE(again.value()->cpu().awaits_float_error());
}

} // namespace
} // namespace forkscope::test
