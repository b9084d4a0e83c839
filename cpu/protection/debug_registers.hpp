// Owns: Breakpoints, the guest's in DR0 to DR7 and a debugger's, sorted by what checks them.
// Callers: handlers and debuggers that change them, engines before they run a block, port instructions; the run loop
// reports and delivers. Promises: derived from the debug registers; costs nothing while none is enabled (SDM 3B 17.2),
// and little where none is near.
#pragma once

#include <array>
#include <vector>

#include "cpu/state.hpp"
#include "mmu/mmu.hpp"

namespace forkscope {

class Breakpoints {
  public:
    // After any change of DR0..DR3, DR7 or CR4.DE. Those on data are the Mmu's.
    void registers_changed(const CpuState& state, Mmu& mmu);
    // A debugger's: instructions at these linear addresses stop the run before they execute.
    void set_addresses(std::vector<u32> linear);

    bool any_on_code() const { return !places_.empty(); }
    // One of the guest's or of a debugger's is on a byte of [linear, linear + size), which lies in one page.
    bool any_within(u32 linear, u32 size) const {
        return (pieces_ & pieces_of(linear, size)) != 0 && lies_within(linear, size);
    }
    // Changes whenever any_within() may answer otherwise than before.
    u64 generation() const { return generation_; }
    bool any_on_ports() const { return on_ports_ != 0; }
    // Bits of DR6: the guest's on this instruction; on this access to a port.
    u32 hits_on_code(const CpuState& state, u32 linear) const;
    u32 hits_on_port(const CpuState& state, u16 port, u32 size) const;
    // Has a debugger to be told of this instruction? Once while the count of instructions stands: a handler's first one
    // begins at the count of the one that it interrupts.
    bool reports(u32 linear, u64 instructions);
    // What it has been told of: no part of the guest's state, and so of no hash.
    void serialize(Archive& ar) {
        if (ar.hashing())
            return;
        ar.field("breakpoint_passed_at", reported_at_);
        ar.field("breakpoint_passed_eip", reported_linear_);
    }

  private:
    // Of any page, a bit for each 64 bytes.
    static u64 pieces_of(u32 linear, u32 size) {
        const u32 first = linear >> 6 & 63, last = (linear + size - 1) >> 6 & 63;
        return ~u64{0} << first & ~u64{0} >> (63 - last);
    }
    bool lies_within(u32 linear, u32 size) const;
    void find_places();

    std::vector<u32> places_; // all on code, sorted
    u64 generation_ = 0;
    u64 pieces_ = 0; // that some breakpoint on code lies in, whatever its page: most blocks need ask no further
    std::array<u32, 4> guest_addresses_{}; // DR0 to DR3
    u8 on_code_ = 0;                       // the guest's that are enabled, by number
    u8 on_ports_ = 0;
    std::vector<u32> addresses_; // a debugger's, sorted
    u64 reported_at_ = ~u64{0};  // instruction count
    u32 reported_linear_ = 0;
};

} // namespace forkscope
