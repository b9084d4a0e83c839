// Owns: BareMachine, our side: a Cpu, an Mmu and memory, with the page tables, descriptors and handlers that make the
// world of native_protocol.hpp at CPL 3, as Linux makes it.
// Callers: the generator, the comparison. Promises: every exception ends the run and is reported as Linux would.
#pragma once

#include "cpu/cpu.hpp"
#include "native_protocol.hpp"

namespace forkscope::test {

inline CodeMode mode_of(const CpuState& state) { return {state.segments[kCs].big}; }
inline u32 linear_eip(const CpuState& state) { return state.segments[kCs].base + state.eip; }

class BareMachine {
  public:
    // The images of `shared` are read at each load.
    BareMachine(EngineKind engine, const SharedMemory& shared);

    // Registers, code and data of a test case.
    void load(const TestCase& test);
    // Writes code behind what is loaded, for a program that is made while it runs.
    void write_code(u32 offset, const u8* bytes, u32 size);
    // Other data than the image that is loaded.
    void write_data(const u8 (&data)[kDataBytes]);

    // Runs to the end of the program, with a stop after `pause_after` instructions on the way. False: it never ends.
    bool run(Outcome& outcome, u64 pause_after = 0);
    // One instruction. False: it ended the program (int3, a fault, a trap), and `outcome` says how.
    bool step(Outcome& outcome);

    const CpuState& state() const { return cpu_.state(); }
    // For the generator only: takes back what an instruction did to registers.
    void set_state(const CpuState& state) { cpu_.set_state(state); }
    // Is the linear address in the pages that hold our tables, our stack and our handlers?
    static bool is_ours(u32 linear) { return linear - kOurAddress < kOurBytes; }
    u64 instructions() const { return cpu_.instructions(); }
    // Of registers, TLB and clock; of memory. Equal for two machines that have run the same programs.
    u64 state_hash();
    u64 memory_hash();
    const u8* data() const { return memory_.host(PhysicalAddress(kDataFrame)); }

  private:
    // Physical addresses.
    static constexpr u32 kDirectory = 0x1000;
    static constexpr u32 kTables = 0x2000; // three: code, data, ours
    static constexpr u32 kOurs = 0x5000;   // seen at kOurAddress: tables, stack, handlers
    static constexpr u32 kCodeFrame = 0x100000;
    static constexpr u32 kDataFrame = kCodeFrame + kCodeBytes;
    static constexpr u32 kOurAddress = 0xC0000000;
    // Within ours.
    static constexpr u32 kGdt = 0x000, kLdt = 0x100, kIdt = 0x200, kTss = 0x400, kHandlers = 0x600, kOurBytes = 0x2000;
    static constexpr u16 kOurCode = 0x08, kOurData = 0x18, kTssSelector = 0x40, kLdtSelector = 0x50;

    class StopPort final : public IoHandler {
      public:
        explicit StopPort(Cpu& cpu) : cpu_(cpu) {}
        u32 io_read(u32, u32) override { return 0; }
        void io_write(u32, u32, u32) override { cpu_.request_stop(); }

      private:
        Cpu& cpu_;
    };

    void write32(u32 physical, u32 value);
    void write64(u32 physical, u64 value);
    void map(u32 linear, u32 physical, u32 bytes, u32 table, u32 rights);
    void build_tables();
    void build_handlers();
    SegmentCache segment(u16 selector) const;
    void collect(Outcome& outcome) const;

    const SharedMemory& shared_;
    Bus bus_;
    Tracer tracer_;
    PhysicalMemory memory_;
    Mmu mmu_;
    Cpu cpu_;
    StopPort stop_port_;
    CpuState fresh_; // all but what a test case says
    u32 dirty_from_ = 0;
    u32 dirty_size_ = kCodeBytes;
};

} // namespace forkscope::test
