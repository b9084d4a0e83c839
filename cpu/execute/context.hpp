// Owns: Context, the processor as its handlers see it: registers, memory through segments, the stack, faults, branches,
// and the parts that have a door of their own. Callers: handlers, cpu/protection and engines; the Cpu owns it.
// Promises: an access that fails has recorded its fault and changed nothing that the guest can see.
#pragma once

#include "cpu/attention.hpp"
#include "cpu/cost/cost_meter.hpp"
#include "cpu/protection/debug_registers.hpp"
#include "cpu/protection/exceptions.hpp"
#include "cpu/state.hpp"
#include "emu/base/interrupt.hpp"
#include "emu/base/trace.hpp"
#include "mmu/mmu.hpp"

namespace forkscope {

class Context {
  public:
    Context(Mmu& mmu, Bus& bus, Tracer& tracer)
        : mmu_(mmu), attention_(progress_), meter_(state_, progress_, mmu), bus_(bus), tracer_(tracer) {}

    CpuState& regs() { return state_; }
    const CpuState& state() const { return state_; }
    const Model& model() const { return *model_; }
    bool has(Feature feature) const { return model_->has(feature); }
    Privilege privilege() const { return privilege_; }
    bool privileged() const { return !state_.protected_mode() || state_.cpl == 0; }

    // --- Memory. The operand's offset within its segment; accesses with the segment's checks.
    u32 offset_of(const Instruction& in) const {
        const u32 offset = static_cast<u32>(state_.gpr[in.base]) +
                           (static_cast<u32>(state_.gpr[in.index]) << in.scale) + in.displacement;
        return in.address_size == 4 ? offset : offset & 0xFFFF;
    }
    template <class T> Access<T> read(u8 segment, u32 offset);
    template <class T> Access<void> write(u8 segment, u32 offset, T value);
    // Read, then write: between the two nothing may be accessed; the second cannot fail.
    template <class T> Access<T> read_for_update(u8 segment, u32 offset);
    template <class T> void finish_update(T value) { mmu_.finish_update<T>(value); }
    // Would a store to [offset, offset + size) succeed? Sets A and D as it would.
    Access<void> probe_write(u8 segment, u32 offset, u32 size);
    // Supervisor accesses to descriptor tables and task segments.
    template <class T> Access<T> read_system(u32 linear);
    template <class T> Access<void> write_system(u32 linear, T value);

    // --- The stack.
    u32 stack_mask() const { return state_.segments[kSs].big ? 0xFFFFFFFFu : 0xFFFFu; }
    void set_stack_pointer(u32 value) {
        if (state_.segments[kSs].big)
            state_.gpr[kEsp] = value;
        else
            state_.set_reg<u16>(kEsp, static_cast<u16>(value));
    }
    template <class T> Access<void> push(T value) {
        const u32 top = (state_.esp() - u32{sizeof(T)}) & stack_mask();
        if (const auto stored = write<T>(kSs, top, value); !stored.ok) [[unlikely]]
            return stored;
        set_stack_pointer(top);
        return {};
    }
    template <class T> Access<T> peek_stack(u32 bytes_above = 0) { // reads without popping
        return read<T>(kSs, (state_.esp() + bytes_above) & stack_mask());
    }
    // [offset, offset + size) of a flat stack, as Mmu::plain_bytes; else nullptr.
    u8* plain_stack(u32 offset, u32 size, AccessKind kind) {
        const SegmentCache& ss = state_.segments[kSs];
        if (!ss.big || !(kind == AccessKind::Write ? ss.flat_write : ss.flat_read))
            return nullptr;
        return mmu_.plain_bytes(LinearAddress(ss.base + offset), size, privilege_, kind);
    }
    Access<void> probe_stack(u32 offset, u32 size) { return probe_write(kSs, offset, size); }

    // --- Faults: recorded here, for the caller to return. Without and with an error code; what the last access through
    // the Mmu failed with (#PF or #AC); an access that the segment does not allow.
    Faulted fault(u8 vector) {
        pending_ = {vector, false, 0};
        return {};
    }
    Faulted fault(u8 vector, u32 error) {
        pending_ = {vector, true, error};
        return {};
    }
    Faulted page_fault();
    Faulted segment_fault(u8 segment) { return fault(segment == kSs ? kStackFault : kGeneralProtection, 0); }
    const PendingException& pending() const { return pending_; }

    // --- Where it goes on.
    u32 present_eip(const Instruction& in) const { return progress_.present_eip(in); }
    u32 next_eip(const Instruction& in) const { return progress_.next_eip(in); }
    // Near branch: checks CS's limit. Step::Jump, or Step::Fault with #GP(0).
    Step branch(u32 target) {
        if (target > state_.segments[kCs].limit) [[unlikely]]
            return fault(kGeneralProtection, 0);
        state_.eip = target;
        return Step::Jump;
    }
    // Ends the block after this instruction: modes or mappings may have changed.
    Step leave_block(const Instruction& in) {
        state_.eip = next_eip(in);
        return Step::Jump;
    }

