#include "cpu/cpu.hpp"

#include <utility>

#include "cpu/engine/block_engine.hpp"
#include "cpu/protection/interrupts.hpp"
#include "cpu/protection/virtual_8086.hpp"

namespace forkscope {

Cpu::Cpu(Mmu& mmu, Bus& bus, Tracer& tracer) : context_(mmu, bus, tracer), interpreter_(context_) {
    mmu.set_listener(this);
    tracer.set_moment_source(this);
    set_engine(EngineKind::Block);
    set_host_float(HostFloat::WhereExact);
    apply_model();
    reset();
}

Cpu::~Cpu() {
    context_.mmu().set_listener(nullptr);
    context_.tracer().set_moment_source(nullptr);
}

// SDM 3A table 9-1.
void Cpu::reset() {
    const Model& model = context_.model();
    CpuState& r = context_.regs();
    r = CpuState{};
    r.eip = 0xFFF0;
    r.cr0 = model.cr0_reset;
    r.idtr.limit = 0x3FF;
    for (u8 segment = 0; segment < kSegmentCount; ++segment)
        r.segments[segment] = SegmentCache::at_reset(0, 0);
    r.segments[kCs] = SegmentCache::at_reset(0xF000, 0xFFFF0000u);
    r.ldtr.limit = 0xFFFF;
    r.tr.limit = 0xFFFF;
    r.tr.access = 0x8B;
    r.set_reg<u32>(kEdx, model.signature);
    r.dr[6] = model.dr6_reset;
    r.dr[7] = model.dr7_reset;
    if (context_.has(Feature::PageAttributes))
        r.model_registers[kPageAttributesSlot] = kPageAttributesAtReset;
    context_.meter().reset();
    context_.set_cpl(0);
    context_.attention().reset();
    context_.float_error_changed();
    context_.mmu().reset();
    context_.debug_registers_changed();
    forget_derived_state();
}

void Cpu::apply_model() {
    context_.mmu().set_paging_features(context_.model().paging());
    context_.mmu().set_tlb_model(context_.model().tlb);
}

void Cpu::set_model(CpuModel model, CostModelKind clock, BusWidth bus) {
    context_.set_model(model_of(model));
    context_.meter().configure(model_of(model), clock, bus);
    apply_model();
    reset();
}

void Cpu::set_engine(EngineKind engine) {
    if (engine != EngineKind::Interpreter) {
        set_engine([](Context& context, Interpreter&) { return std::make_unique<BlockEngine>(context); });
        return;
    }
    engine_ = &interpreter_;
    other_engine_.reset();
}

void Cpu::set_engine(const EngineFactory& factory) {
    EMU_ASSERT(context_.progress().current == nullptr, "engines can only be changed between instructions");
    other_engine_ = factory(context_, interpreter_);
    engine_ = other_engine_.get();
}

void Cpu::forget_derived_state() {
    EMU_ASSERT(context_.progress().current == nullptr, "derived state can only be dropped between instructions");
    engine_->forget();
}

Moment Cpu::moment() const {
    const CpuState& r = context_.state();
    Moment m;
    m.instructions = instructions();
    m.cycle = now();
    m.eip = present_linear_eip();
    m.address_space = context_.mmu().control().space_of(r.cr3).root;
    m.cpl = r.cpl;
    return m;
}

void Cpu::set_line(u8 line, bool level) {
    Attention& attention = context_.attention();
    if (line == 0)
        attention.set_interrupt_line(level);
    else if (line == 2)
        attention.set_float_error_ignored(level);
    else if (level)
        attention.pulse_nmi();
}

void Cpu::shorten_deadline(Cycles deadline) {
    Progress& p = context_.progress();
    if (deadline < p.deadline) {
        p.deadline = deadline;
        p.leave = true;
    }
}

void Cpu::set_breakpoints(std::vector<u32> linear_addresses) {
    context_.breakpoints().set_addresses(std::move(linear_addresses));
    context_.breakpoints_changed();
}

void Cpu::set_state(const CpuState& state) {
    CpuState& r = context_.regs();
    const u32 old_cr0 = r.cr0;
    const u32 old_cr3 = r.cr3;
    const u32 old_cr4 = r.cr4;
    if (state.eip != r.eip)
        context_.attention().lift_shadow(); // the instruction that STI or MOV SS shielded is skipped
    const u32 old_place = linear_eip();
    r = state;
    if (linear_eip() != old_place)
        context_.meter().moved_from_outside();
    Mmu& mmu = context_.mmu();
    if (r.cr0 != old_cr0)
        mmu.write_cr0(old_cr0, r.cr0);
    if (r.cr3 != old_cr3)
        mmu.write_cr3(r.cr3, TlbFlushReason::Cr3);
    if (r.cr4 != old_cr4)
        mmu.write_cr4(old_cr4, r.cr4);
    context_.set_cpl(r.cpl);
    context_.meter().counters_set();
    context_.flags_changed();
    context_.float_error_changed();
    context_.debug_registers_changed();
}

void Cpu::code_changed(PhysicalAddress address, u32 size) {
    context_.tracer().emit(TraceKind::CodeInvalidated, address.value, size);
    if (!engine_->code_changed(address, size))
        context_.mmu().unflag_frame(address.page(), kFrameCode);
}

CpuStop Cpu::run_until(Cycles deadline, u64 instruction_limit) {
    Progress& p = context_.progress();
    p.deadline = deadline;
    for (;;) {
        Served served = Served::Nothing;
        if (context_.attention().wanted()) [[unlikely]]
            if (const auto stop = serve_attention(served))
                return *stop;
        if (p.cycle >= p.deadline)
            return CpuStop::Deadline;
        if (p.instructions >= instruction_limit)
            return CpuStop::Instructions;
        // Before the handler's first instruction, something else may be due (a breakpoint on it, one that its frame
        // has hit), or the delivery have ended in shutdown.
        if (served == Served::Delivery) [[unlikely]]
            continue;
        if (halted()) [[unlikely]] {
            if (p.deadline == kNever || nothing_can_wake())
                return CpuStop::Halted;
            context_.meter().pass_halted(p.deadline);
            continue;
        }
        engine_->run(instruction_limit);
    }
}

// Without interrupts only an NMI could wake it, and nothing on this board makes one.
bool Cpu::nothing_can_wake() const {
    const Attention& attention = context_.attention();
    const bool masked = interrupt_source_ != nullptr && interrupt_source_->masks_everything();
    const bool interruptible = state().flag(kFlagI) && (!masked || attention.interrupt_line());
    return !interruptible && !attention.nmi_pending();
}

// In the order of SDM 3A table 6-2, highest first.
std::optional<CpuStop> Cpu::serve_attention(Served& served) {
    Attention& attention = context_.attention();
    // 1: reset and shutdown.
    if (attention.is_shut_down())
        return CpuStop::Shutdown;
    // 3: interventions from outside.
    if (attention.take_stop())
        return CpuStop::Requested;
    // 4 to 6: traps on the instruction before, NMI, maskable interrupts.
    if (deliver_event()) {
        served = Served::Delivery;
        return std::nullopt;
    }
    // 7: breakpoints before the next instruction.
    if (!halted() && context_.breakpoints().reports(linear_eip(), instructions()))
        return CpuStop::Breakpoint;
    if (deliver_breakpoint()) {
        served = Served::Delivery;
        return std::nullopt;
    }
    // 8: faults before the next instruction.
    if (attention.wanted_for(Attention::kVirtualInterrupt) && protection::virtual_interrupt_due(state())) {
        protection::deliver(context_, context_.fault(kGeneralProtection, 0));
        served = Served::Delivery;
    }
    attention.settle(state().system_flags);
    return std::nullopt;
}

bool Cpu::deliver_event() {
    Attention& attention = context_.attention();
    if (const u32 traps = attention.take_trap(); traps != 0) {
        attention.wake();
        protection::deliver_debug(context_, traps);
        return true;
    }
    if (attention.take_nmi()) {
        attention.wake();
        protection::deliver_hardware(context_, {kNmi, InterruptCause::Nmi});
        return true;
    }
    if (attention.interrupt_line() && state().flag(kFlagI) && !attention.shadowed()) {
        attention.wake();
        const u8 vector = interrupt_source_ != nullptr ? interrupt_source_->acknowledge() : u8{0xFF};
        protection::deliver_hardware(context_, {vector, InterruptCause::Hardware});
        return true;
    }
    return false;
}

bool Cpu::deliver_breakpoint() {
    if (!context_.breakpoints().any_on_code() || halted() || context_.attention().debug_shadowed() ||
        state().flag(kFlagR))
        return false;
    const u32 hits = context_.breakpoints().hits_on_code(state(), linear_eip());
    if (hits == 0)
        return false;
    protection::deliver_debug(context_, hits);
    return true;
}

} // namespace forkscope
