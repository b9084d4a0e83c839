// Owns: a session with the built-in guest and its fork tracer, for tests of what the window shows.
// Callers: tests/ui. Promises: runs to chosen events; each bench is a machine of its own.
#pragma once

#include <gtest/gtest.h>

#include "emu/session/session.hpp"

namespace forkscope {

class UiBench : private TraceSink {
  public:
    using Predicate = std::function<bool(const TraceEvent&)>;

    explicit UiBench(const std::string& command_line, const std::string& os = "lunaix", u64 history = 0) {
        Options options;
        options.os = os;
        options.machine.command_line = command_line;
        options.trace_forks = true;
        options.history = history;
        auto session = Session::create(options);
        EXPECT_TRUE(session.ok());
        session_ = std::move(session).value();
        session_->attach(*this);
    }

    Session& session() { return *session_; }
    Machine& machine() { return session_->machine(); }
    const ForkTracer& tracer() const { return *session_->tracer(); }
    Symbolizer& symbols() { return session_->symbols(); }

    // Stops after the instruction that makes an event of which the predicate says so. False: the guest ended before.
    bool run_until(Predicate predicate) {
        predicate_ = std::move(predicate);
        met_ = false;
        constexpr Cycles kMost = 3'000'000'000;
        const StopKind kind = machine().run({machine().now() + kMost, ~u64{0}}).kind;
        predicate_ = {};
        return met_ && kind == StopKind::Requested;
    }
    // A tracepoint, from inside the workload that the command line names.
    bool run_until_in_workload(u32 tracepoint) {
        return run_until([this, tracepoint](const TraceEvent& event) {
            return workload_ && event.kind == TraceKind::Tracepoint && event.a == tracepoint;
        });
    }
    void run_cycles(Cycles cycles) { machine().run({machine().now() + cycles, ~u64{0}}); }

  private:
    void on_event(const TraceEvent& event) override;

    std::unique_ptr<Session> session_;
    Predicate predicate_;
    bool workload_ = false;
    bool met_ = false;
};

} // namespace forkscope
