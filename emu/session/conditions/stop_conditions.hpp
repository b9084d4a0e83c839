// Owns: StopConditions, when and why a session's run ends: the guest's own end, the limit, conditions that somebody
// waits for. Callers: Session, and faces through it. Promises: conditions are armed so that no moment is missed, asked
// at instruction boundaries, never by the guest; what they remember goes into checkpoints; others' breakpoints stay.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "emu/machine/machine.hpp"
#include "emu/observe/forks/fork_record.hpp"
#include "emu/session/conditions/condition.hpp"
#include "emu/session/conditions/evaluation/machine_evaluator.hpp"
#include "emu/session/conditions/evaluation/occurrences.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

// Why a run ended.
struct Outcome {
    ExitCode code = ExitCode::Ok;
    std::string why;     // in a few words
    std::string message; // for stderr; empty: a person who waits for the end knows
    enum class By : u8 { Asked, Guest, Condition, Breakpoint, Limit } by = By::Asked; // Breakpoint: of another owner
};

// What happens to a condition that is met.
enum class Keep : u8 { Once, Stay };

struct ConditionUse {
    Keep keep = Keep::Once;
    // Of forks only those count that the workload's processes make.
    bool in_workload = false;
    u64 ignore = 0;            // so many times it is met, and nobody is told
    std::string asked_as = {}; // "--until stop:3", if somebody typed it: then it is an error that it is not met
};

class StopConditions : public TraceSink {
    struct Kept { // of one condition
        u32 number = 0;
        std::string text;
        bool held = false; // when it was last asked
        u64 times_met = 0;
        u64 asked_at_instruction = ~u64{0}; // at one of its places
        Cycles asked_at_cycle = 0;
        std::vector<NodeMemory> nodes;

        void serialize(Archive& ar);
        void add_beyond(Footprint& footprint, const Kept* before) const {
            footprint.add(text, before != nullptr ? &before->text : nullptr);
            footprint.add(nodes, before != nullptr ? &before->nodes : nullptr);
        }
    };

  public:
    // What a checkpoint holds: what was told, and what each condition remembers.
    struct State {
        Told told;
        std::vector<Kept> conditions;

        void serialize(Archive& ar);
        auto held() const { return std::tie(conditions); }
    };

    StopConditions(Machine& machine, Symbolizer& symbols);
    ~StopConditions() override;
    StopConditions(const StopConditions&) = delete;
    StopConditions& operator=(const StopConditions&) = delete;

    void set_limit(RunLimit limit) { limit_ = limit; }
    // How far a slice of at most so many cycles may run.
    RunLimit limit_of_slice(Cycles cycles) const;
    // Whether a process is of the workload; until it is told, each is.
    void set_workload(std::function<bool(u32 pid)> holds) { of_workload_ = std::move(holds); }
    // Returns the condition's number, from 1. What is true of the machine's state now has to come about anew.
    u32 add(Condition condition, ConditionUse use = {});
    // Nothing happens if it was met once, and so removed, before.
    void remove(u32 number);
    bool waits_for(u32 number) const;
    // How often it was met, ignored times included. It goes back with the machine.
    u64 times_met(u32 number) const;
    // Ends the run at the next question: Ctrl-C, trouble of the host.
    void end_run(Outcome outcome);
    bool end_asked() const { return asked_.has_value(); }
    // The guest's kernel has said that it cannot go on.
    bool panicked() const { return told_.panicked; }

    TraceKinds kinds() const override { return kinds_; }
    TraceKinds looks_at() const override { return waiting_.empty() ? 0 : kinds_; }
    void on_event(const TraceEvent& event) override;
    // COM1 has put out one more character; `text` is the end of all its output.
    void on_console(const std::string& text);

    // A fork profile says where stops begin, and not what the guest states.
    void take_stops_from_profile() { by_profile_ = true; }
    void on_profile_stop(const TraceEvent& event);
    // A fork became known.
    void on_fork(const ForkRecord& fork);

    // Runs as `run` does, Machine::run or what stands for it, up to where ended() has something to say or the limit is
    // reached. Conditions that nothing reports are asked after each instruction.
    using Run = std::function<StopReason(const RunLimit&)>;
    StopReason run(const RunLimit& limit, const Run& run);
    // After a run or a step: whether it has ended, and why. After a step the limit does not count.
    enum class After : u8 { Slice, Step };
    std::optional<Outcome> ended(const StopReason& reason, After after);
    // Those that the last outcome is about, in the order in which they were added.
    struct Met {
        u32 number = 0;
        std::string what;
    };
    std::span<const Met> met() const { return met_; }
    // The machine is re-executed, by whomever: conditions remember what they would have, and nobody is told.
    void pass_over(const StopReason& reason);

    // A condition that was added later than the state was taken begins anew.
    State state() const;
    void restore(const State* state);
    CheckpointPart checkpoint_part() { return forkscope::checkpoint_part("conditions", 1, *this); }

  private:
    struct Waiting {
        Condition condition;
        ConditionUse use;
        Kept kept;
        std::vector<u32> breakpoints;
        std::vector<u32> watch_ids;
        std::vector<ReadBytes> watched; // what they watch
        bool due = false;               // something happened that it has to be asked for
        Moment cause;                   // of the last store or event that made it due
    };

    void kinds_changed();
    void begin(Waiting& waiting);
    void resume(Waiting& waiting, const Kept& kept);
    void watch_what_was_read(Waiting& waiting, std::vector<ReadBytes> read);
    void watch(Waiting& waiting, std::vector<ReadBytes> bytes);
    void make_due(Waiting& waiting, const Moment& cause);
    void happened(Waiting& waiting, u32 node, const TraceEvent& event);
    // Does the event count for this node?
    bool counts(Waiting& waiting, u32 node, const TraceEvent& event, bool burst);
    bool changes_value(Waiting& waiting, const TraceEvent& event);
    std::optional<u64> argument(Waiting& waiting, u32 node);
    void on_store(const WatchHit& hit);
    void bytes_changed(Waiting& waiting, const ReadBytes& bytes);

    MachineEvaluator evaluator(Waiting& waiting, Evaluator::Mode mode);
    void ask(const StopReason& reason);
    void ask(Waiting& waiting);
    std::string what_was_met(const Waiting& waiting) const;
    std::string caller_of(u32 eip) const;
    Outcome take_met();
    bool asks_each_instruction() const;
    bool has_news(const StopReason& reason) const;
    bool fork_counts(const Waiting& waiting, u32 tracepoint, u32 pid) const;

    std::optional<Outcome> end_of_guest(StopKind kind) const;
    Outcome unmet(Outcome outcome) const;
    bool runs(const std::string& program);
    // Another owner's breakpoint before the next instruction; 0: there is none.
    u32 foreign_breakpoint() const;

    Machine& machine_;
    Symbolizer& symbols_;
    OwnedBreakpoints::Owner breakpoint_owner_;
    OwnedWatchpoints::Owner watch_owner_;
    RunLimit limit_;
    TraceKinds kinds_ = 0;
    std::vector<Waiting> waiting_;
    u32 last_number_ = 0;
    std::vector<Met> met_;
    bool met_told_ = true;
    bool by_profile_ = false;
    std::optional<Outcome> asked_; // by end_run()
    std::function<bool(u32)> of_workload_;
    Told told_;
};

} // namespace forkscope
