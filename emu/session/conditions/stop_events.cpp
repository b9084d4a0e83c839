// What is told while the machine runs: events, stops of a profile, forks, output.
#include <algorithm>

#include "emu/session/conditions/stop_conditions.hpp"
#include "emu/trace/tracepoints.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

void StopConditions::on_event(const TraceEvent& event) {
    const bool burst = told_.hear(event);
    for (Waiting& waiting : waiting_) {
        const Arming& arming = waiting.condition.arming;
        const Expression& expression = waiting.condition.expression;
        for (u32 i = 0; is_one_of(event.kind, arming.occurrences) && i < expression.nodes.size(); ++i)
            if (is_occurrence(expression.at(i).kind) && counts(waiting, i, event, burst))
                happened(waiting, i, event);
        // The walker's updates of A and D are no stores.
        for (const ReadBytes& bytes : waiting.watched)
            if (event.kind == TraceKind::AccessedDirty && bytes.overlaps(PhysicalAddress(event.a), sizeof(u32)))
                bytes_changed(waiting, bytes);
        if (event.kind != TraceKind::AccessedDirty && is_one_of(event.kind, arming.changes) &&
            changes_value(waiting, event))
            make_due(waiting, machine_.cpu().moment());
    }
}

void StopConditions::happened(Waiting& waiting, u32 node, const TraceEvent& event) {
    NodeMemory& memory = waiting.kept.nodes[node];
    if (!memory.happened) // of several within one instruction the first
        memory.event = event;
    memory.happened = true;
    make_due(waiting, machine_.cpu().moment());
}

std::optional<u64> StopConditions::argument(Waiting& waiting, u32 node) {
    const Value value = evaluator(waiting, Evaluator::Mode::Look).value(node);
    return value.known ? std::optional(value.bits) : std::nullopt;
}

bool StopConditions::fork_counts(const Waiting& waiting, u32 tracepoint, u32 pid) const {
    const bool of_fork = is_fork_stop(tracepoint) || tracepoint == TP_FORK_LEAVE;
    return !waiting.use.in_workload || !of_fork || !of_workload_ || of_workload_(pid);
}

bool StopConditions::counts(Waiting& waiting, u32 number, const TraceEvent& event, bool burst) {
    const Node& node = waiting.condition.expression.at(number);
    if (by_profile_ && (node.kind == NodeKind::ForkStop || node.kind == NodeKind::AnyStop))
        return false;
    const ArgumentValue value = [this, &waiting](u32 argument_node) { return argument(waiting, argument_node); };
    if (!stands_for(node, event, {machine_.mmu().control(), burst, value}))
        return false;
    return event.kind != TraceKind::Tracepoint ||
           fork_counts(waiting, static_cast<u32>(event.a), static_cast<u32>(event.b));
}

// Whether a value may be another after the event. Flushes change none but `stale`, unless RESET is their reason.
bool StopConditions::changes_value(Waiting& waiting, const TraceEvent& event) {
    const bool translations = waiting.condition.has(NodeKind::Stale);
    if (event.kind == TraceKind::TlbFlush)
        return translations || event.a == static_cast<u64>(TlbFlushReason::Reset);
    if (!is_one_of(event.kind, kTranslationKinds) || !translations)
        return true;
    const u64 region = machine_.mmu().control().geometry().large_bytes();
    const ArgumentValue value = [this, &waiting](u32 node) { return argument(waiting, node); };
    const auto& nodes = waiting.condition.expression.nodes;
    return std::any_of(nodes.begin(), nodes.end(), [&](const Node& node) {
        return node.kind == NodeKind::Stale && page_counts(node, event.a, region, value);
    });
}

void StopConditions::on_profile_stop(const TraceEvent& event) {
    for (Waiting& waiting : waiting_)
        for (u32 i = 0; i < waiting.condition.expression.nodes.size(); ++i) {
            const Node& node = waiting.condition.expression.at(i);
            if (node.kind == NodeKind::AnyStop || (node.kind == NodeKind::ForkStop && node.number == event.a))
                happened(waiting, i, event);
        }
}

void StopConditions::on_fork(const ForkRecord& fork) {
    for (Waiting& waiting : waiting_)
        for (u32 i = 0; i < waiting.condition.expression.nodes.size(); ++i)
            if (waiting.condition.expression.at(i).kind == NodeKind::Fork && !fork.stated)
                happened(waiting, i, {});
}

void StopConditions::on_console(const std::string& text) {
    for (Waiting& waiting : waiting_) {
        const Expression& expression = waiting.condition.expression;
        for (u32 i = 0; i < expression.nodes.size(); ++i)
            if (expression.at(i).kind == NodeKind::SerialText &&
                text.ends_with(expression.texts[expression.at(i).number]))
                happened(waiting, i, {});
    }
}

} // namespace forkscope
