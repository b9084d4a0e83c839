// Owns: the meaning of numbers inside trace events that several rooms must agree on.
// Callers: mmu and cpu write them, observe reads them. Promises: values are part of trace files and never change.
#pragma once

#include <array>
#include <string_view>

#include "emu/base/trace.hpp"

namespace forkscope {

enum class TlbFlushReason : u8 {
    Cr3 = 0,
    Invlpg = 1,
    Cr0 = 2,
    Cr4 = 3,
    PageFault = 4,
    TaskSwitch = 5,
    Reset = 6,
    TestRegister = 7
};

enum class InterruptCause : u8 { Hardware = 0, Software = 1, Fault = 2, Trap = 3, Nmi = 4, Sysenter = 5 };
// The vector of an Interrupt event where none is used, as for SYSENTER.
inline constexpr u64 kNoVector = 256;

// What the source of an Interrupt event holds.
inline constexpr TraceValue kInterruptCause = trace_value(TraceKind::Interrupt, "cause");
inline constexpr TraceValue kInterruptFromCpl = trace_value(TraceKind::Interrupt, "from_cpl");
constexpr u64 interrupt_source(InterruptCause cause, u8 from_cpl) {
    return kInterruptCause.field.placed(static_cast<u64>(cause)) | kInterruptFromCpl.field.placed(from_cpl);
}
constexpr InterruptCause interrupt_cause(const TraceEvent& interrupt) {
    return static_cast<InterruptCause>(kInterruptCause(interrupt));
}
// A program's way into its kernel.
constexpr bool is_system_call(const TraceEvent& event) {
    return event.kind == TraceKind::Interrupt &&
           (interrupt_cause(event) == InterruptCause::Software || interrupt_cause(event) == InterruptCause::Sysenter);
}

// Where cycles went. Base is what no other cause claims.
enum class CycleCause : u8 { Base, Pipeline, Branch, TlbWalk, Cache, Misaligned, Delivery, Io, Count };
using CycleCounters = std::array<Cycles, static_cast<std::size_t>(CycleCause::Count)>; // by CycleCause
constexpr std::string_view cycle_cause_name(CycleCause cause) {
    constexpr std::string_view kNames[] = {"base",  "pipeline",   "branch",   "tlb_walk",
                                           "cache", "misaligned", "delivery", "ports"};
    return kNames[static_cast<std::size_t>(cause)];
}

// The arrays of a TLB. Data4K holds code, too, where the processor has one TLB for both.
enum class TlbArray : u8 { Data4K = 0, Data4M = 1, Instruction4K = 2, Instruction4M = 3 };

// Where in its array a TlbFill or TlbEvict happened.
inline constexpr TraceValue kTlbWay = trace_value(TraceKind::TlbFill, "way");
inline constexpr TraceValue kTlbSet = trace_value(TraceKind::TlbFill, "set");
constexpr u64 tlb_set_way(u32 set, u32 way) { return kTlbSet.field.placed(set) | kTlbWay.field.placed(way); }

// The name of a value of the enumerations above, in lower case; empty where there is none.
std::string_view trace_value_name(TraceType type, u64 value);

} // namespace forkscope
