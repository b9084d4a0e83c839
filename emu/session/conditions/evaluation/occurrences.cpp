#include "emu/session/conditions/evaluation/occurrences.hpp"

#include "emu/base/trace_vocabulary.hpp"
#include "emu/trace/tracepoints.hpp"
#include "guest/abi/tracepoints.h"
#include "mmu/page_walk.hpp"
#include "mmu/tlb/tlb.hpp"

namespace forkscope {

namespace {

constexpr u64 kQuietInstructions = 20000; // after which a write to a page table begins a new burst

// A leaf that leads to the frame, and did not before.
bool mapping_counts(const Node& node, const TraceEvent& event, const Circumstances& now) {
    const bool large = event.d == 2 && is_large(event.c, 2, now.control);
    if ((event.c & kPtePresent) == 0 || (event.d == 2 && !large))
        return false;
    const u64 mask = large ? ~u64{now.control.geometry().large_bytes() - 1} : ~u64{kPageMask};
    const auto wanted = now.argument(node.left);
    const auto leads_there = [&](u64 entry) {
        return (entry & kPtePresent) != 0 && (entry & kPteFrame & mask) == (*wanted & mask);
    };
    return wanted && leads_there(event.c) && !leads_there(event.b);
}

bool translation_counts(const Node& node, const TraceEvent& event, const Circumstances& now) {
    const bool large = Tlb::is_large(static_cast<TlbArray>(event.d));
    return page_counts(node, event.a, large ? now.control.geometry().large_bytes() : kPageSize, now.argument);
}

} // namespace

bool Told::hear(const TraceEvent& event) {
    switch (event.kind) {
    case TraceKind::PteWrite: {
        const bool burst = event.instructions - last_table_write > kQuietInstructions && users_run && !guest_speaks;
        last_table_write = event.instructions;
        return burst;
    }
    case TraceKind::InterruptReturn:
        users_run = users_run || event.c == 3;
        break;
    case TraceKind::Tracepoint:
        guest_speaks = true;
        panicked = panicked || event.a == TP_PANIC;
        break;
    default:
        break;
    }
    return false;
}

void Told::serialize(Archive& ar) {
    ar.field("guest_speaks", guest_speaks);
    ar.field("users_run", users_run);
    ar.field("panicked", panicked);
    ar.field("last_table_write", last_table_write);
}

bool page_counts(const Node& node, u64 address, u64 page_bytes, const ArgumentValue& argument) {
    if (node.left == kNoNode)
        return true;
    const auto wanted = argument(node.left);
    return wanted && ((*wanted ^ address) & ~(page_bytes - 1)) == 0;
}

bool stands_for(const Node& node, const TraceEvent& event, const Circumstances& now) {
    const TraceKind kind = event.kind;
    const auto id = static_cast<u32>(event.a);
    const bool stated = kind == TraceKind::Tracepoint;
    switch (node.kind) {
    case NodeKind::Fault:
        return kind == TraceKind::PageFault && page_counts(node, event.a, kPageSize, now.argument);
    case NodeKind::Fork:
        return stated && id == TP_FORK_ENTER;
    case NodeKind::ForkStop:
    case NodeKind::Tracepoint:
        return stated && id == node.number;
    case NodeKind::AnyStop:
        return now.burst || (stated && (is_fork_stop(id) || id == TP_FORK_LEAVE));
    case NodeKind::SystemCall:
        return is_system_call(event);
    case NodeKind::Interrupt:
        return kind == TraceKind::Interrupt && page_counts(node, event.a, 1, now.argument);
    case NodeKind::Switch:
        return kind == TraceKind::Cr3Load &&
               now.control.space_of(static_cast<u32>(event.a)) != now.control.space_of(static_cast<u32>(event.b));
    case NodeKind::Entries:
        return kind == TraceKind::PteWrite;
    case NodeKind::Maps:
        return kind == TraceKind::PteWrite && mapping_counts(node, event, now);
    case NodeKind::Fills:
        return kind == TraceKind::TlbFill && translation_counts(node, event, now);
    case NodeKind::Evicts:
        return kind == TraceKind::TlbEvict && translation_counts(node, event, now);
    case NodeKind::Flushes:
        return kind == TraceKind::TlbFlush;
    default: // places, texts and stores are no events
        return false;
    }
}

} // namespace forkscope
