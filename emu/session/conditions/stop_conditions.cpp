// The life of a condition: armed, due, asked, met.
#include "emu/session/conditions/stop_conditions.hpp"

#include <algorithm>
#include <utility>

#include "emu/observe/tables/page_table_view.hpp"
#include "emu/session/conditions/occurrence_text.hpp"
#include "emu/session/guest_state_of.hpp"
#include "emu/symbols/decider.hpp"
#include "emu/symbols/inspect/unwinder.hpp"

namespace forkscope {

namespace {

constexpr u64 kScreenLooksPerSecond = 1000;

// For what is always listened to: whether the guest states anything, and bursts of table writes.
constexpr TraceKinds kAlways = trace_kinds({TraceKind::Tracepoint, TraceKind::PteWrite, TraceKind::InterruptReturn});

} // namespace

StopConditions::StopConditions(Machine& machine, Symbolizer& symbols)
    : machine_(machine), symbols_(symbols), breakpoint_owner_(machine.breakpoints().new_owner()),
      watch_owner_(machine.watchpoints().new_owner([this](const WatchHit& hit) { on_store(hit); })), kinds_(kAlways) {}

StopConditions::~StopConditions() {
    machine_.breakpoints().remove_all(breakpoint_owner_);
    machine_.watchpoints().remove_all(watch_owner_);
}

RunLimit StopConditions::limit_of_slice(Cycles cycles) const {
    // Nothing tells when the screen changes: it is looked at often enough to find what soon scrolls away.
    const auto on_screen = [](const Waiting& waiting) { return waiting.condition.arming.screen; };
    if (std::any_of(waiting_.begin(), waiting_.end(), on_screen))
        cycles = std::min(cycles, machine_.cycles_per_second() / kScreenLooksPerSecond);
    RunLimit limit = limit_;
    limit.cycle = std::min(limit.cycle, machine_.now() + cycles);
    return limit;
}

// --- Armed

u32 StopConditions::add(Condition condition, ConditionUse use) {
    Waiting& waiting = waiting_.emplace_back();
    waiting.condition = std::move(condition);
    waiting.use = std::move(use);
    waiting.kept.number = ++last_number_;
    waiting.kept.text = waiting.condition.text();
    waiting.kept.nodes.resize(waiting.condition.expression.nodes.size());
    for (const u32 address : waiting.condition.arming.addresses)
        waiting.breakpoints.push_back(machine_.breakpoints().add(breakpoint_owner_, address));
    begin(waiting);
    kinds_changed();
    return last_number_;
}

void StopConditions::remove(u32 number) {
    const auto place = std::find_if(waiting_.begin(), waiting_.end(),
                                    [number](const Waiting& waiting) { return waiting.kept.number == number; });
    if (place == waiting_.end())
        return;
    for (const u32 breakpoint : place->breakpoints) // one that is left slows every later block
        machine_.breakpoints().remove(breakpoint_owner_, breakpoint);
    watch(*place, {});
    waiting_.erase(place);
    kinds_changed();
    if (!met_told_)
        std::erase_if(met_, [number](const Met& met) { return met.number == number; });
    met_told_ = met_told_ || met_.empty();
}

void StopConditions::kinds_changed() {
    kinds_ = kAlways;
    for (const Waiting& waiting : waiting_)
        kinds_ |= waiting.condition.arming.occurrences | waiting.condition.arming.changes;
    machine_.trace_kinds_changed();
}

// What is true already has to come about anew; but a screen may show at first what somebody waits for.
void StopConditions::begin(Waiting& waiting) {
    Kept& kept = waiting.kept;
    kept = Kept{.number = kept.number, .text = std::move(kept.text), .nodes = {}};
    kept.nodes.resize(waiting.condition.expression.nodes.size());
    const auto& addresses = waiting.condition.arming.addresses;
    if (std::binary_search(addresses.begin(), addresses.end(), machine_.cpu().linear_eip())) {
        kept.asked_at_instruction = machine_.instructions();
        kept.asked_at_cycle = machine_.now();
    }
    MachineEvaluator now = evaluator(waiting, Evaluator::Mode::Begin);
    kept.held = now.holds() && !waiting.condition.arming.screen;
    watch_what_was_read(waiting, now.read());
}

// What the parts that arm it were read from, and the bytes of each `writes`.
void StopConditions::watch_what_was_read(Waiting& waiting, std::vector<ReadBytes> read) {
    if (waiting.condition.arming.each_instruction) // it is asked anyway
        read.clear();
    for (const Node& node : waiting.condition.expression.nodes)
        if (node.kind == NodeKind::Writes)
            read.push_back({PhysicalAddress(node.number), node.size});
    watch(waiting, std::move(read));
}

void StopConditions::watch(Waiting& waiting, std::vector<ReadBytes> bytes) {
    if (bytes == waiting.watched)
        return;
    for (const u32 id : waiting.watch_ids)
        machine_.watchpoints().remove(watch_owner_, id);
    waiting.watch_ids.clear();
    for (const ReadBytes& one : bytes)
        waiting.watch_ids.push_back(
            machine_.watchpoints().add(watch_owner_, {WatchSpace::Physical, one.address.value, one.size}));
    waiting.watched = std::move(bytes);
}

bool StopConditions::waits_for(u32 number) const {
    return std::any_of(waiting_.begin(), waiting_.end(),
                       [number](const Waiting& waiting) { return waiting.kept.number == number; });
}

u64 StopConditions::times_met(u32 number) const {
    for (const Waiting& waiting : waiting_)
        if (waiting.kept.number == number)
            return waiting.kept.times_met;
    return 0;
}

// --- Due

void StopConditions::make_due(Waiting& waiting, const Moment& cause) {
    waiting.due = true;
    waiting.cause = cause;
    machine_.cpu().request_stop(); // anonymous: the id of any other request wins
}

void StopConditions::on_store(const WatchHit& hit) {
    for (Waiting& waiting : waiting_)
        for (std::size_t i = 0; i < waiting.watch_ids.size(); ++i)
            if (waiting.watch_ids[i] == hit.id)
                bytes_changed(waiting, waiting.watched[i]);
}

void StopConditions::bytes_changed(Waiting& waiting, const ReadBytes& bytes) {
    const Expression& expression = waiting.condition.expression;
    for (u32 i = 0; i < expression.nodes.size(); ++i)
        if (const Node& node = expression.at(i); node.kind == NodeKind::Writes)
            if (bytes == ReadBytes{PhysicalAddress(node.number), node.size})
                waiting.kept.nodes[i].happened = true;
    make_due(waiting, machine_.cpu().moment());
}

// --- Asked

MachineEvaluator StopConditions::evaluator(Waiting& waiting, Evaluator::Mode mode) {
    MachineEvaluator evaluator(machine_, waiting.condition, waiting.kept.nodes);
    evaluator.set_mode(mode);
    evaluator.set_program_asked([this](const std::string& program) { return runs(program); });
    return evaluator;
}

// All programs lie at the same addresses. Which one runs is seen from its code in memory.
bool StopConditions::runs(const std::string& program) {
    const u32 space = machine_.mmu().control().space_of(machine_.registers().cr3).root;
    symbols_.identify(AddressSpaceReader(machine_.mmu().paging()).memory_reader(), space, machine_.cpu().linear_eip());
    return symbols_.program_of(space) == program;
}

void StopConditions::ask(const StopReason& reason) {
    const u32 next = machine_.cpu().linear_eip();
    for (Waiting& waiting : waiting_) {
        const Arming& arming = waiting.condition.arming;
        const bool at_place = reason.kind == StopKind::Breakpoint &&
                              std::binary_search(arming.addresses.begin(), arming.addresses.end(), next);
        if (waiting.due || at_place || arming.each_instruction || arming.screen)
            ask(waiting);
    }
}

// An instruction's boundary counts once for its place, however often the run stops there.
void StopConditions::ask(Waiting& waiting) {
    Kept& kept = waiting.kept;
    const Expression& expression = waiting.condition.expression;
    const auto& addresses = waiting.condition.arming.addresses;
    const bool here = std::binary_search(addresses.begin(), addresses.end(), machine_.cpu().linear_eip()) &&
                      (kept.asked_at_instruction != machine_.instructions() || kept.asked_at_cycle != machine_.now());
    for (u32 i = 0; i < expression.nodes.size(); ++i)
        if (expression.at(i).kind == NodeKind::Place)
            kept.nodes[i].happened = here;
    if (here) {
        kept.asked_at_instruction = machine_.instructions();
        kept.asked_at_cycle = machine_.now();
    }
    MachineEvaluator now = evaluator(waiting, Evaluator::Mode::Ask);
    const bool holds = now.holds();
    const bool something =
        std::any_of(kept.nodes.begin(), kept.nodes.end(), [](const NodeMemory& node) { return node.happened; });
    if (is_met(expression.at(expression.root).rank, holds, kept.held, something)) {
        ++kept.times_met;
        if (kept.times_met > waiting.use.ignore) {
            if (std::exchange(met_told_, false))
                met_.clear();
            met_.push_back({kept.number, what_was_met(waiting)});
        }
    }
    kept.held = holds;
    waiting.due = false;
    waiting.cause = {};
    for (NodeMemory& node : kept.nodes)
        node.happened = false;
    watch_what_was_read(waiting, now.read());
}

// Helpers write entries; who called them is what people look for. The machine has to stand in the same function still.
std::string StopConditions::caller_of(u32 eip) const {
    const u32 space = machine_.mmu().control().space_of(machine_.registers().cr3).root;
    const Location there = symbols_.lookup(space, eip), here = symbols_.lookup(space, machine_.cpu().linear_eip());
    if (!there.known() || there.symbol != here.symbol || there.image != here.image)
        return "";
    constexpr std::size_t kMostFrames = 5;
    std::vector<u32> callers;
    for (const Frame& frame : unwind(symbols_, guest_state_of(machine_), kMostFrames).list)
        if (frame.called_out)
            callers.push_back(frame.eip());
    const auto decider = decider_of(symbols_, space, eip, callers);
    return decider ? ", called by " + function_and_line(*decider) : "";
}

std::string StopConditions::what_was_met(const Waiting& waiting) const {
    constexpr std::size_t kLongest = 200; // about
    const Expression& expression = waiting.condition.expression;
    const auto place = [this](u32 space, u32 eip) { return symbols_.lookup(space, eip).text(); };
    const Moment& by_what = waiting.cause;
    const std::string cause =
        by_what.instructions != 0 ? place(by_what.address_space, by_what.eip) + caller_of(by_what.eip) : "";
    std::string details;
    for (u32 i = 0; i < expression.nodes.size() && details.size() < kLongest; ++i) {
        const NodeMemory& memory = waiting.kept.nodes[i];
        const NodeKind kind = expression.at(i).kind;
        const bool concerned = memory.happened || (kind == NodeKind::Stale && memory.value != 0);
        if (!concerned || (!waiting.use.asked_as.empty() && !tells_more_than_its_name(kind)))
            continue;
        const TraceEvent& event = memory.event;
        const u32 eip = kind == NodeKind::Interrupt ? static_cast<u32>(event.d) : event.eip;
        const std::string by =
            is_occurrence(kind) && event.kind != TraceKind::None ? place(event.address_space, eip) : cause;
        details +=
            (details.empty() ? "" : "; ") + occurrence_text({expression, i, memory, waiting.kept.nodes, machine_, by});
    }
    if (details.empty() && expression.at(expression.root).rank == Rank::State && !cause.empty())
        details = "by " + cause;
    if (waiting.use.asked_as.empty())
        return details.empty() ? expression.text + " is met" : details;
    return waiting.use.asked_as + " is met" + (details.empty() ? "" : ": " + details);
}

void StopConditions::pass_over(const StopReason& reason) {
    ask(reason);
    met_.clear();
    met_told_ = true;
}

bool StopConditions::asks_each_instruction() const {
    return std::any_of(waiting_.begin(), waiting_.end(),
                       [](const Waiting& waiting) { return waiting.condition.arming.each_instruction; });
}

StopReason StopConditions::run(const RunLimit& limit, const Run& run) {
    for (;;) {
        RunLimit next = limit;
        if (asks_each_instruction())
            next.instructions = std::min(limit.instructions, machine_.instructions() + 1);
        const StopReason reason = run(next);
        ask(reason);
        if (has_news(reason) || machine_.instructions() >= limit.instructions || machine_.now() >= limit.cycle)
            return reason;
    }
}

bool StopConditions::has_news(const StopReason& reason) const {
    switch (reason.kind) {
    case StopKind::Exit:
    case StopKind::Halted:
    case StopKind::Shutdown:
        return true;
    case StopKind::Breakpoint:
        if (foreign_breakpoint() != 0)
            return true;
        break;
    case StopKind::Requested:
        if (reason.id != kNobody)
            return true;
        break;
    case StopKind::Limit:
        break;
    }
    return !met_told_ || asked_;
}

// --- The state that goes back with the machine

void StopConditions::Kept::serialize(Archive& ar) {
    ar.field("number", number);
    ar.text("text", text);
    ar.field("held", held);
    ar.field("times_met", times_met);
    ar.field("asked_at_instruction", asked_at_instruction);
    ar.field("asked_at_cycle", asked_at_cycle);
    ar.sequence("nodes", nodes, Expression::kMostNodes);
}

void StopConditions::State::serialize(Archive& ar) {
    constexpr u64 kMostConditions = 4096;
    ar.nested("told", told);
    ar.sequence("conditions", conditions, kMostConditions);
}

StopConditions::State StopConditions::state() const {
    State state{told_, {}};
    for (const Waiting& waiting : waiting_)
        state.conditions.push_back(waiting.kept);
    return state;
}

void StopConditions::restore(const State* state) {
    told_ = state != nullptr ? state->told : Told{};
    met_.clear();
    met_told_ = true;
    for (Waiting& waiting : waiting_) {
        waiting.due = false;
        begin(waiting);
        if (state == nullptr)
            continue;
        for (const Kept& kept : state->conditions)
            if (kept.number == waiting.kept.number && kept.text == waiting.kept.text &&
                kept.nodes.size() == waiting.kept.nodes.size())
                resume(waiting, kept);
    }
}

// What the machine itself shows counts as asked here, whether or not somebody asked on the way to the checkpoint; how
// often something came about, and what was seen at other moments, is as it was.
void StopConditions::resume(Waiting& waiting, const Kept& kept) {
    waiting.kept.times_met = kept.times_met;
    for (std::size_t i = 0; i < kept.nodes.size(); ++i) {
        NodeMemory& node = waiting.kept.nodes[i];
        if (!waiting.condition.arming.live[i])
            node = kept.nodes[i];
        node.count = kept.nodes[i].count;
        node.happened = false;
    }
}

} // namespace forkscope
