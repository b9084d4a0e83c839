// Owns: a machine that has come as far as its firmware, and calls of the firmware's interrupt services.
// Callers: the firmware's tests. Promises: call() returns the registers as the service left them.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "emu/machine/machine.hpp"

namespace forkscope {

inline constexpr Cycles kMillion = 1'000'000;
inline constexpr u16 kCarry = 0x0001;
inline constexpr u16 kZero = 0x0040;

struct ServiceRegisters {
    u32 eax = 0, ebx = 0, ecx = 0, edx = 0, edi = 0;
    u16 es = 0;
    u16 flags = 0x0202; // interrupts on

    u16 ax() const { return static_cast<u16>(eax); }
    u16 bx() const { return static_cast<u16>(ebx); }
    u16 cx() const { return static_cast<u16>(ecx); }
    u16 dx() const { return static_cast<u16>(edx); }
    u8 ah() const { return static_cast<u8>(eax >> 8); }
    u8 al() const { return static_cast<u8>(eax); }
};

class FirmwareMachine {
  public:
    explicit FirmwareMachine(MachineConfig config = {}) {
        auto created = Machine::create(std::move(config));
        EXPECT_TRUE(created.ok());
        machine_ = std::move(created).value();
        machine_->set_output([this](std::string_view channel, u8 byte) {
            if (channel == "debug")
                console_ += static_cast<char>(byte);
        });
    }

    Machine& operator*() { return *machine_; }
    Machine* operator->() { return machine_.get(); }
    const std::string& console() const { return console_; }

    // Runs until the instruction at a linear address is next; false if that takes more than 100 million cycles.
    bool run_to(u32 linear) {
        OwnedBreakpoints& breakpoints = machine_->breakpoints();
        const OwnedBreakpoints::Owner owner = breakpoints.new_owner();
        breakpoints.add(owner, linear);
        const StopKind cause = machine_->run({machine_->now() + 100 * kMillion}).kind;
        breakpoints.remove_all(owner);
        return cause == StopKind::Breakpoint && machine_->cpu().linear_eip() == linear;
    }

    // Runs the firmware of a machine without a kernel to its end: it says so, and waits for interrupts.
    void run_firmware() {
        console_.clear();
        const std::string last_words = "(--kernel FILE).\n";
        for (int i = 0; i < 100 && !ends_with(last_words); ++i)
            machine_->run({machine_->now() + kMillion / 10});
        ASSERT_TRUE(ends_with(last_words)) << "it said: " << console_;
        machine_->run({machine_->now() + kMillion / 10});
        ASSERT_TRUE(machine_->cpu().halted());
    }

    ServiceRegisters call(u8 vector, const ServiceRegisters& in) { return run({0xCD, vector}, in); }

    // Runs a few instructions in real mode, with a stack of their own.
    ServiceRegisters run(std::vector<u8> code, const ServiceRegisters& in) {
        constexpr u32 kCode = 0x8000;
        constexpr u32 kStack = 0x7000;
        const u32 end = kCode + static_cast<u32>(code.size());
        code.insert(code.end(), {0xEB, 0xFE}); // jmp to itself
        poke(kCode, code);
        CpuState state = machine_->registers();
        for (SegmentCache& segment : state.segments)
            segment = SegmentCache::at_reset(0, 0);
        state.segments[kEs] = SegmentCache::at_reset(in.es, u32{in.es} << 4);
        state.gpr.fill(0);
        state.set_reg<u32>(kEax, in.eax);
        state.set_reg<u32>(kEbx, in.ebx);
        state.set_reg<u32>(kEcx, in.ecx);
        state.set_reg<u32>(kEdx, in.edx);
        state.set_reg<u32>(kEdi, in.edi);
        state.set_reg<u32>(kEsp, kStack);
        state.set_eflags(in.flags);
        state.eip = kCode;
        machine_->cpu().set_state(state);
        EXPECT_TRUE(run_to(end)) << "stopped at " << std::hex << machine_->cpu().linear_eip();
        const CpuState& after = machine_->registers();
        EXPECT_EQ(after.esp(), kStack);
        ServiceRegisters out;
        out.eax = after.reg<u32>(kEax);
        out.ebx = after.reg<u32>(kEbx);
        out.ecx = after.reg<u32>(kEcx);
        out.edx = after.reg<u32>(kEdx);
        out.edi = after.reg<u32>(kEdi);
        out.es = after.segments[kEs].selector;
        out.flags = static_cast<u16>(after.eflags());
        return out;
    }

    // Lets time pass after a call, as a program does that has nothing to do.
    void idle(Cycles cycles) {
        if (machine_->cpu().linear_eip() < 0xA0000)                 // elsewhere it is in the firmware's own waiting
            poke(machine_->cpu().linear_eip(), {0xF4, 0xEB, 0xFD}); // hlt; jmp to it
        machine_->run({machine_->now() + cycles});
    }

    void poke(u32 address, const std::vector<u8>& bytes) {
        ASSERT_TRUE(machine_->mmu().poke_physical(PhysicalAddress(address), bytes));
    }
    std::vector<u8> memory(u32 address, u32 size) const {
        std::vector<u8> bytes(size);
        EXPECT_TRUE(machine_->mmu().memory().read(PhysicalAddress(address), bytes));
        return bytes;
    }
    u64 number(u32 address, u32 size) const {
        u64 value = 0;
        const std::vector<u8> bytes = memory(address, size);
        for (u32 i = 0; i < size; ++i)
            value |= u64{bytes[i]} << (8 * i);
        return value;
    }

    u16 cell(int row, int column) const {
        const TextScreen screen = machine_->vga().text_screen();
        return screen.cells[static_cast<std::size_t>(row * screen.columns + column)];
    }
    // A row of the screen without its blank end.
    std::string row(int number) const {
        std::string text;
        for (int column = 0; column < 80; ++column)
            text += static_cast<char>(cell(number, column));
        return text.substr(0, text.find_last_not_of(' ') + 1);
    }

  private:
    bool ends_with(const std::string& text) const {
        return console_.size() >= text.size() &&
               console_.compare(console_.size() - text.size(), text.size(), text) == 0;
    }

    std::unique_ptr<Machine> machine_;
    std::string console_;
};

} // namespace forkscope
