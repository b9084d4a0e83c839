#include "cpu/attention.hpp"

#include "cpu/execute/flags.hpp"

namespace forkscope {

void Attention::reset() {
    reasons_ = interrupt_line_ ? u32{kInterruptPin} : 0;
    halted_ = float_error_awaited_ = shutdown_ = nmi_pending_ = nmi_blocked_ = false;
    trap_pending_ = hits_ = 0;
    shadow_until_ = 0;
}

void Attention::settle(u32 system_flags) {
    const bool interrupt = interrupt_line_ && (system_flags & kFlagI) != 0;
    reasons_ &= kShadowCast | kBreakpointsSet | (trap_pending_ != 0 ? u32{kTrap} : 0) |
                (interrupt ? u32{kInterruptPin} : 0) | (nmi_pending_ ? u32{kNmiPin} : 0);
    if (!shadowed())
        reasons_ &= ~u32{kShadowCast};
}

void Attention::set_interrupt_line(bool level) {
    interrupt_line_ = level;
    if (level)
        want(kInterruptPin);
    else
        reasons_ &= ~u32{kInterruptPin};
}

void Attention::pulse_nmi() {
    nmi_pending_ = true;
    want(kNmiPin);
}

bool Attention::take_nmi() {
    if (!nmi_pending_ || nmi_blocked_ || shadowed())
        return false;
    nmi_pending_ = false;
    nmi_blocked_ = true;
    reasons_ &= ~u32{kNmiPin};
    return true;
}

void Attention::breakpoint_hit(u8 number) {
    if (progress_.current != nullptr)
        hits_ |= 1u << number;
    else
        trap_pending_ |= 1u << number; // the frame of an interrupt or fault
    want(kTrap);
}

// TF counts as it was before: POPF that clears it still traps, POPF that sets it does not. The shadow of MOV SS takes
// the trap's place, as an interrupt that the instruction delivered does.
void Attention::end_step(Step step) {
    if (!step_trap_ || step == Step::Fault || debug_shadowed())
        return;
    trap_pending_ |= kDebugSingleStep;
    reasons_ |= kTrap;
}

void Attention::cast_shadow(Shadow shadow) {
    if (shadowed())
        return;
    shadow_until_ = progress_.retired() + 2;
    shadow_ = shadow;
    want(kShadowCast);
}

void Attention::serialize(Archive& ar) {
    ar.field("halted", halted_);
    ar.field("shutdown", shutdown_);
    ar.field("interrupt_line", interrupt_line_);
    ar.field("nmi_pending", nmi_pending_);
    ar.field("nmi_blocked", nmi_blocked_);
    ar.field("float_error_ignored", float_error_ignored_);
    ar.field("float_error_awaited", float_error_awaited_);
    // Relative, so that equal states hash equally however long ago the last shadow was.
    u8 shadow = shadowed() ? static_cast<u8>(1 + static_cast<u8>(shadow_)) : u8{0};
    ar.field("shadowed", shadow);
    ar.field("trap_pending", trap_pending_);
    if (ar.loading()) {
        shadow_until_ = shadow != 0 ? 1 : 0;
        shadow_ = shadow == 2 ? Shadow::InterruptsAndDebug : Shadow::Interrupts;
    }
}

void Attention::loaded() {
    shadow_until_ += progress_.instructions;
    hits_ = 0;
    reasons_ = ~(u32{kStopAsked} | kBreakpointsSet);
}

} // namespace forkscope
