// Owns: Stepper, how one moves a stopped machine, forwards and backwards, at every grain; breakpoints and bookmarks.
// Callers: line mode, terminal, window, DAP. Promises: both directions stop at the same places; both ends of history
// are answers, not errors; breakpoints survive every way back; a move can be interrupted and leaves a sound place.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "emu/session/session.hpp"
#include "emu/session/stepper/way_back.hpp"

namespace forkscope {

enum class Way : u8 { Forwards, Backwards };

enum class Grain : u8 {
    Instruction, // or one delivery
    Line,        // of source, into the functions that it calls
    Over,        // the same, over them
    Out,         // to behind the call of this function; backwards: to before it
    Stop,        // of a fork
    TableWrite,
    TlbFill,
    TlbEvict,
    TlbFlush,
    Fault,
    SystemCall,
    ContextSwitch,
};
struct GrainName {
    Grain grain;
    std::string_view name;      // as commands have it
    std::string_view condition; // what it waits for; empty: source and instructions are walked
};
std::span<const GrainName> grain_names();

// Where a move led.
struct Arrival {
    enum class End : u8 {
        Done,        // as far as asked
        Met,         // a condition or breakpoint: `why`
        Beginning,   // of history
        Present,     // the end of what has been run so far: another move goes on
        GuestEnded,  // exit, triple fault, or nothing can wake it
        Limit,       // of the session
        Interrupted, // by whoever asked for it
    };
    End end = End::Done;
    std::string why;
    ExitCode code = ExitCode::Ok; // of the run, where it ended
};

struct StepBreakpoint {
    u32 number = 0;
    std::string condition;
    u64 ignore = 0;
    bool enabled = true;
    u32 waits_as = 0; // among the session's conditions; 0: it does not
};

class Stepper {
  public:
    // The session has a history; the stepper lives no longer than it.
    explicit Stepper(Session& session);
    ~Stepper();
    Stepper(const Stepper&) = delete;
    Stepper& operator=(const Stepper&) = delete;

    // Asked now and then on a long way: true ends it.
    void set_interrupted(std::function<bool()> asked) { interrupted_ = std::move(asked); }
    bool interrupted() const { return interrupted_ && interrupted_(); }

    Result<Arrival> move(Grain grain, Way way, u64 times = 1);
    // To the next breakpoint, or end, that way; or to where a condition is met, if that comes first.
    // `in_workload`: of forks only those count that the workload's processes make.
    Result<Arrival> go_on(Way way) { return travel("", way); }
    Result<Arrival> run_until(const std::string& condition, Way way, bool in_workload = false) {
        return travel(condition, way, in_workload);
    }
    Result<Arrival> go_to(Position position);
    // "123456", "123456+2" (deliveries), "1.5s", "begin", "end" or a bookmark's name.
    Result<Arrival> go_to(std::string_view place);

    // Everything up to here again, for observers that came to a recording on the way. Interrupted, it stays on the way.
    Result<Arrival> relive();

    // Error: it is no condition, with its mistake marked.
    Result<u32> add_breakpoint(const std::string& condition, u64 ignore = 0);
    bool remove_breakpoint(u32 number);
    bool enable_breakpoint(u32 number, bool enabled);
    const std::vector<StepBreakpoint>& breakpoints() const { return breakpoints_; }
    u64 times_met(const StepBreakpoint& breakpoint) const;

    void set_bookmark(const std::string& name) { bookmarks_[name] = {timeline().present().id, timeline().position()}; }
    bool remove_bookmark(const std::string& name) { return bookmarks_.erase(name) != 0; }
    struct Bookmark {
        u32 branch = 0;
        Position position;
    };
    const std::map<std::string, Bookmark>& bookmarks() const { return bookmarks_; }

    Session& session() { return session_; }
    Timeline& timeline() { return *session_.timeline(); }

  private:
    struct Place; // in source (source_steps.cpp)

    Result<Arrival> travel(const std::string& condition, Way way, bool in_workload = false);
    Arrival forwards();
    Result<Arrival> backwards();
    Result<Arrival> one_instruction(Way way);
    Result<Arrival> instructions_back(u64 times);
    void arm(StepBreakpoint& breakpoint);
    static Arrival arrival_of(const Outcome& outcome);
    Arrival ended() { return arrival_of(session_.outcome()); }

    // source_steps.cpp
    Place place();
    Result<Arrival> line_forwards(Grain grain);
    Result<Arrival> line_backwards(Grain grain);
    Result<Arrival> out(Way way);
    Result<Arrival> run_to_return(u32 address, u32 stack_pointer);

    Session& session_;
    std::function<bool()> interrupted_;
    std::vector<StepBreakpoint> breakpoints_;
    u32 last_breakpoint_ = 0;
    std::map<std::string, Bookmark> bookmarks_;
};

} // namespace forkscope
