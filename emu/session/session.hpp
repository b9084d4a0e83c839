// Owns: Session, a machine with its host ends: files, serial, observers, limits, stop conditions.
// Callers: the commands and the window. Promises: what the person asked for is checked before the machine starts;
// slices of host time never change what the guest sees.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "emu/base/sinks.hpp"
#include "emu/machine/machine.hpp"
#include "emu/observe/forks/fork_tracer.hpp"
#include "emu/session/options.hpp"
#include "emu/session/until.hpp"
#include "emu/symbols/symbolizer.hpp"
#include "emu/trace/last_events.hpp"
#include "emu/trace/trace_file.hpp"

namespace forkscope {

class SerialPort;

// Why a run ended, as an exit code and, where there is something to say, a line for stderr.
struct Outcome {
    ExitCode code = ExitCode::Ok;
    std::string message;
};

// Remembers that the guest stated a panic.
class PanicWatch : public TraceSink {
  public:
    TraceKinds kinds() const override { return trace_kinds({TraceKind::Tracepoint}); }
    void on_event(const TraceEvent& event) override;
    bool seen = false;
};

class Session {
  public:
    static Result<std::unique_ptr<Session>> create(const Options& options);
    ~Session();

    Machine& machine() { return *machine_; }
    Symbolizer& symbols() { return symbols_; }
    SinkList& sinks() { return sinks_; }
    const ForkTracer* tracer() const { return tracer_.get(); }
    // Attaches the fork tracer; before the first run(). So many finished forks keep their lists.
    ForkTracer& trace_forks(std::size_t keep_whole = ForkTracerOptions{}.keep_whole);
    void set_limit(RunLimit limit) { options_.limit = limit; }
    // The guest's kernel has said that it cannot go on.
    bool panicked() const { return panic_.seen; }
    const std::string& console_text() const { return console_; }

    // Runs headless to the end: exit, limit, the --until condition, shutdown. Serial input is polled in between.
    Outcome run_to_end();
    // Runs `cycles` of simulated time at most, for the window. False once the machine cannot go on.
    bool run_slice(Cycles cycles);
    Outcome outcome() const { return outcome_; }
    // The last slice ended because of --until.
    bool until_met() const { return until_met_; }
    // Closes what is being written: trace, snapshot, serial. The first trouble wins.
    Result<void> finish();

  private:
    explicit Session(Options options);
    Result<void> load_images(MachineConfig& config);
    Result<void> open_host_ends();
    void load_symbols();
    void on_output(std::string_view channel, u8 byte);
    void poll_input();
    void print_hash();
    bool ended(StopKind kind);
    StopReason run_counting(const RunLimit& limit);
    Outcome shutdown_outcome();

    Options options_;
    std::unique_ptr<Machine> machine_;
    Symbolizer symbols_;
    SinkList sinks_;
    LastEvents last_events_;
    PanicWatch panic_;
    std::unique_ptr<ForkTracer> tracer_;
    std::unique_ptr<TraceFileWriter> recording_;
    std::unique_ptr<SerialPort> serial_;
    std::unique_ptr<SerialPort> debug_console_; // port E9h
    std::unique_ptr<UntilCondition> until_;
    bool until_met_ = false;
    std::string console_; // the last of what COM1 said
    Outcome outcome_;
    u64 next_hash_ = 0;
    int assert_hook_ = -1;
};

// Reads a whole file; `most` bytes at the most, so that /dev/zero ends too.
Result<std::vector<u8>> read_file(const std::string& path, const std::string& what, u64 most = u64{1} << 30);

} // namespace forkscope
