// Owns: Session, a machine with its host ends, observers and stop conditions: what every face works with.
// Callers: the commands and the faces. Promises: what the person asked for is checked before a file is written or the
// machine starts; slices of host time never change what the guest sees.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "emu/base/sinks.hpp"
#include "emu/machine/machine.hpp"
#include "emu/machine/timeline/timeline.hpp"
#include "emu/observe/faults/unmapped_touches.hpp"
#include "emu/observe/forks/fork_tracer.hpp"
#include "emu/session/conditions/stop_conditions.hpp"
#include "emu/session/debugger.hpp"
#include "emu/session/options/options.hpp"
#include "emu/session/profiles/profile_stops.hpp"
#include "emu/symbols/symbolizer.hpp"
#include "emu/trace/last_events.hpp"

namespace forkscope {

class HostEnds;
class RecordingShelf;
class SnapshotFile;

// What a tracer has to be able to ask of the machine that it watches, which outlives it.
ForkTracerOptions tracer_options_for(Machine& machine);

class Session {
  public:
    static Result<std::unique_ptr<Session>> create(const Options& options);
    ~Session();

    Machine& machine() { return *machine_; }
    Symbolizer& symbols() { return symbols_; }
    // One more observer, for as long as the session lives. Between two slices.
    void attach(TraceSink& sink);
    // One that is not to hear any more.
    void detach(TraceSink& sink);
    // There if Options::trace_forks asks for it.
    const ForkTracer* tracer() const { return tracer_.get(); }
    // What happened last; after a way back, what was passed on the way comes last.
    const LastEvents& last_events() const { return last_events_; }
    // What the kernel calls the stops of fork: what --profile names, else the built-in kernel's; nullptr: unknown.
    const ForkProfile* profile() const;
    // There if Options::info asks for it.
    const UnmappedTouches* unmapped() const { return unmapped_.get(); }
    // What ends a run; --until and the limit are among them.
    StopConditions& stops() { return *stops_; }

    // One who moves the machine beside the face; nullptr: nobody. The session does not own it.
    void set_debugger(Debugger* debugger) { debugger_ = debugger; }
    Debugger* debugger() { return debugger_; }

    // From here on the machine has a past that it can go back to, whole, with the parts of all observers that it has
    // now. Called again, it changes nothing.
    void keep_past();
    // Observers came to the present place of a recording without what was before it.
    bool opened_on_the_way() const { return shelf_ != nullptr && machine_->restored_without("forks"); }
    Timeline* timeline() { return timeline_.get(); } // nullptr: no past is kept
    // Opened at a place in a recording, to be looked at.
    bool starts_paused() const;
    // An input from outside; in the past it starts a branch.
    void inject(const InputEvent& event);
    // Keys for a text, as Machine::type; in the past they start a branch.
    Result<void> type(const std::string& text);

    // Runs headless until the run ends. Serial input is polled in between.
    Outcome run_to_end();
    // Runs `cycles` of simulated time at most, for faces; none while a debugger holds the machine. False once the run
    // has ended; one that ended at a condition may be continued.
    bool run_slice(Cycles cycles);
    // One instruction, or the delivery of one interrupt or fault. False: the run has ended.
    bool step();
    // Every byte that the guest says on its first serial port, but for those of a past that is run again.
    void hear_console(std::function<void(u8 byte)> hear);
    // How the last slice or step that ended a run did so.
    const Outcome& outcome() const { return outcome_; }
    // The same where the machine still is there. From an end that one went back from, the run has not come to it.
    Outcome outcome_here() const { return machine_->position() == ended_at_ ? outcome_ : Outcome{}; }
    // Where the machine is: "dup_proc+0x1c (fork.c:88)", or the address.
    std::string place() const;
    // The end of what the guest has said on its serial port; where that is silent, of its screen. "": nothing.
    std::string last_words() const;
    bool silent() const; // on the serial port
    // Closes what is being written: trace, snapshot, serial. The first trouble wins.
    Result<void> finish();

  private:
    explicit Session(Options options);
    Result<void> load_images(MachineConfig& config);
    Result<void> load_symbols();
    Result<void> find_sources();
    Result<void> begin(const SnapshotFile* snapshot);
    Result<void> open_recording();
    Result<void> type_text();
    Result<void> add_until();
    Result<void> trace_forks();
    Result<void> use_profile();
    Result<void> check_profile();
    void watch_unmapped();
    void print_hash();
    void end_if_asleep(Cycles awake);
    bool ended(const StopReason& reason, StopConditions::After after);
    StopReason run_counting(const RunLimit& limit);
    StopReason move(Debugger::Wants wants, const RunLimit& limit);
    StopReason step_machine() { return timeline_ != nullptr ? timeline_->step() : machine_->step(); }
    StopReason run_machine(const RunLimit& limit) {
        return timeline_ != nullptr ? timeline_->run(limit) : machine_->run(limit);
    }
    void poll_host();
    bool in_past() const;
    void attach_to_present(TraceSink& sink);
    void attach_without_tracepoints(TraceSink& sink);
    std::string shutdown_report() const;

    Options options_;
    std::unique_ptr<Machine> machine_;
    Symbolizer symbols_;
    SinkList sinks_;
    LastEvents last_events_;
    std::unique_ptr<ForkTracer> tracer_;
    std::unique_ptr<UnmappedTouches> unmapped_;
    std::unique_ptr<ProfileStops> profile_stops_;
    std::vector<std::unique_ptr<TraceSink>> filters_;
    std::unique_ptr<RecordingShelf> shelf_; // of the timeline
    std::unique_ptr<Timeline> timeline_;
    std::unique_ptr<HostEnds> ends_;
    std::unique_ptr<StopConditions> stops_;
    Debugger* debugger_ = nullptr;
    Outcome outcome_;
    Position ended_at_;
    u64 next_hash_ = 0;
    int assert_hook_ = -1;
};

} // namespace forkscope
