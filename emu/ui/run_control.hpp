// Owns: whether the machine runs or stands, why it stands, and how far it runs a frame.
// Callers: the window. Promises: the guest never gets ahead of real time and never feels it: only whole slices, stops
// at instruction boundaries, and step() move the machine.
#pragma once

#include <string>

#include "emu/ui/panels/panels.hpp"
#include "emu/ui/window.hpp"

namespace forkscope::ui {

// Stops the machine at the events that the user asked to run to. It is before the other observers and passes all on.
class StopWatch : public TraceSink {
  public:
    enum class Wanted : u8 { Nothing, ForkStop, Fault };

    explicit StopWatch(Machine& machine);
    ~StopWatch() override;
    StopWatch(const StopWatch&) = delete;
    StopWatch& operator=(const StopWatch&) = delete;

    TraceKinds kinds() const override;
    void on_event(const TraceEvent& event) override;
    void want(Wanted wanted) {
        wanted_ = wanted;
        reason_.clear();
    }
    // Why it stopped the machine; empty: it did not.
    const std::string& reason() const { return reason_; }

  private:
    void stop(std::string reason);
    void on_table_write(const TraceEvent& event);

    Machine& machine_;
    TraceSink* next_;
    Wanted wanted_ = Wanted::Nothing;
    std::string reason_;
    bool guest_speaks_ = false; // by tracepoints
    bool users_run_ = false;
    u64 last_table_write_ = 0;
};

class RunControl {
  public:
    RunControl(Machine& machine, RunSlice run_slice, const WindowOptions& options);

    void obey(Command command);
    // Runs for one frame of the window. `seconds`: of real time since the frame before.
    void advance(double seconds);

    bool running() const { return running_; }
    // Counts up whenever the machine may have moved.
    u64 moves() const { return moves_; }
    // Adds status, speed and the registers of the stop before.
    void describe(View& view) const;

  private:
    void start(StopWatch::Wanted wanted, std::string status);
    void stop(std::string status);
    std::string end_reason() const;
    void measure(double seconds);

    Machine& machine_;
    RunSlice run_slice_;
    WindowOptions options_;
    StopWatch watch_;
    bool running_ = true;
    std::string status_ = "the guest runs";
    CpuState at_stop_, at_stop_before_;
    u32 stops_ = 0;
    u64 moves_ = 0;
    double owed_ = 0; // seconds of simulated time
    double measured_seconds_ = 0;
    u64 measured_from_ = 0;
    double mips_ = 0;
};

} // namespace forkscope::ui
