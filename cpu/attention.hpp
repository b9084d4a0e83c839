// Owns: Attention, what has to be looked at before the next instruction: pins, traps, halt, and the shadows of STI
// and MOV SS.
// Callers: pins and handlers bring it about, engines ask wanted(), the run loop serves it in the manual's order.
// Promises: no engine starts a block while wanted(), but where a breakpoint that is set is all and lies elsewhere; what
// makes it wanted also ends the running block.
#pragma once

#include <utility>

#include "cpu/progress.hpp"

namespace forkscope {

inline constexpr u32 kDebugRegisterAccess = 1u << 13; // DR6.BD, and DR7.GD
inline constexpr u32 kDebugSingleStep = 1u << 14;     // DR6.BS
inline constexpr u32 kDebugTaskSwitch = 1u << 15;     // DR6.BT

// What the instruction after this one is shielded from.
enum class Shadow : u8 { Interrupts, InterruptsAndDebug };

class Attention {
  public:
    // Why the run loop has to look. A reason may be stale: what counts is the state behind it.
    enum Reason : u32 {
        kInterruptPin = 1, // INTR is high
        kNmiPin = 2,
        kHalt = 4,
        kStopAsked = 8, // the run was asked to end
        kShadowCast = 16,
        kTrap = 32, // EFLAGS.TF, or a debug trap is pending
        kShutdown = 64,
        kBreakpointsSet = 128,   // breakpoints are set; due only where one is on the next instruction
        kVirtualInterrupt = 256, // VIF and VIP may be set together
    };

    explicit Attention(Progress& progress) : progress_(progress) {}
    void reset();

    bool wanted() const { return reasons_ != 0; }
    bool wanted_beside_breakpoints() const { return wanted_for(~u32{kBreakpointsSet}); }
    bool wanted_for(u32 reasons) const { return (reasons_ & reasons) != 0; }
    void want(u32 reasons) {
        reasons_ |= reasons;
        progress_.leave = true;
    }
    bool take_stop() { return (std::exchange(reasons_, reasons_ & ~u32{kStopAsked}) & kStopAsked) != 0; }
    void set_breakpoints(bool any) { reasons_ = (reasons_ & ~u32{kBreakpointsSet}) | (any ? u32{kBreakpointsSet} : 0); }
    // Everything was served: only what may come to something stays wanted. INTR waits for interrupts_enabled().
    void settle(u32 system_flags);
    void interrupts_enabled() {
        if (interrupt_line_)
            want(kInterruptPin);
    }

    // The pins INTR, NMI (an edge) and IGNNE#.
    void set_interrupt_line(bool level);
    bool interrupt_line() const { return interrupt_line_; }
    void pulse_nmi();
    bool nmi_pending() const { return nmi_pending_; }
    bool take_nmi(); // if one is due; then no other until unblock_nmi()
    void unblock_nmi() { nmi_blocked_ = false; }
    void set_float_error_ignored(bool level) { float_error_ignored_ = level; }
    bool float_error_ignored() const { return float_error_ignored_; }

    void halt() {
        halted_ = true;
        want(kHalt);
    }
    void wake() { halted_ = float_error_awaited_ = false; }
    bool halted() const { return halted_; }
    // Halted by a waiting x87 instruction, for what comes of FERR#.
    void await_float_error() {
        halt();
        float_error_awaited_ = true;
    }
    bool float_error_awaited() const { return float_error_awaited_; }
    void shut_down() {
        shutdown_ = true;
        want(kShutdown);
    }
    bool is_shut_down() const { return shutdown_; }

    // Debug traps, as bits of DR6. Those in a shadow are delayed.
    void pend_trap(u32 bits) {
        trap_pending_ |= bits;
        want(kTrap);
    }
    u32 take_trap() { return debug_shadowed() ? 0 : std::exchange(trap_pending_, 0); }
    // A data or I/O breakpoint. The running instruction goes on to its end, a repeated one to the end of its iteration.
    void breakpoint_hit(u8 number);
    // An instruction has ended; faults void what it hit.
    void settle_hits(Step step) {
        if (step == Step::Fault) [[unlikely]]
            hits_ = 0;
        if (hits_ != 0) [[unlikely]]
            trap_pending_ |= std::exchange(hits_, 0);
    }
    // An instruction begins with TF in EFLAGS, or without; an interrupt takes the trap's place; the instruction ends.
    void begin_step(bool trap_flag) { step_trap_ = trap_flag; }
    void cancel_step() { step_trap_ = false; }
    void end_step(Step step);

    // The next instruction runs before an interrupt (STI), and before a debug exception too (MOV SS, POP SS). An
    // instruction in such a shadow casts none.
    void cast_shadow(Shadow shadow);
    void lift_shadow() { shadow_until_ = 0; }
    bool shadowed() const { return progress_.retired() < shadow_until_; }
    bool debug_shadowed() const { return shadowed() && shadow_ == Shadow::InterruptsAndDebug; }

    void serialize(Archive& ar);
    // After Progress, too, was loaded.
    void loaded();

  private:
    Progress& progress_;
    u32 reasons_ = 0;
    bool halted_ = false;
    bool shutdown_ = false;
    bool interrupt_line_ = false;
    bool nmi_pending_ = false;
    bool nmi_blocked_ = false; // between NMI delivery and IRET
    bool float_error_ignored_ = false;
    bool float_error_awaited_ = false;
    bool step_trap_ = false; // the running instruction began with TF and has not delivered an interrupt
    Shadow shadow_ = Shadow::Interrupts;
    u32 trap_pending_ = 0;
    u32 hits_ = 0;         // breakpoints, of the running instruction
    u64 shadow_until_ = 0; // no interrupt before so many instructions have retired
};

} // namespace forkscope
