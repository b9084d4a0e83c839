// Owns: a synthetic machine for the tests of observe: RAM with page tables built by hand, and events emitted by hand.
#pragma once

#include <cstring>
#include <initializer_list>
#include <memory>

#include "emu/base/trace.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "emu/observe/tables/page_table_view.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope::testing {

inline constexpr u32 kUser = kPtePresent | kPteUser;
inline constexpr u32 kUserWrite = kUser | kPteWritable;
inline constexpr u32 kKernelWrite = kPtePresent | kPteWritable;

class SyntheticMachine {
  public:
    SyntheticMachine() : memory(16u << 20) {}

    u32 frame() {
        const u32 address = next_frame_;
        next_frame_ += kPageSize;
        return address;
    }
    void put(u32 address, u32 value) { std::memcpy(memory.host(PhysicalAddress(address)), &value, sizeof value); }
    u32 get(u32 address) const {
        u32 value = 0;
        std::memcpy(&value, memory.host(PhysicalAddress(address)), sizeof value);
        return value;
    }
    void fill(u32 frame_address, u8 value) {
        std::memset(memory.host(PhysicalAddress(frame_address)), value, kPageSize);
    }
    u32 entry_address(u32 directory, u32 linear) const {
        return (get(directory + (linear >> 22) * 4) & ~kPageMask) + (linear >> 12 & 1023) * 4;
    }
    // Without events.
    void map(u32 directory, u32 linear, u32 frame_address, u32 flags) {
        const u32 slot = directory + (linear >> 22) * 4;
        if ((get(slot) & kPtePresent) == 0)
            put(slot, frame() | kUserWrite);
        put(entry_address(directory, linear), frame_address | flags);
    }

    // --- Events.
    void emit(TraceKind kind, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0) {
        TraceEvent event;
        instructions += 3;
        cycle += 10;
        event.instructions = instructions;
        event.cycle = cycle;
        event.eip = eip;
        event.address_space = cr3;
        event.kind = kind;
        event.cpl = cpl;
        event.a = a;
        event.b = b;
        event.c = c;
        event.d = d;
        sink->on_event(event);
    }
    void tracepoint(u32 id, u32 a = 0, u32 b = 0, u32 c = 0) {
        if (tracepoints)
            emit(TraceKind::Tracepoint, id, a, b, c);
    }
    void write_entry(u32 address, u32 value, u32 level = 1) {
        const u32 old = get(address);
        put(address, value);
        emit(TraceKind::PteWrite, address, old, value, level);
    }
    // An empty table, put in place by the guest.
    void make_table(u32 directory, u32 linear) {
        const u32 slot = directory + (linear >> 22) * 4;
        if ((get(slot) & kPtePresent) == 0)
            write_entry(slot, frame() | kUserWrite, 2);
    }
    void load_cr3(u32 directory) {
        const u32 old = cr3;
        cr3 = directory;
        emit(TraceKind::Cr3Load, old, directory);
        emit(TraceKind::TlbFlush, static_cast<u64>(TlbFlushReason::Cr3), 0, 5);
    }
    void switch_to(u32 pid, u32 directory) {
        tracepoint(TP_CONTEXT_SWITCH, pid, 1, directory);
        load_cr3(directory);
    }
    void enter_system_call(u32 from) {
        cpl = 3;
        eip = from;
        if (sysenter)
            emit(TraceKind::Interrupt, kNoVector, 0, interrupt_source(InterruptCause::Sysenter, 3), from);
        else
            emit(TraceKind::Interrupt, 0x80, 0, interrupt_source(InterruptCause::Software, 3), from);
        cpl = 0;
        eip = 0xC0101000;
    }
    void return_to(u32 to, u8 to_cpl) {
        emit(TraceKind::InterruptReturn, to, cpl, to_cpl);
        cpl = to_cpl;
        eip = to;
    }
    void fault(u32 address, u32 error_code, u32 at, u8 at_cpl = 3) {
        eip = at;
        cpl = at_cpl;
        const u32 slot = get(cr3 + (address >> 22) * 4);
        const bool has_table = (slot & kPtePresent) != 0;
        emit(TraceKind::PageFault, address, error_code, slot, has_table ? get(entry_address(cr3, address)) : 0);
        emit(TraceKind::Interrupt, 14, error_code, interrupt_source(InterruptCause::Fault, at_cpl), at);
        cpl = 0;
        eip = 0xC0102000;
    }

    PhysicalMemory memory;
    TraceSink* sink = nullptr;
    bool tracepoints = true;
    bool sysenter = false; // programs call their kernel by SYSENTER, not INT
    u64 instructions = 0;
    Cycles cycle = 0;
    u32 eip = 0xC0100000;
    u32 cr3 = 0;
    u8 cpl = 0;

  private:
    u32 next_frame_ = 2u << 20;
};

} // namespace forkscope::testing