    // --- Cost beyond the static one (cost_meter.hpp); what the operand's value adds.
    void charge(Cycles cycles, CycleCause cause = CycleCause::Base) { meter_.charge(cycles, cause); }
    void charge_operand(const Instruction& in, u32 value) { meter_.charge_operand(in, value); }

    // --- What follows from a register that was written: CPL; IF, TF, VM, AC or CR0; the x87's flags and masks or
    // CR0.NE; a debug register or CR4.
    void set_cpl(u8 cpl);
    void flags_changed();
    void float_error_changed() { float_error_line_.set(state_.x87.error_pending() && (state_.cr0 & kCr0Ne) == 0); }
    void debug_registers_changed();
    // A port was accessed: I/O breakpoints.
    void port_accessed(u16 port, u32 size) {
        if (breakpoints_.any_on_ports()) [[unlikely]]
            report_port_breakpoints(port, size);
    }
    // Whether x87 and SSE may use the host's (float80_fast.hpp, simd_operations.hpp).
    HostFloat host_x87() const { return host_x87_; }
    HostFloat host_sse() const { return host_sse_; }

    // --- The parts.
    Mmu& mmu() { return mmu_; }
    const Mmu& mmu() const { return mmu_; }
    Bus& bus() { return bus_; }
    Tracer& tracer() { return tracer_; }
    Progress& progress() { return progress_; }
    const Progress& progress() const { return progress_; }
    Attention& attention() { return attention_; }
    const Attention& attention() const { return attention_; }
    CostMeter& meter() { return meter_; }
    const CostMeter& meter() const { return meter_; }
    ParsedDescriptors& parsed() { return parsed_; }
    Breakpoints& breakpoints() { return breakpoints_; }
    const Breakpoints& breakpoints() const { return breakpoints_; }

    // --- For the Cpu.
    void set_model(const Model& model) { model_ = &model; }
    void set_float_error_line(const IrqLine& line) { float_error_line_ = line; }
    void set_host_float(HostFloat host); // Never in a new one
    // Behind the present instruction the engine has to look anew.
    void breakpoints_changed() {
        attention_.set_breakpoints(breakpoints_.any_on_code());
        progress_.leave = true;
    }

  private:
    void report_port_breakpoints(u16 port, u32 size);

    Mmu& mmu_;
    Privilege privilege_ = Privilege::Supervisor;
    PendingException pending_;
    CpuState state_;
    Progress progress_;
    Attention attention_;
    CostMeter meter_;
    Breakpoints breakpoints_;
    ParsedDescriptors parsed_;
    Bus& bus_;
    Tracer& tracer_;
    const Model* model_ = &model_of(kDefaultCpuModel);
    IrqLine float_error_line_;
    HostFloat host_x87_ = HostFloat::Never, host_sse_ = HostFloat::Never;
};

template <class T> Access<T> Context::read(u8 segment, u32 offset) {
    const SegmentCache& cache = state_.segments[segment];
    if (!cache.flat_read && !cache.may_read(offset, sizeof(T))) [[unlikely]]
        return segment_fault(segment);
    const auto loaded = mmu_.load<T>(LinearAddress(cache.base + offset), privilege_);
    if (!loaded.ok) [[unlikely]]
        return page_fault();
    return loaded;
}

template <class T> Access<void> Context::write(u8 segment, u32 offset, T value) {
    const SegmentCache& cache = state_.segments[segment];
    if (!cache.flat_write && !cache.may_write(offset, sizeof(T))) [[unlikely]]
        return segment_fault(segment);
    const auto stored = mmu_.store<T>(LinearAddress(cache.base + offset), value, privilege_);
    if (!stored.ok) [[unlikely]]
        return page_fault();
    return stored;
}

template <class T> Access<T> Context::read_for_update(u8 segment, u32 offset) {
    const SegmentCache& cache = state_.segments[segment];
    if (!cache.flat_write && !cache.may_write(offset, sizeof(T))) [[unlikely]]
        return segment_fault(segment);
    const auto loaded = mmu_.load_for_update<T>(LinearAddress(cache.base + offset), privilege_);
    if (!loaded.ok) [[unlikely]]
        return page_fault();
    return loaded;
}

template <class T> Access<T> Context::read_system(u32 linear) {
    const auto loaded = mmu_.load<T>(LinearAddress(linear), Privilege::Supervisor);
    if (!loaded.ok) [[unlikely]]
        return page_fault();
    return loaded;
}

template <class T> Access<void> Context::write_system(u32 linear, T value) {
    const auto stored = mmu_.store<T>(LinearAddress(linear), value, Privilege::Supervisor);
    if (!stored.ok) [[unlikely]]
        return page_fault();
    return stored;
}

} // namespace forkscope
