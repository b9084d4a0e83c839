#include "emu/session/conditions/occurrence_text.hpp"

#include "emu/base/log.hpp"
#include "emu/base/text/printable.hpp"
#include "emu/trace/tracepoints.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

std::string stop_text(const TraceEvent& event) {
    if (event.kind == TraceKind::PteWrite)
        return fmt::format("page-table writes begin: entry at {:08x}, {:08x} → {:08x}", event.a, event.b, event.c);
    if (event.a == TP_FORK_LEAVE)
        return "fork returns to the parent";
    const ForkStopName stop = fork_stop_name(event.a);
    return fmt::format("fork, stop {}: {}", stop.number, stop.name);
}

// Of an entry its whole: which bit it was is seen, and what else changed with it.
std::string change_text(const Occurred& occurred, const std::string& at) {
    const Node& node = occurred.expression.at(occurred.node);
    const Node& of = occurred.expression.at(node.left);
    const NodeMemory& memory = of.kind == NodeKind::Entry ? occurred.all[node.left] : occurred.memory;
    return fmt::format("{} changed: {:#x} -> {:#x}{}", printable_line(occurred.expression.text_of(of)), memory.before,
                       memory.value, at);
}

std::string write_text(const Occurred& occurred, const std::string& at) {
    const Node& node = occurred.expression.at(occurred.node);
    const std::string what =
        fmt::format("{} at physical {:#x} written", node.size == 1 ? "the byte" : "bytes", node.number);
    if (node.size > sizeof occurred.memory.value || !occurred.memory.known)
        return what + at;
    return fmt::format("{}: {:#x} -> {:#x}{}", what, occurred.memory.before, occurred.memory.value, at);
}

std::string tlb_text(const TraceEvent& event, const std::string& at) {
    switch (event.kind) {
    case TraceKind::TlbFill:
        return fmt::format("the TLB takes {:08x}, entry {:#x}{}", event.a, event.b, at);
    case TraceKind::TlbEvict:
        return fmt::format("the TLB gives up {:08x}, entry {:#x}{}", event.a, event.b, at);
    default:
        return fmt::format("the TLB is flushed ({}), {} entries{}", trace_value_name(TraceType::FlushReason, event.a),
                           event.c, at);
    }
}

} // namespace

bool tells_more_than_its_name(NodeKind kind) {
    switch (kind) {
    case NodeKind::Place:
    case NodeKind::Fork:
    case NodeKind::AnyStop:
    case NodeKind::ForkStop:
    case NodeKind::Tracepoint:
    case NodeKind::SerialText:
        return false;
    default:
        return true;
    }
}

std::string occurrence_text(const Occurred& occurred) {
    const Node& node = occurred.expression.at(occurred.node);
    const TraceEvent& event = occurred.memory.event;
    const std::string at = occurred.by.empty() ? "" : " at " + occurred.by;
    switch (node.kind) {
    case NodeKind::Place:
        return fmt::format("the instruction at {:08x} is next", occurred.machine.cpu().linear_eip());
    case NodeKind::SerialText:
        return fmt::format("the guest has said '{}'", occurred.expression.texts[node.number]);
    case NodeKind::Fault:
        return fmt::format("page fault at {:08x}, error code {}, by the instruction at {:08x}", event.a, event.b,
                           event.eip);
    case NodeKind::Fork:
        if (event.kind == TraceKind::None)
            return "the hardware shows a fork";
        [[fallthrough]];
    case NodeKind::Tracepoint:
    case NodeKind::ForkStop:
        return fmt::format("the guest states {}", tracepoint_name(event.a));
    case NodeKind::AnyStop:
        return stop_text(event);
    case NodeKind::SystemCall:
        return fmt::format("system call, eax {:#x}{}", occurred.machine.registers().reg<u32>(kEax), at);
    case NodeKind::Interrupt:
        return fmt::format("{} {:#x}{}", trace_value_name(TraceType::InterruptCause, event.c & 0xFF), event.a, at);
    case NodeKind::Switch:
        return fmt::format("address space {:08x} → {:08x}{}", event.a, event.b, at);
    case NodeKind::Entries:
    case NodeKind::Maps:
        return fmt::format("entry at {:08x}: {:#x} -> {:#x}{}", event.a, event.b, event.c, at);
    case NodeKind::Writes:
        return write_text(occurred, at);
    case NodeKind::Fills:
    case NodeKind::Evicts:
    case NodeKind::Flushes:
        return tlb_text(event, at);
    case NodeKind::Stale:
        return fmt::format("the TLB holds {:#x}, the tables {:#x}{}", occurred.memory.value, occurred.memory.before,
                           at);
    case NodeKind::Changes:
        return change_text(occurred, at);
    default:
        return "";
    }
}

} // namespace forkscope
