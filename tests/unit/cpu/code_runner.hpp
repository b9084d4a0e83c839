// Owns: CodeRunner, a processor with 2 MB of memory and a port that logs, for running a few bytes of code.
// Callers: tests of the Cpu. Promises: every_way() lists engine x fast table; a test that runs in each of them and
// compares hash() proves that they agree; the translator translates all at once.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "cpu/cpu.hpp"

namespace forkscope::test {

struct Way {
    EngineKind engine;
    bool fast_table;
};
inline void PrintTo(const Way& way, std::ostream* out) {
    *out << (way.engine == EngineKind::Interpreter ? "interpreter"
             : way.engine == EngineKind::Block     ? "block"
                                                   : "translator")
         << (way.fast_table ? "" : "_full_model");
}
inline std::vector<Way> every_way() {
    std::vector<Way> ways;
    for (const bool fast_table : {true, false})
        for (const EngineKind engine : {EngineKind::Interpreter, EngineKind::Block, EngineKind::Translator})
            ways.push_back({engine, fast_table});
    return ways;
}

// An interrupt controller that always gives one vector, as long as the line is held.
class OneVector final : public InterruptSource {
  public:
    OneVector(Cpu& cpu, u8 vector) : cpu_(cpu), vector_(vector) { cpu.set_interrupt_source(this); }
    u8 acknowledge() override {
        cpu_.set_line(0, false);
        return vector_;
    }

  private:
    Cpu& cpu_;
    u8 vector_;
};

class CodeRunner {
  public:
    // What is written to kLogPort, 8 to 32 bits at once, is kept in `log`.
    static constexpr u8 kLogPort = 0xE8;
    // Protected mode: selectors of the GDT, where things lie.
    static constexpr u16 kCode = 0x08, kData = 0x10, kUserCode = 0x1B, kUserData = 0x23, kTss = 0x28, kCode16 = 0x30,
                         kLdt = 0x38, kTss2 = 0x40, kTss3 = 0x48, kFree = 0x50;
    static constexpr u32 kGdt = 0x1000, kIdt = 0x1800, kTssAt = 0x2000, kTss2At = 0x2200, kTss3At = 0x2400,
                         kHandlers = 0x3000, kLdtAt = 0x2800, kStack = 0x9000, kUserStack = 0xA000, kStart = 0x10000;

    explicit CodeRunner(Way way = {EngineKind::Block, true}, CpuModel model = kDefaultCpuModel,
                        CostModelKind clock = CostModelKind::Flat, BusWidth bus = BusWidth::Bits32,
                        u64 memory = u64{2} << 20);

    // Real mode: CS:IP = 1000:0000, SS:SP = 0000:9000; each vector's handler logs its number and halts.
    void enter_real_mode();
    // Flat 32-bit protected mode without paging at ring `cpl`, EIP = kStart; each handler logs its vector and halts;
    // IDT gates have DPL 3.
    void enter_protected_mode(u8 cpl = 0);
    // Virtual-8086 mode, CS:IP = 1000:0000, SS:SP = 0000:A000, with handlers as in protected mode.
    void enter_virtual_8086(u32 flags);

    // Puts bytes in memory; returns the address behind them.
    u32 put(u32 address, const std::vector<int>& bytes);
    u32 code(const std::vector<int>& bytes) { return put(kStart, bytes); }
    void put32(u32 address, u32 value);
    void put16(u32 address, u16 value);
    void put8(u32 address, u8 value) { *memory_.host(PhysicalAddress(address)) = value; }
    u32 get32(u32 address) const;
    u16 get16(u32 address) const;
    void descriptor(u16 selector, const SegmentFields& descriptor);
    void descriptor(u16 selector, u32 base, u32 limit, u8 access, bool big = true, bool granular = false);
    void gate(u8 vector, u16 selector, u32 offset, u8 access);
    // The handler of `vector` becomes these bytes.
    void handler(u8 vector, const std::vector<int>& bytes) { put(handler_at(vector), bytes); }
    static constexpr u32 handler_at(u8 vector) { return kHandlers + vector * 32u; }
    // MOV AL, n; OUT kLogPort, AL
    static std::vector<int> log_bytes(u8 value) { return {0xB0, value, 0xE6, kLogPort}; }
    // Pages of the first 4 MB map to themselves, for both rings; CR0.PG is set.
    void enable_paging();
    u32 page_entry(u32 linear) const { return 0x101000u + (linear >> 12) * 4; }

    // Until HLT with nothing that could wake it, shutdown, or 10,000 instructions.
    CpuStop run(u64 most = 10'000);
    void step() { cpu.run_until(kNever, cpu.instructions() + 1); }

    // Registers are changed by edit() as often as one likes, then apply().
    CpuState& edit() {
        if (!editing_)
            edited_ = cpu.state();
        editing_ = true;
        return edited_;
    }
    void apply() {
        editing_ = false;
        cpu.set_state(edited_);
    }
    u32 eax() const { return static_cast<u32>(cpu.state().gpr[kEax]); }
    u32 reg(u8 number) const { return static_cast<u32>(cpu.state().gpr[number]); }
    u32 eip() const { return cpu.state().eip; }
    // Element of the stack, counted from ESP, 32 bits each.
    u32 stack32(u32 element) const { return get32(cpu.state().segments[kSs].base + cpu.state().esp() + element * 4); }
    u16 stack16(u32 element) const {
        return get16(cpu.state().segments[kSs].base + (cpu.state().esp() & 0xFFFF) + element * 2);
    }
    u64 hash();
    PhysicalMemory& memory() { return memory_; }
    Bus& bus() { return bus_; }
    // Saves everything and loads it again.
    void reload();

    std::vector<u32> log;

  private:
    class LogPort final : public IoHandler {
      public:
        explicit LogPort(std::vector<u32>& log) : log_(log) {}
        u32 io_read(u32, u32) override { return 0x5A; }
        void io_write(u32, u32, u32 value) override { log_.push_back(value); }

      private:
        std::vector<u32>& log_;
    };

    Bus bus_;
    Tracer tracer_;
    PhysicalMemory memory_;
    CpuState edited_;
    bool editing_ = false;
    LogPort log_port_;

  public:
    Mmu mmu;
    Cpu cpu;
};

} // namespace forkscope::test
