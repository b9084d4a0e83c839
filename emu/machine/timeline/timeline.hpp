// Owns: Timeline, a machine's past: checkpoints, the way back to any position, and branches where the past was changed.
// Callers: the session runs its machine through it; faces ask for positions. Promises: a position that is gone to is
// the state that was, bit for bit, observers included; what left the machine there before is not put out again;
// checkpoints stay below their limit, observers' states with them: the past becomes coarser, not shorter.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "emu/machine/machine.hpp"
#include "emu/machine/timeline/checkpoint.hpp"
#include "emu/machine/timeline/position.hpp"

namespace forkscope {

struct TimelineLimits {
    u64 bytes = u64{512} << 20;
    u64 spacing = 1'500'000;      // instructions between two checkpoints of the last `near`, or four times the cycles
    u64 near = 50'000'000;        // instructions
    u64 far_spacing = 30'000'000; // before those, as far as memory reaches
    u64 ladder_spacing = 200'000; // between those that are laid on the way to a position
    u32 ladder = 5;               // of which so many lead there
    // CPU time in nanoseconds, if one waits for the way back. The three distances above are then for a machine that
    // takes `way` for the first of them; those of another are in proportion. Where checkpoints lie decides how long a
    // way takes, never where it leads.
    std::function<u64()> clock = {};
    u64 way = 12'000'000;
};

// Checkpoints of a run that lie elsewhere, such as in a recording's file.
class CheckpointShelf {
  public:
    virtual ~CheckpointShelf() = default;
    virtual const std::vector<Position>& places() const = 0; // in order
    // Error: it is damaged; then nothing of the machine has changed.
    virtual Result<void> put_back(std::size_t place, Machine& machine) const = 0;
};

class Timeline {
  public:
    using Checkpoints = std::map<Position, std::shared_ptr<const Checkpoint>>;
    // A run from power-on. What was done up to a change of the past, and what was done instead, are two branches.
    struct Branch {
        u32 id = 0; // from 1
        u32 parent = 0;
        Position from; // where it leaves its parent
        Position end;  // the furthest that it has been run to
        std::vector<InputEvent> inputs;
        Checkpoints checkpoints;
    };

    // The past begins here.
    explicit Timeline(Machine& machine, const TimelineLimits& limits = {});
    ~Timeline();
    Timeline(const Timeline&) = delete;
    Timeline& operator=(const Timeline&) = delete;

    // As Machine::run and step. In the past they do again what was done; breakpoints stop them there, too.
    StopReason run(RunLimit limit);
    StopReason step();

    Position position() const { return machine_.position(); }
    Position beginning() const { return present().checkpoints.begin()->first; }
    Position end() const { return in_past() ? present().end : position(); }
    // What leaves the machine did so before, and is muted.
    bool in_past() const { return replaying_; }
    // On the way to a position: what is met there was met before.
    bool seeking() const { return seeking_; }

    // Runs the machine on the way to a position, for who wants to know what is passed there: observers hear of it in
    // any case. It may stop anywhere, and is called again.
    using Pass = std::function<StopReason(const RunLimit&)>;
    void set_pass(Pass pass) { pass_ = std::move(pass); }

    // Exactly there, in the present branch; a breakpoint there counts as met. Error: it is no position of the branch,
    // or re-execution strays, which is a bug of ours unless the run was recorded by another program.
    Result<void> go_to(Position target);
    // The same, where the cycle is not known.
    Result<void> go_to(u64 instructions, u32 deliveries = 0);
    // To the first instruction boundary at or behind a time.
    Result<void> go_to_cycle(Cycles cycle);
    // The last one strictly before a position; none: it is the beginning. To search backwards, interval by interval.
    std::optional<Position> checkpoint_before(Position position) const;
    // The last stretch before a position, of those between two checkpoints, in which a frame may have been written:
    // behind it, it was not. None: nor at any time since the beginning.
    struct Stretch {
        Position begin, end;
    };
    std::optional<Stretch> writes_before(Position position, u64 frame) const;

