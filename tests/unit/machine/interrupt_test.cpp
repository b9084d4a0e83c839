// Interrupts on their way through the whole machine: counter, 8259s, processor.
#include <gtest/gtest.h>

#include "emu/machine/machine.hpp"
#include "tests/parameter_names.hpp"

namespace forkscope::test {
namespace {

constexpr u32 kProgram = 0x1000;
constexpr u32 kHandlers = 0x5000; // each counts in a byte of its own
constexpr u32 kCounts = 0x6000;

class Interrupts : public testing::TestWithParam<EngineKind> {
  protected:
    Interrupts() { power_on(); }
    void power_on() {
        MachineConfig config;
        config.engine = GetParam();
        machine_ = std::move(Machine::create(config).value());
        for (u32 vector = 0x20; vector < 0x30; ++vector) {
            const u32 handler = kHandlers + (vector - 0x20) * 16;
            put(vector * 4, {handler & 0xFF, handler >> 8, 0, 0});
            // inc byte [count]; push ax; mov al, 20h; out A0h, al; out 20h, al; pop ax; iret
            put(handler,
                {0xFE, 0x06, vector - 0x20, kCounts >> 8, 0x50, 0xB0, 0x20, 0xE6, 0xA0, 0xE6, 0x20, 0x58, 0xCF});
        }
    }
    void put(u32 address, const std::vector<u32>& values) {
        const std::vector<u8> bytes(values.begin(), values.end());
        ASSERT_TRUE(machine_->mmu().poke_physical(PhysicalAddress(address), bytes));
    }
    // Programs both 8259s for vectors 20h to 2Fh, then runs the code with interrupts off: 1000 instructions.
    StopKind run(const std::vector<u32>& code) {
        std::vector<u32> program = {
            0xB0, 0x11, 0xE6, 0x20, 0xE6, 0xA0, 0xB0, 0x20, 0xE6, 0x21, 0xB0, 0x28, 0xE6, 0xA1, //
            0xB0, 0x04, 0xE6, 0x21, 0xB0, 0x02, 0xE6, 0xA1, 0xB0, 0x01, 0xE6, 0x21, 0xE6, 0xA1};
        program.insert(program.end(), code.begin(), code.end());
        program.insert(program.end(), {0xFB, 0xEB, 0xFE}); // sti; jmp $
        put(kProgram, program);
        CpuState state = machine_->registers();
        for (SegmentCache& segment : state.segments)
            segment = SegmentCache::at_reset(0, 0);
        state.set_eflags(2);
        state.eip = kProgram;
        state.set_reg<u32>(kEsp, 0x8000);
        machine_->cpu().set_state(state);
        return machine_->run({machine_->now() + 1'000'000, machine_->instructions() + 1000}).kind;
    }
    std::vector<u8> counts() const {
        std::vector<u8> bytes(16);
        EXPECT_TRUE(machine_->mmu().memory().read(PhysicalAddress(kCounts), bytes));
        return bytes;
    }

    std::unique_ptr<Machine> machine_;
};
INSTANTIATE_TEST_SUITE_P(EveryEngine, Interrupts, testing::Values(EngineKind::Interpreter, EngineKind::Block),
                         testing::PrintToStringParamName());

// Counter 0 in mode 0 raises OUT after its count; the next control word lowers it.
constexpr u32 kRaise[] = {0xB0, 0x10, 0xE6, 0x43, 0xB0, 0x02, 0xE6, 0x40, // control word, count 2
                          0xB9, 0xC8, 0x00, 0xE2, 0xFE};                  // mov cx, 200; loop $
constexpr u32 kLower[] = {0xB0, 0x10, 0xE6, 0x43};

TEST_P(Interrupts, ComeOnceInterruptsAreOn) {
    run({std::begin(kRaise), std::end(kRaise)});
    EXPECT_EQ(counts()[0], 1);
}

// INTR falls with the request: neither the line's own vector (as on QEMU) nor vector 7 (as on Bochs) is delivered.
TEST_P(Interrupts, DoNotComeWhenTheRequestIsWithdrawnOrMasked) {
    std::vector<u32> code(std::begin(kRaise), std::end(kRaise));
    code.insert(code.end(), std::begin(kLower), std::end(kLower));
    run(code);
    EXPECT_EQ(counts(), std::vector<u8>(16, 0));
    code.assign(std::begin(kRaise), std::end(kRaise));
    code.insert(code.end(), {0xB0, 0xFF, 0xE6, 0x21}); // mask all of the master's
    run(code);
    EXPECT_EQ(counts(), std::vector<u8>(16, 0));
}

// HLT with interrupts on: the machine says that nothing can wake it as soon as the 8259s let nothing through.
TEST_P(Interrupts, AreSaidNeverToWakeAMachineThatMasksAllLines) {
    const auto halted = [this](u32 master, u32 slave) {
        power_on();
        return run({0xB0, master, 0xE6, 0x21, 0xB0, slave, 0xE6, 0xA1, 0xFB, 0xF4}); // out 21h; out A1h; sti; hlt
    };
    EXPECT_EQ(halted(0xFF, 0xFF), StopKind::Halted);
    EXPECT_EQ(halted(0xFB, 0xFF), StopKind::Halted) << "the cascade alone brings nothing";
    EXPECT_EQ(halted(0xFF, 0x00), StopKind::Halted) << "the slave is masked by the master";
    EXPECT_EQ(halted(0xDF, 0xFF), StopKind::Limit) << "a card may be on line 5";
    EXPECT_EQ(halted(0xFB, 0xDF), StopKind::Limit);
}

// A line that is in service without an end of interrupt holds back itself and all that come after it.
TEST_P(Interrupts, AreSaidNeverToWakeAMachineWhoseLineInServiceHoldsThemBack) {
    const auto halted = [this](u32 mask, const std::vector<u32>& after) {
        power_on();
        std::vector<u32> code(std::begin(kRaise),
                              std::end(kRaise)); // line 0, taken by a poll: out 20h, 0Ch; in al, 20h
        code.insert(code.end(), {0xB0, 0x0C, 0xE6, 0x20, 0xE4, 0x20, 0xB0, mask, 0xE6, 0x21});
        code.insert(code.end(), after.begin(), after.end());
        code.insert(code.end(), {0xFB, 0xF4}); // sti; hlt
        return run(code);
    };
    EXPECT_EQ(halted(0x00, {}), StopKind::Halted);
    EXPECT_EQ(halted(0xDE, {}), StopKind::Halted);
    EXPECT_EQ(halted(0xDE, {0xB0, 0x20, 0xE6, 0x20}), StopKind::Limit) << "its end was said: out 20h, 20h";
    EXPECT_EQ(halted(0xDF, {0xB0, 0x68, 0xE6, 0x20}), StopKind::Limit) << "special mask: line 0 is masked, line 5 open";
    EXPECT_EQ(halted(0xDF, {0xB0, 0xC0, 0xE6, 0x20}), StopKind::Limit) << "rotated: line 1 comes first";
}

TEST_P(Interrupts, WakeAMachineWhoseTimerIsUnmasked) {
    std::vector<u32> code = {0xFB, 0xB0, 0xFE, 0xE6, 0x21}; // sti; unmask line 0 alone
    code.insert(code.end(), std::begin(kRaise), std::begin(kRaise) + 8);
    code.push_back(0xF4);
    EXPECT_NE(run(code), StopKind::Halted);
    EXPECT_EQ(counts()[0], 1);
}

} // namespace
} // namespace forkscope::test
