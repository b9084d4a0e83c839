// Owns: UntilCondition, the --until expression: when a run is to stop.
// Callers: Session. Promises: parsed before the machine starts; checked from events and output, never by the guest.
#pragma once

#include <memory>
#include <string>

#include "emu/machine/machine.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

// serial:TEXT  screen:TEXT  symbol:NAME  address:HEX  tracepoint:NAME  fork  stop:N (N = 0 to 5, 1b, 2b, F)
class UntilCondition : public TraceSink {
  public:
    static Result<std::unique_ptr<UntilCondition>> parse(const std::string& text, const Symbolizer& symbols);

    // Sets a breakpoint where the condition is an address; it goes when it is reached.
    void arm(Machine& machine);
    TraceKinds kinds() const override { return trace_kinds({TraceKind::Tracepoint}); }
    void on_event(const TraceEvent& event) override;
    void on_console(const std::string& text);
    void on_slice(Machine& machine); // looks at the screen
    void on_stop(Machine& machine);  // a breakpoint may be ours
    // `fork` and `stop:N` mean only forks after the guest says that its workload begins.
    void count_only_workload_forks() { waits_for_workload_ = true; }
    bool met() const { return met_; }
    const std::string& text() const { return text_; }

  private:
    enum class Kind { Serial, Screen, Address, Tracepoint };

    void meet();

    Kind kind_ = Kind::Serial;
    std::string text_;
    std::string wanted_;
    u64 number_ = 0;
    Machine* machine_ = nullptr;
    OwnedBreakpoints::Owner owner_{};
    bool met_ = false;
    bool waits_for_workload_ = false;
};

// The characters on the guest's screen, a line each.
std::string screen_text(const Machine& machine);

} // namespace forkscope
