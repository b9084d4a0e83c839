// Owns: StopConditions, when and why a session's run ends: the guest's own end, the limit, --until, what a face waits
// for. Callers: Session, and faces through it. Promises: conditions are checked from events, output and the screen,
// never by the guest; the first one that is met is named, and removed; other owners' breakpoints stay.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "emu/machine/machine.hpp"
#include "emu/observe/forks/fork_record.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

// Why a run ended.
struct Outcome {
    ExitCode code = ExitCode::Ok;
    std::string why;     // in a few words
    std::string message; // for stderr; empty: a person who waits for the end knows
};

struct StopCondition {
    enum class Kind : u8 {
        SerialText,   // COM1's output ends with it
        ScreenText,   // it is on the screen, looked at every millisecond
        Address,      // the next instruction is at one of them
        Tracepoint,   // the guest states it
        ForkBegins,   // as the guest states it, or found in what the hardware does once the child runs
        NextForkStop, // any stop of fork, or its end; from a guest without tracepoints the next burst of table writes
        NextFault,    // any page fault, before its handler runs
    };
    Kind kind{};
    std::string typed; // the expression that it was parsed from, if any
    std::string text;
    std::vector<u32> addresses;
    std::string program; // that must run there; empty: any
    u32 tracepoint = 0;
    // Of forks only those count that the workload's processes make.
    bool in_workload = false;
};

// serial:TEXT  screen:TEXT  symbol:NAME  symbol:PROGRAM:NAME  address:HEX  tracepoint:NAME  fork  stop:N (N = 0 to 5,
// 1b, 2b, F)
Result<StopCondition> parse_stop_condition(const std::string& text, const Symbolizer& symbols);

class StopConditions : public TraceSink {
  public:
    StopConditions(Machine& machine, Symbolizer& symbols);
    ~StopConditions() override;
    StopConditions(const StopConditions&) = delete;
    StopConditions& operator=(const StopConditions&) = delete;

    void set_limit(RunLimit limit) { limit_ = limit; }
    // How far a slice of at most so many cycles may run.
    RunLimit limit_of_slice(Cycles cycles) const;
    // Whether a process is of the workload; until it is told, each is.
    void set_workload(std::function<bool(u32 pid)> holds) { of_workload_ = std::move(holds); }
    // Returns the condition's number, from 1.
    u32 add(StopCondition condition);
    // Nothing happens if it was met, and so removed, before.
    void remove(u32 number);
    // Ends the run at the next question: Ctrl-C, trouble of the host.
    void end_run(Outcome outcome);
    bool end_asked() const { return asked_.has_value(); }
    // The guest's kernel has said that it cannot go on.
    bool panicked() const { return panicked_; }

    TraceKinds kinds() const override;
    void on_event(const TraceEvent& event) override;
    // COM1 has put out one more character; `text` is the end of all its output.
    void on_console(const std::string& text);

    // A fork became known.
    void on_fork(const ForkRecord& fork);

    // After Machine::run or step returned: whether the run has ended, and why. After a step the limit does not count.
    enum class After : u8 { Slice, Step };
    std::optional<Outcome> ended(const StopReason& reason, After after);

  private:
    struct Waiting {
        u32 number = 0;
        std::vector<u32> breakpoints;
        StopCondition condition;
    };

    void meet(const Waiting& waiting, std::string why);
    void meet_while_running(const Waiting& waiting, std::string why);
    void on_tracepoint(u32 id, u32 pid);
    void on_table_write(const TraceEvent& event);
    std::optional<Outcome> end_of_guest(StopKind kind) const;
    Outcome unmet(Outcome outcome) const;
    bool runs(const std::string& program);
    void look(const StopReason& reason);
    // Another owner's breakpoint before the next instruction; 0: there is none.
    u32 foreign_breakpoint() const;

    Machine& machine_;
    Symbolizer& symbols_;
    OwnedBreakpoints::Owner owner_;
    RunLimit limit_;
    std::vector<Waiting> waiting_;
    u32 last_number_ = 0;
    u32 met_ = 0; // the number of the first that was met
    std::string why_;
    std::optional<Outcome> asked_; // by end_run()
    std::function<bool(u32)> of_workload_;
    // What the events have told so far.
    bool guest_speaks_ = false; // by tracepoints
    bool users_run_ = false;
    bool panicked_ = false;
    u64 last_table_write_ = 0;
};

} // namespace forkscope