    // In the past this starts a branch, which is the present one from then on; the future that was is kept.
    void inject(const InputEvent& event);
    // The same without a change: what comes from here on is new. At the end it changes nothing.
    void start_branch();
    const Branch& present() const { return branches_.at(present_); }
    const std::map<u32, Branch>& branches() const { return branches_; }
    // To a position of another branch. Error: there is no such branch or position.
    Result<void> switch_to(u32 branch, Position target);
    // Error: there is no such branch, or it is the present one.
    Result<void> drop(u32 branch);

    // Inputs of a run that was recorded from this machine's present position on, and where it ended: known future.
    void expect(InputLog future, Position end);
    // Checkpoints of the first branch, which are fetched where they spare a long way. The shelf outlives the timeline.
    void set_shelf(const CheckpointShelf* shelf) { shelf_ = shelf; }

    // For observers who do not know all of the past, since the machine was fetched to its place: does everything up to
    // here again, from the beginning, and lays checkpoints as a run does. The shelf is not asked any more. `goes_on` is
    // asked now and then; where it says no, the machine stays on the way.
    Result<void> relive(const std::function<bool()>& goes_on);

    u64 bytes() const { return keeper_.bytes(); }
    std::size_t checkpoint_count() const;

  private:
    class Seeking {
      public:
        explicit Seeking(Timeline& timeline) : timeline_(timeline) { set(true); }
        ~Seeking() { set(false); }
        Seeking(const Seeking&) = delete;
        Seeking& operator=(const Seeking&) = delete;

      private:
        void set(bool on) {
            timeline_.seeking_ = on;
            timeline_.set_replaying(timeline_.replaying_);
        }
        Timeline& timeline_;
    };
    static constexpr std::size_t kMostRungs = 64;
    static constexpr double kMostPace = 8;             // of what is usual, or as little
    static constexpr Cycles kCyclesPerInstruction = 4; // where they are more, they count in place of instructions

    Branch& here() { return branches_.at(present_); }
    std::optional<StopReason> step_to_end();
    void note_end();
    void set_replaying(bool replaying);
    // Where the way to the target is shortest.
    void approach(Position target);
    bool fetch_for(Position target, Position instead);
    std::optional<std::size_t> shelved_before(Position position) const;
    void return_to(std::shared_ptr<const Checkpoint> checkpoint);
    void hand_future_over();
    Result<void> seek(Position target);
    RunLimit toward(Position target, RunLimit limit = {}) const;
    RunLimit to_next_checkpoint(RunLimit limit) const;
    Error not_in_history(u64 instructions) const;
    Error strayed(Position target) const;
    const Checkpoint& last_checkpoint() const;
    Cycles busy() const;
    // An instruction ended here, and not the repetition of one.
    enum class Boundary : u8 { Perhaps, Surely };
    void lay_if_due(Boundary boundary);
    void lay();
    void lay_rung();
    // How long the way is: a string instruction takes one count and many cycles.
    static u64 length(u64 instructions, Cycles busy) { return std::max(instructions, busy / kCyclesPerInstruction); }
    static u64 length(const Checkpoint& from, const Checkpoint& to) {
        return length(to.at.instructions - from.at.instructions, to.busy - from.busy);
    }
    StopReason run_timed(const RunLimit& limit);
    void follow_pace();
    u64 in_proportion(u64 distance) const;
    u64 spacing_at(u64 age) const;
    Checkpoints::iterator forget(Checkpoints& all, Checkpoints::iterator at);
    void thin();
    void keep_below_limit();

    Machine& machine_;
    TimelineLimits limits_;
    u64 spacing_; // limits_.spacing, as this machine takes its time
    struct {
        u64 length = 0, nanoseconds = 0;
    } ran_; // since spacing_ was last set
    CheckpointKeeper keeper_;
    std::map<u32, Branch> branches_;
    u32 present_ = 1;
    u32 last_branch_ = 1;
    std::deque<std::pair<u32, Position>> rungs_; // branch and place, the oldest first
    bool replaying_ = false;
    bool seeking_ = false;
    Pass pass_;
    const CheckpointShelf* shelf_ = nullptr;
};

} // namespace forkscope
