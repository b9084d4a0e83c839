// Which events a condition's parts stand for.
#include <algorithm>

#include "emu/session/conditions/stop_conditions.hpp"
#include "emu/trace/tracepoints.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr u64 kQuietInstructions = 20000; // after which a write to a page table begins a new burst

bool is_one_of(const TraceEvent& event, TraceKinds kinds) { return (kinds >> static_cast<u8>(event.kind) & 1) != 0; }

} // namespace

void StopConditions::on_event(const TraceEvent& event) {
    // For guests that state nothing: once programs run, a stop begins with the first write to a page table after a
    // while without any.
    bool burst = false;
    switch (event.kind) {
    case TraceKind::PteWrite:
        burst =
            event.instructions - told_.last_table_write > kQuietInstructions && told_.users_run && !told_.guest_speaks;
        told_.last_table_write = event.instructions;
        break;
    case TraceKind::InterruptReturn:
        told_.users_run = told_.users_run || event.c == 3;
        break;
    case TraceKind::Tracepoint:
        told_.guest_speaks = true;
        told_.panicked = told_.panicked || event.a == TP_PANIC;
        break;
    default:
        break;
    }
    for (Waiting& waiting : waiting_) {
        const Arming& arming = waiting.condition.arming;
        const Expression& expression = waiting.condition.expression;
        for (u32 i = 0; is_one_of(event, arming.occurrences) && i < expression.nodes.size(); ++i)
            if (is_occurrence(expression.at(i).kind) && counts(waiting, i, event, burst))
                happened(waiting, i, event);
        // The walker's updates of A and D are no stores.
        for (const ReadBytes& bytes : waiting.watched)
            if (event.kind == TraceKind::AccessedDirty && bytes.overlaps(PhysicalAddress(event.a), sizeof(u32)))
                bytes_changed(waiting, bytes);
        if (event.kind != TraceKind::AccessedDirty && is_one_of(event, arming.changes) && changes_value(waiting, event))
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

// Without an argument any page counts.
bool StopConditions::page_counts(Waiting& waiting, const Node& node, u64 address, u64 page_bytes) {
    if (node.left == kNoNode)
        return true;
    const auto wanted = argument(waiting, node.left);
    return wanted && ((*wanted ^ address) & ~(page_bytes - 1)) == 0;
}

bool StopConditions::fork_counts(const Waiting& waiting, u32 tracepoint, u32 pid) const {
    const bool of_fork = is_fork_stop(tracepoint) || tracepoint == TP_FORK_LEAVE;
    return !waiting.use.in_workload || !of_fork || !of_workload_ || of_workload_(pid);
}

// A leaf that leads to the frame, and did not before.
bool StopConditions::mapping_counts(Waiting& waiting, const Node& node, const TraceEvent& event) {
    const PagingControl& control = machine_.mmu().control();
    const bool large = event.d == 2 && is_large(event.c, 2, control);
    if ((event.c & kPtePresent) == 0 || (event.d == 2 && !large))
        return false;
    const u64 mask = large ? ~u64{control.geometry().large_bytes() - 1} : ~u64{kPageMask};
    const auto wanted = argument(waiting, node.left);
    const auto leads_there = [&](u64 entry) {
        return (entry & kPtePresent) != 0 && (entry & kPteFrame & mask) == (*wanted & mask);
    };
    return wanted && leads_there(event.c) && !leads_there(event.b);
}

bool StopConditions::counts(Waiting& waiting, u32 number, const TraceEvent& event, bool burst) {
    const Node& node = waiting.condition.expression.at(number);
    const TraceKind kind = event.kind;
    const auto id = static_cast<u32>(event.a), pid = static_cast<u32>(event.b);
    switch (node.kind) {
    case NodeKind::Fault:
        return kind == TraceKind::PageFault && page_counts(waiting, node, event.a, kPageSize);
    case NodeKind::Fork:
        return kind == TraceKind::Tracepoint && id == TP_FORK_ENTER && fork_counts(waiting, id, pid);
    case NodeKind::ForkStop:
        return !by_profile_ && kind == TraceKind::Tracepoint && id == node.number && fork_counts(waiting, id, pid);
    case NodeKind::Tracepoint:
        return kind == TraceKind::Tracepoint && id == node.number && fork_counts(waiting, id, pid);
    case NodeKind::AnyStop:
        return !by_profile_ && (burst || (kind == TraceKind::Tracepoint && (is_fork_stop(id) || id == TP_FORK_LEAVE) &&
                                          fork_counts(waiting, id, pid)));
    case NodeKind::SystemCall:
        return is_system_call(event);
    case NodeKind::Interrupt:
        return kind == TraceKind::Interrupt && page_counts(waiting, node, event.a, 1);
    case NodeKind::Switch: {
        const PagingControl& control = machine_.mmu().control();
        return kind == TraceKind::Cr3Load &&
               control.space_of(static_cast<u32>(event.a)) != control.space_of(static_cast<u32>(event.b));
    }
    case NodeKind::Entries:
        return kind == TraceKind::PteWrite;
    case NodeKind::Maps:
        return kind == TraceKind::PteWrite && mapping_counts(waiting, node, event);
    case NodeKind::Fills:
    case NodeKind::Evicts: {
        const auto array = static_cast<TlbArray>(event.d);
        const u64 bytes = Tlb::is_large(array) ? machine_.mmu().control().geometry().large_bytes() : kPageSize;
        return kind == (node.kind == NodeKind::Fills ? TraceKind::TlbFill : TraceKind::TlbEvict) &&
               page_counts(waiting, node, event.a, bytes);
    }
    case NodeKind::Flushes:
        return kind == TraceKind::TlbFlush;
    default: // places, texts and stores are no events
        return false;
    }
}

// Whether a value may be another after the event. Flushes change none but `stale`, unless RESET is their reason.
bool StopConditions::changes_value(Waiting& waiting, const TraceEvent& event) {
    const bool translations = waiting.condition.has(NodeKind::Stale);
    if (event.kind == TraceKind::TlbFlush)
        return translations || event.a == static_cast<u64>(TlbFlushReason::Reset);
    if (!is_one_of(event, kTranslationKinds) || !translations)
        return true;
    const u64 region = machine_.mmu().control().geometry().large_bytes();
    const auto& nodes = waiting.condition.expression.nodes;
    return std::any_of(nodes.begin(), nodes.end(), [&](const Node& node) {
        return node.kind == NodeKind::Stale && page_counts(waiting, node, event.a, region);
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
