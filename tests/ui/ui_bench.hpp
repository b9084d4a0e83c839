// Owns: a machine with the built-in guest, symbols and a fork tracer, for tests of what the window shows.
// Callers: tests/ui. Promises: runs to chosen events; each bench is a machine of its own.
#pragma once

#include <gtest/gtest.h>

#include "emu/base/sinks.hpp"
#include "emu/machine/images.hpp"
#include "emu/machine/machine.hpp"
#include "emu/observe/forks/fork_tracer.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

class UiBench : private TraceSink {
  public:
    using Predicate = std::function<bool(const TraceEvent&)>;

    explicit UiBench(const std::string& command_line) {
        MachineConfig config;
        const auto kernel = *embedded_kernel("lunaix");
        const auto initrd = embedded_initrd();
        config.kernel.assign(kernel.begin(), kernel.end());
        config.kernel_name = "lunaix";
        config.initrd.assign(initrd.begin(), initrd.end());
        config.command_line = command_line;
        auto image = ElfImage::from_bytes("lunaix", kernel);
        EXPECT_TRUE(image.ok());
        symbols_.add_kernel(std::move(image).value());
        EXPECT_TRUE(symbols_.add_programs_of_initrd(initrd).ok());
        auto machine = Machine::create(std::move(config));
        EXPECT_TRUE(machine.ok());
        machine_ = std::move(machine).value();
        ForkTracerOptions options;
        options.watch = [this](u32 frame) { machine_->mmu().flag_frame(frame >> kPageShift, kFramePageTable); };
        tracer_ = std::make_unique<ForkTracer>(machine_->mmu().memory(), &symbols_, options);
        sinks_.add(*tracer_);
        sinks_.add(*this);
        machine_->set_trace_sink(&sinks_);
    }

    Machine& machine() { return *machine_; }
    const ForkTracer& tracer() const { return *tracer_; }
    Symbolizer& symbols() { return symbols_; }

    // Stops after the instruction that makes an event of which the predicate says so. False: the guest ended before.
    bool run_until(Predicate predicate) {
        predicate_ = std::move(predicate);
        met_ = false;
        constexpr Cycles kMost = 3'000'000'000;
        const StopKind cause = machine_->run({machine_->now() + kMost, ~u64{0}}).kind;
        predicate_ = {};
        return met_ && cause == StopKind::Requested;
    }
    // A tracepoint, from inside the workload that the command line names.
    bool run_until_in_workload(u32 tracepoint) {
        return run_until([this, tracepoint](const TraceEvent& event) {
            return workload_ && event.kind == TraceKind::Tracepoint && event.a == tracepoint;
        });
    }
    void run_cycles(Cycles cycles) { machine_->run({machine_->now() + cycles, ~u64{0}}); }

  private:
    void on_event(const TraceEvent& event) override;

    std::unique_ptr<Machine> machine_;
    Symbolizer symbols_;
    std::unique_ptr<ForkTracer> tracer_;
    SinkList sinks_;
    Predicate predicate_;
    bool workload_ = false;
    bool met_ = false;
};

} // namespace forkscope
