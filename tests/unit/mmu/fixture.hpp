// Owns: a small machine around an Mmu for the unit tests: RAM, bus, a recorder of events, and a way to lay out tables.
// Callers: the unit tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "mmu/mmu.hpp"

namespace forkscope {

constexpr u32 kTestRam = 4u << 20;
constexpr u32 kDirectory = 0x1000;
constexpr u32 kFirstTable = 0x2000; // the table of directory entry n lies at kFirstTable + n * 4096
constexpr u32 kRwUser = kPtePresent | kPteWritable | kPteUser;
constexpr u32 kRwSupervisor = kPtePresent | kPteWritable;

class EventRecorder : public TraceSink {
  public:
    void on_event(const TraceEvent& event) override { events.push_back(event); }
    std::vector<TraceEvent> of(TraceKind kind) const {
        std::vector<TraceEvent> found;
        for (const TraceEvent& event : events) {
            if (event.kind == kind)
                found.push_back(event);
        }
        return found;
    }
    std::vector<TraceEvent> events;
};

class MmuTest : public testing::Test {
  protected:
    MmuTest() { tracer.set_sink(&recorder); }

    void put(u32 physical, u32 value) {
        memory.write(PhysicalAddress(physical), {reinterpret_cast<const u8*>(&value), sizeof value});
    }
    u32 get(u32 physical) const {
        u32 value = 0;
        std::memcpy(&value, memory.host(PhysicalAddress(physical)), sizeof value);
        return value;
    }
    // Maps one 4 KB page; the directory entry gets all rights.
    void map(u32 linear, u32 entry) {
        const u32 table = kFirstTable + (linear >> 22) * kPageSize;
        put(kDirectory + (linear >> 22) * 4, table | kRwUser);
        put(table + (linear >> 12 & 0x3FF) * 4, entry);
    }
    u32 table_entry(u32 linear) const {
        return get(kFirstTable + (linear >> 22) * kPageSize + (linear >> 12 & 0x3FF) * 4);
    }
    void start_paging(u32 cr0 = kCr0Wp, u32 cr4 = kCr4Pse | kCr4Pge) {
        mmu.write_cr4(mmu.control().cr4, cr4);
        mmu.write_cr3(kDirectory, TlbFlushReason::Cr3);
        mmu.write_cr0(mmu.control().cr0, kCr0Pg | kCr0Pe | cr0);
        recorder.events.clear();
    }

    PhysicalMemory memory{kTestRam};
    Bus bus;
    Tracer tracer;
    EventRecorder recorder;
    Mmu mmu{memory, bus, tracer};
};

constexpr Privilege kUser = Privilege::User;
constexpr Privilege kKernel = Privilege::Supervisor;

} // namespace forkscope
