// Owns: whether the window's machine runs or is stopped, and how far it runs a frame.
// Callers: the window. Promises: the guest never gets ahead of real time and never feels it: only slices and steps of
// the session move the machine.
#pragma once

#include <string>

#include "emu/session/session.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

class RunControl {
  public:
    explicit RunControl(Session& session);

    void obey(Command command);
    // Runs for one frame of the window. `seconds`: of real time since the frame before.
    void advance(double seconds);

    bool running() const { return running_; }
    // Counts up whenever the machine may have moved.
    u64 moves() const { return moves_; }
    // Adds status, speed and the registers of the stop before.
    void describe(View& view) const;

  private:
    void start(std::string status);
    void start_to(const char* condition, std::string status);
    void stop(std::string status);
    void measure(double seconds);
    void follow(Debugger& debugger);
    bool obey_with_debugger(Command command);

    Session& session_;
    u32 wanted_ = 0; // the stop condition that a button asked for; 0: none
    bool running_ = true;
    bool held_ = false; // by a debugger
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
