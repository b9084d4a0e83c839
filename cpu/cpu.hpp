// Owns: Cpu, the processor as the machine sees it: its pins, its run loop, its model and its engine.
// Callers: the Machine runs it; debuggers and windows read state(). Promises: runs up to the cycle and the instruction
// asked for, exactly, whatever engine; what has to be looked at between two instructions is served in the manual's
// order.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "cpu/engine/engine.hpp"
#include "cpu/engine/interpreter.hpp"
#include "cpu/execute/context.hpp"
#include "emu/base/interrupt.hpp"
#include "emu/base/trace.hpp"

namespace forkscope {

enum class CpuStop : u8 {
    Deadline,     // the cycle asked for is reached
    Instructions, // the instruction count asked for is reached
    Halted,       // HLT, or a wait for FERR#'s interrupt, and none can come: disabled, or masked outside
    Shutdown,     // triple fault: the state is kept for looking
    Requested,    // request_stop() was called
    Breakpoint,   // the next instruction has one of set_breakpoints()
};

// Makes an engine that lies outside of cpu. It may hand single instructions to the interpreter; both outlive it.
using EngineFactory = std::function<std::unique_ptr<Engine>(Context&, Interpreter&)>;

class Cpu final : public MomentSource, public InterruptInput, private AccessListener {
  public:
    Cpu(Mmu& mmu, Bus& bus, Tracer& tracer);
    ~Cpu() override;

    void reset();
    // Turns this into another processor, and resets it. `bus` matters where the clock counts its cycles: the 386's.
    void set_model(CpuModel model, CostModelKind clock = CostModelKind::Flat, BusWidth bus = BusWidth::Bits32);
    const Model& model() const { return context_.model(); }
    void set_engine(EngineKind engine);
    void set_engine(const EngineFactory& factory);
    // The amnesia test calls it at random moments: no hash may change.
    void forget_derived_state();
    std::vector<HostCode> host_code(u32 linear) { return engine_->host_code(linear); }
    // Whether the x87 may use the host's, where that gives the same (float80_fast.hpp); without it all is done in
    // integers.
    void set_host_float(HostFloat host) { context_.set_host_float(host); }

    // Runs until the clock is at or after `deadline`, or `instruction_limit` instructions have retired since power-on,
    // whichever comes first. Events of devices must not be due before `deadline`.
    CpuStop run_until(Cycles deadline, u64 instruction_limit);
    // Ends run_until at the next instruction boundary.
    void request_stop() { context_.attention().want(Attention::kStopAsked); }
    // A device scheduled something earlier than the deadline in force.
    void shorten_deadline(Cycles deadline);
    // Instructions whose linear address is in this list stop the run before they execute (breakpoints).
    void set_breakpoints(std::vector<u32> linear_addresses);
    // One before the next instruction is taken as told of: the run goes on from here.
    bool pass_breakpoint() { return context_.breakpoints().reports(linear_eip(), instructions()); }

    // Line 0 is INTR, line 1 is NMI, line 2 is IGNNE#.
    void set_line(u8 line, bool level) override;
    void set_interrupt_source(InterruptSource* source) { interrupt_source_ = source; }
    // Where FERR# leads: high while an unmasked x87 exception is flagged and CR0.NE is 0.
    void set_float_error_line(const IrqLine& line) { context_.set_float_error_line(line); }

    Moment moment() const override;
    TracePlace place() const override { return {present_linear_eip(), now()}; }
    Cycles now() const { return context_.progress().now(); }
    u64 instructions() const { return context_.progress().retired(); }
    // Interrupts and faults delivered since the last instruction retired.
    u32 deliveries_since() const { return context_.progress().deliveries_since(); }
    bool halted() const { return context_.attention().halted(); }
    // Halted, but not by HLT: an x87 instruction waits for an error to be handled that FERR# has told (CR0.NE = 0).
    bool awaits_float_error() const { return context_.attention().float_error_awaited(); }
    bool shut_down() const { return context_.attention().is_shut_down(); }
    const CpuState& state() const { return context_.state(); }
    u32 linear_eip() const { return context_.state().linear_eip(); }
    // For loaders and debuggers: writes registers from outside, then brings everything derived in line.
    void set_state(const CpuState& state);
    const CostModel& cost_model() const { return context_.meter().cost_model(); }
    // Since power-on: cycles by cause (Base is what is left of now()), and what performance counters may count.
    CycleCounters cycles_by_cause() const { return context_.meter().cycles_by_cause(); }
    u64 count_of(Counted counted) const { return context_.meter().count_of(counted); }
    Tracer& tracer() { return context_.tracer(); }

    void serialize(Archive& ar);

  private:
    void code_changed(PhysicalAddress address, u32 size) override;
    void breakpoint_hit(u8 number) override { context_.attention().breakpoint_hit(number); }
    void page_walk_done(u32 updates) override { context_.meter().page_walk_done(updates); }
    void misaligned_access() override { context_.meter().misaligned_access(); }
    void memory_accessed(PhysicalAddress physical, u32 size, AccessKind kind) override {
        context_.meter().memory_accessed(physical, size, kind);
    }

    u32 present_linear_eip() const {
        const Progress& p = context_.progress();
        return state().segments[kCs].base + (p.current != nullptr ? p.present_eip(*p.current) : state().eip);
    }
    enum class Served : u8 { Nothing, Delivery };
    bool nothing_can_wake() const; // halted
    std::optional<CpuStop> serve_attention(Served& served);
    bool deliver_event();
    bool deliver_breakpoint();
    void apply_model();

    Context context_;
    Interpreter interpreter_;
    std::unique_ptr<Engine> other_engine_; // none: the interpreter runs
    Engine* engine_ = &interpreter_;
    InterruptSource* interrupt_source_ = nullptr;
};

} // namespace forkscope
