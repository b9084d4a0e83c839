// What a snapshot holds of the processor.
#include "cpu/cpu.hpp"

namespace forkscope {

void CpuState::serialize(Archive& ar) {
    ar.field("gpr", gpr);
    ar.field("eip", eip);
    u32 packed = eflags();
    ar.field("eflags", packed);
    if (ar.loading())
        set_eflags(packed);
    ar.field("segments", segments);
    ar.nested("ldtr", ldtr);
    ar.nested("tr", tr);
    ar.nested("gdtr", gdtr);
    ar.nested("idtr", idtr);
    ar.field("cr0", cr0);
    ar.field("cr2", cr2);
    ar.field("cr3", cr3);
    ar.field("cr4", cr4);
    ar.field("dr", dr);
    ar.field("cpl", cpl);
    ar.field("tsc_offset", tsc_offset);
    ar.field("sysenter", sysenter);
    ar.nested("x87", x87);
    ar.field("xmm", xmm);
    ar.field("mxcsr", mxcsr);
    ar.field("model_registers", model_registers);
    ar.field("test_registers", test_registers);
    if (ar.loading() && (cpl > 3 || gpr[kNoRegister] != 0 || (mxcsr & ~u32{kMxcsrAll}) != 0))
        ar.fail("the registers hold impossible values");
}

void Cpu::serialize(Archive& ar) {
    EMU_ASSERT(current_ == nullptr, "the CPU can only be saved between instructions");
    ar.nested("registers", state_);
    ar.field("halted", halted_);
    ar.field("shutdown", shutdown_);
    ar.field("interrupt_line", interrupt_line_);
    ar.field("nmi_pending", nmi_pending_);
    ar.field("nmi_blocked", nmi_blocked_);
    ar.field("float_error_ignored", float_error_ignored_);
    // Relative, so that equal states hash equally however long ago the last shadow was.
    u8 shadow = shadowed() ? static_cast<u8>(1 + static_cast<u8>(shadow_)) : u8{0};
    ar.field("shadowed", shadow);
    ar.field("trap_pending", trap_pending_);
    ar.field("cycle", cycle_);
    ar.field("instructions", instructions_);
    ar.nested("pipeline", pipeline_);
    if (cost_model_.queues()) {
        ar.nested("prefetch_queue", pipeline_.queue);
        ar.field("refill", pipeline_.refill);
        ar.field("own_clocks", own_cost_);
        if (ar.loading() && !pipeline_.queue.possible(cost_model_.bus()))
            ar.fail("the prefetch queue is in an impossible state");
    }
    ar.field("repeating", repeating_);
    ar.field("repeat_asked", repeat_asked_);
    ar.field("cycles_by_cause", by_cause_);
    ar.field("counted_until", counted_until_);
    ar.field("halted_cycles", halted_cycles_);
    ar.field("interrupts", interrupts_);
    ar.field("branches", branches_);
    ar.field("mispredictions", mispredictions_);
    ar.field("data_cache_misses", data_cache_misses_);
    ar.field("code_cache_misses", code_cache_misses_);
    ar.field("misaligned_accesses", misaligned_accesses_);
    if (cost_model_.predicts())
        ar.nested("branch_predictor", predictor_);
    if (cost_model_.caches()) {
        ar.nested("code_cache", caches_.code);
        ar.nested("data_cache", caches_.data);
        ar.field("bus_free_at", bus_free_at_);
        ar.field("bank_access", bank_access_);
    }
    if (!ar.hashing())
        ar.field("breakpoint_passed_at", breakpoint_passed_at_);
    if (ar.loading()) {
        shadow_until_ = instructions_ + (shadow != 0 ? 1 : 0);
        shadow_ = shadow == 2 ? Shadow::InterruptsAndDebug : Shadow::Interrupts;
        watch_hits_ = 0;
        attention_ = ~(u32{kAttentionStop} | kAttentionBreakpoint);
        counting_ = false; // the counters go on from where they were saved
        set_cpl(state_.cpl);
        const auto until = counted_until_;
        counters_set();
        counted_until_ = until;
        flags_changed();
        debug_registers_changed();
        blocks_.clear();
    }
}

} // namespace forkscope
