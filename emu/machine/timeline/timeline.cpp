#include "emu/machine/timeline/timeline.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "emu/base/log.hpp"

namespace forkscope {

Timeline::Timeline(Machine& machine, const TimelineLimits& limits)
    : machine_(machine), limits_(limits), spacing_(limits.spacing), keeper_(machine) {
    Branch& first = branches_[present_];
    first.id = present_;
    first.from = first.end = machine.position();
    lay();
}

Timeline::~Timeline() { machine_.set_muted(false); }

// --- Forwards

// As far as the target. At one count of instructions time tells moments apart.
RunLimit Timeline::toward(Position target, RunLimit limit) const {
    if (machine_.instructions() < target.instructions)
        limit.instructions = std::min(limit.instructions, target.instructions);
    else
        limit.cycle = std::min(limit.cycle, target.cycle);
    return limit;
}

StopReason Timeline::run(RunLimit limit) {
    for (;;) {
        const RunLimit piece = replaying_ ? toward(here().end, limit) : to_next_checkpoint(limit);
        const StopReason reason = run_timed(piece);
        note_end();
        const bool counted = reason.kind == StopKind::Limit && machine_.instructions() == piece.instructions;
        lay_if_due(counted ? Boundary::Surely : Boundary::Perhaps);
        if (reason.kind != StopKind::Limit || machine_.now() >= limit.cycle ||
            machine_.instructions() >= limit.instructions)
            return reason;
    }
}

StopReason Timeline::step() {
    if (replaying_ && machine_.instructions() == here().end.instructions)
        if (const auto reason = step_to_end())
            return *reason;
    const StopReason reason = machine_.step();
    note_end();
    lay_if_due(Boundary::Perhaps);
    return reason;
}

// What is left of the past lies within one instruction: waiting, a string's repetition, or deliveries, each of which is
// a step.
std::optional<StopReason> Timeline::step_to_end() {
    const u32 deliveries = machine_.position().deliveries;
    const auto goes_on = [&](StopReason reason) {
        return (reason.kind == StopKind::Limit || reason.kind == StopKind::Breakpoint) &&
               machine_.position().deliveries == deliveries;
    };
    StopReason reason;
    do {
        RunLimit limit = toward(here().end);
        if (!machine_.cpu().halted())
            limit.cycle = std::min(limit.cycle, machine_.now() + 1);
        reason = machine_.run(limit);
    } while (goes_on(reason) && machine_.now() < here().end.cycle);
    note_end();
    return goes_on(reason) ? std::nullopt : std::optional(reason);
}

void Timeline::note_end() {
    if (replaying_ && machine_.position() < here().end)
        return;
    set_replaying(false);
    here().end = machine_.position();
}

void Timeline::set_replaying(bool replaying) {
    replaying_ = replaying;
    machine_.set_muted(replaying || seeking_);
}

// --- Backwards

Result<void> Timeline::go_to(Position target) {
    if (target < beginning() || end() < target)
        return not_in_history(target.instructions);
    approach(target);
    if (auto sought = seek(target); !sought.ok())
        return sought;
    if (position() != target)
        return strayed(target);
    machine_.pass_breakpoint();
    return {};
}

Result<void> Timeline::go_to(u64 instructions, u32 deliveries) {
    if (instructions < beginning().instructions || end().instructions < instructions)
        return not_in_history(instructions);
    const Position target = std::max(Position{instructions, 0, 0}, beginning());
    approach(target);
    if (auto sought = seek(target); !sought.ok())
        return sought;
    while (position().deliveries < deliveries) {
        const Position before = position();
        step();
        if (machine_.instructions() == instructions && position() != before)
            continue;
        if (auto back = go_to(before); !back.ok())
            return back;
        return Error{fmt::format("behind instruction {} there are {} deliveries, not {}", instructions,
                                 before.deliveries, deliveries),
                     ExitCode::Usage};
    }
    machine_.pass_breakpoint();
    return {};
}

Result<void> Timeline::go_to_cycle(Cycles cycle) {
    const Position last = end();
    if (cycle < beginning().cycle || cycle > last.cycle)
        return Error{fmt::format("cycle {} is not in the history of this branch, which goes from {} to {}", cycle,
                                 beginning().cycle, last.cycle),
                     ExitCode::Usage};
    if (cycle == last.cycle)
        return go_to(last);
    auto nearest = here().checkpoints.begin();
    for (auto at = nearest; at != here().checkpoints.end() && at->first.cycle <= cycle; ++at)
        nearest = at;
    if (auto gone = go_to(nearest->first); !gone.ok())
        return gone;
    const Seeking seeking(*this);
    while (machine_.now() < cycle) {
        const Position before = position();
        const RunLimit limit{cycle, ~u64{0}};
        const StopReason reason = pass_ ? pass_(limit) : machine_.run(limit);
        note_end();
        if (position() == before && reason.kind == StopKind::Limit)
            return strayed(last);
        if (reason.kind == StopKind::Halted || reason.kind == StopKind::Shutdown)
            break;
    }
    machine_.pass_breakpoint();
    return {};
}

Error Timeline::not_in_history(u64 instructions) const {
    return Error{fmt::format("instruction {} is not in the history of this branch, which goes from {} to {}",
                             instructions, beginning().instructions, end().instructions),
                 ExitCode::Usage};
}

Error Timeline::strayed(Position target) const {
    return Error{
        fmt::format("the run strayed from what was recorded: at instruction {} and cycle {} instead of {} and {}",
                    machine_.instructions(), machine_.now(), target.instructions, target.cycle)};
}

std::optional<Position> Timeline::checkpoint_before(Position position) const {
    const auto& all = present().checkpoints;
    const auto at = all.lower_bound(position);
    std::optional<Position> last;
    if (at != all.begin())
        last = std::prev(at)->first;
    if (const auto shelved = shelved_before(position); shelved && (!last || *last < shelf_->places()[*shelved]))
        last = shelf_->places()[*shelved];
    return last;
}

// Strictly before. A branch has its own past, as far as the shelf knows.
std::optional<std::size_t> Timeline::shelved_before(Position position) const {
    if (shelf_ == nullptr || present_ != 1)
        return std::nullopt;
    const auto& places = shelf_->places();
    const auto at = std::lower_bound(places.begin(), places.end(), position);
    return at == places.begin() ? std::nullopt
                                : std::optional(static_cast<std::size_t>(std::prev(at) - places.begin()));
}

void Timeline::approach(Position target) {
    const auto& nearest = std::prev(here().checkpoints.upper_bound(target))->second;
    const bool on_the_way = position() <= target && nearest->at <= position();
    if (!fetch_for(target, on_the_way ? position() : nearest->at) && !on_the_way)
        return_to(nearest);
}

// The machine itself begins behind what it cannot read.
bool Timeline::fetch_for(Position target, Position instead) {
    Position after = target;
    ++after.cycle;
    const auto shelved = shelved_before(after);
    if (!shelved || shelf_->places()[*shelved].instructions < instead.instructions + spacing_)
        return false;
    std::vector<InputEvent> inputs = machine_.inputs().events();
    if (const auto fetched = shelf_->put_back(*shelved, machine_); !fetched.ok()) {
        log_warning_once("shelf", fetched.error().message + "; it is re-executed from an earlier one");
        return false;
    }
    if (!replaying_)
        here().inputs = std::move(inputs);
    hand_future_over();
    lay();
    return true;
}

std::optional<Timeline::Stretch> Timeline::writes_before(Position position, u64 frame) const {
    const Checkpoints& all = present().checkpoints;
    for (auto next = all.lower_bound(position); next != all.begin(); --next) {
        const Position begin = std::prev(next)->first;
        if (next == all.end())
            return Stretch{begin, position};
        if (next->second->may_have_written(frame, begin))
            return Stretch{begin, std::min(position, next->first)};
    }
    return std::nullopt;
}

void Timeline::return_to(std::shared_ptr<const Checkpoint> checkpoint) {
    Branch& branch = here();
    if (!replaying_)
        branch.inputs = machine_.inputs().events();
    keeper_.put_back(std::move(checkpoint));
    hand_future_over();
}

void Timeline::hand_future_over() {
    const auto& inputs = here().inputs;
    const auto done = static_cast<std::ptrdiff_t>(machine_.inputs().events().size());
    machine_.replay(InputLog({inputs.begin() + done, inputs.end()}));
    set_replaying(position() < here().end);
}

// Stops of every kind are passed over, for they were met before. The last part of a long way is laid out with
// checkpoints: whoever goes back once goes back again.
Result<void> Timeline::seek(Position target) {
    const Seeking seeking(*this);
    const u64 length = u64{limits_.ladder} * limits_.ladder_spacing;
    const u64 first_rung = target.instructions > length ? target.instructions - length : 0;
    while (position() < target) {
        const Position before = position();
        RunLimit limit = toward(target);
        const u64 rung = std::max(first_rung, before.instructions + limits_.ladder_spacing);
        limit.instructions = std::min(limit.instructions, rung);
        const StopReason reason = pass_ ? pass_(limit) : machine_.run(limit);
        note_end();
        if (position() == before && reason.kind != StopKind::Breakpoint && reason.kind != StopKind::Exit &&
            reason.kind != StopKind::Requested)
            return strayed(target);
        if (machine_.instructions() == rung && rung < target.instructions)
            lay_rung();
    }
    return {};
}

// --- Checkpoints

const Checkpoint& Timeline::last_checkpoint() const {
    return *std::prev(present().checkpoints.upper_bound(position()))->second;
}

Cycles Timeline::busy() const { return machine_.cpu().count_of(Counted::UnhaltedCycles); }

// Where cycles say that it is due, it lies behind the instruction.
RunLimit Timeline::to_next_checkpoint(RunLimit limit) const {
    const Checkpoint& last = last_checkpoint();
    const Cycles most = last.busy + kCyclesPerInstruction * spacing_;
    if (busy() < most)
        return {std::min(limit.cycle, machine_.now() + (most - busy())),
                std::min(limit.instructions, last.at.instructions + spacing_)};
    return {limit.cycle, std::min(limit.instructions, machine_.instructions() + 1)};
}

void Timeline::lay_if_due(Boundary boundary) {
    const Checkpoint& last = last_checkpoint();
    const bool by_count = machine_.instructions() >= last.at.instructions + spacing_;
    const bool by_cycles = boundary == Boundary::Surely && busy() >= last.busy + kCyclesPerInstruction * spacing_;
    if (replaying_ || (!by_count && !by_cycles))
        return;
    follow_pace();
    lay();
    thin();
    keep_below_limit();
}

StopReason Timeline::run_timed(const RunLimit& limit) {
    if (!limits_.clock || replaying_)
        return machine_.run(limit);
    const u64 instructions = machine_.instructions();
    const Cycles busy_before = busy();
    const u64 began = limits_.clock();
    const StopReason reason = machine_.run(limit);
    ran_.nanoseconds += limits_.clock() - began;
    ran_.length += length(machine_.instructions() - instructions, busy() - busy_before);
    return reason;
}

// By halves, and never far from what is usual: one slow stretch says little about the next.
void Timeline::follow_pace() {
    const auto usual = static_cast<double>(limits_.spacing);
    if (ran_.length >= spacing_ / 2 && ran_.nanoseconds != 0) {
        const double in_time =
            static_cast<double>(ran_.length) * static_cast<double>(limits_.way) / static_cast<double>(ran_.nanoseconds);
        spacing_ = (spacing_ + static_cast<u64>(std::clamp(in_time, usual / kMostPace, usual * kMostPace))) / 2;
    }
    ran_ = {};
}

u64 Timeline::in_proportion(u64 distance) const {
    return static_cast<u64>(static_cast<double>(distance) * static_cast<double>(spacing_) /
                            static_cast<double>(limits_.spacing));
}

void Timeline::lay() {
    auto checkpoint = keeper_.make();
    here().checkpoints.emplace(checkpoint->at, std::move(checkpoint));
}

void Timeline::lay_rung() {
    if (machine_.instructions() - last_checkpoint().at.instructions < limits_.ladder_spacing)
        return;
    lay();
    rungs_.emplace_back(present_, position());
    for (; rungs_.size() > kMostRungs; rungs_.pop_front())
        if (const auto branch = branches_.find(rungs_.front().first); branch != branches_.end())
            if (const auto rung = branch->second.checkpoints.find(rungs_.front().second);
                rung != branch->second.checkpoints.end())
                forget(branch->second.checkpoints, rung);
    keep_below_limit();
}

// Never the first.
Timeline::Checkpoints::iterator Timeline::forget(Checkpoints& all, Checkpoints::iterator at) {
    const std::shared_ptr<const Checkpoint> gone = at->second;
    const auto next = all.erase(at);
    if (next != all.end())
        next->second = keeper_.without(*std::prev(next)->second, *gone, *next->second);
    return next;
}

// The farther back, the wider apart.
u64 Timeline::spacing_at(u64 age) const {
    const u64 near = in_proportion(limits_.near);
    return age < near ? spacing_ : std::min(in_proportion(limits_.far_spacing), 2 * spacing_ * (age / near));
}

void Timeline::thin() {
    auto& all = here().checkpoints;
    const u64 end = here().end.instructions;
    for (auto at = std::next(all.begin()); at != all.end() && std::next(at) != all.end();) {
        const u64 gap = length(*std::prev(at)->second, *std::next(at)->second);
        at = gap <= spacing_at(end - at->first.instructions) ? forget(all, at) : std::next(at);
    }
}

// Goes whose absence costs least: where the gap is small for the age. Where nothing lies closer than far_spacing, all
// ages are alike: no place is then much farther than another.
void Timeline::keep_below_limit() {
    const u64 near = in_proportion(limits_.near);
    const u64 old = near * in_proportion(limits_.far_spacing) / (2 * spacing_);
    while (bytes() > limits_.bytes) {
        Branch* poorest = nullptr;
        Position victim;
        double least = 0;
        for (auto& [id, branch] : branches_) {
            auto& all = branch.checkpoints;
            for (auto at = std::next(all.begin()); at != all.end() && std::next(at) != all.end(); ++at) {
                const u64 gap = length(*std::prev(at)->second, *std::next(at)->second);
                const u64 age = std::min(branch.end.instructions - at->first.instructions, old) + near;
                const double cost = static_cast<double>(gap) / static_cast<double>(age);
                if (poorest != nullptr && cost >= least)
                    continue;
                poorest = &branch;
                victim = at->first;
                least = cost;
            }
        }
        if (poorest == nullptr)
            return;
        forget(poorest->checkpoints, poorest->checkpoints.find(victim));
    }
}

std::size_t Timeline::checkpoint_count() const {
    std::size_t count = 0;
    for (const auto& [id, branch] : branches_)
        count += branch.checkpoints.size();
    return count;
}

// --- Branches

void Timeline::inject(const InputEvent& event) {
    start_branch();
    machine_.inject(event);
}

void Timeline::start_branch() {
    if (!replaying_)
        return;
    Branch next;
    next.id = ++last_branch_;
    next.parent = present_;
    next.from = next.end = position();
    const auto& all = here().checkpoints;
    next.checkpoints.insert(all.begin(), all.upper_bound(position()));
    present_ = next.id;
    branches_.emplace(next.id, std::move(next));
    machine_.replay({});
    set_replaying(false);
}

Result<void> Timeline::switch_to(u32 branch, Position target) {
    const auto found = branches_.find(branch);
    if (found == branches_.end())
        return Error{fmt::format("there is no branch {}; list them with 'branches'", branch), ExitCode::Usage};
    const Branch& other = found->second;
    if (branch == present_)
        return go_to(target);
    if (target < other.checkpoints.begin()->first || other.end < target)
        return Error{fmt::format("instruction {} is not in branch {}, which goes from {} to {}", target.instructions,
                                 branch, other.checkpoints.begin()->first.instructions, other.end.instructions),
                     ExitCode::Usage};
    if (!replaying_)
        here().inputs = machine_.inputs().events();
    present_ = branch;
    set_replaying(true); // its inputs are known already
    return_to(std::prev(other.checkpoints.upper_bound(target))->second);
    return go_to(target);
}

Result<void> Timeline::drop(u32 branch) {
    if (branch == present_)
        return Error{fmt::format("branch {} is the present one; jump to another first", branch), ExitCode::Usage};
    if (branches_.erase(branch) == 0)
        return Error{fmt::format("there is no branch {}; list them with 'branches'", branch), ExitCode::Usage};
    return {};
}

void Timeline::expect(InputLog future, Position end) {
    std::vector<InputEvent>& inputs = here().inputs;
    inputs = machine_.inputs().events();
    inputs.insert(inputs.end(), future.events().begin(), future.events().end());
    here().end = std::max(end, position());
    hand_future_over();
}

} // namespace forkscope
