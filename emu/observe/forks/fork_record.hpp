// Owns: what one fork did, as plain data.
// Callers: ForkTracer fills it in; reports, window, terminal and tests read it. Promises: counts are always whole; the
// lists may be trimmed, and then say so.
#pragma once

#include <array>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "emu/base/shared/shared_map.hpp"
#include "emu/base/shared/shared_vector.hpp"
#include "emu/observe/faults/fault_record.hpp"
#include "emu/observe/processes/process_context.hpp"
#include "emu/observe/processes/program_stacks.hpp"
#include "emu/observe/tables/page_table_view.hpp"
#include "emu/trace/tracepoints.hpp"

namespace forkscope {

// Whose page an entry maps.
enum class ForkSide : u8 { Parent = 0, Child = 1, Other = 2, Unknown = 3 };
const char* fork_side_name(ForkSide side);

inline constexpr int kNoStop = -1;

struct PteChange {
    u64 instructions = 0;
    Cycles cycle = 0;
    u32 entry_address = 0; // physical
    u64 old_value = 0;
    u64 new_value = 0;
    u32 directory = 0;   // of the space that the entry belongs to; 0 = unknown
    u32 linear = 0;      // first address that the entry maps
    u32 bytes = 0;       // how many it maps
    u8 level = 0;        // 1 = table, 2 = directory
    bool written = true; // false: already there when the table became known; its writer is unknown
    ForkSide side = ForkSide::Unknown;
    u32 eip = 0;                  // of the instruction that wrote
    std::array<u32, 3> callers{}; // return addresses, innermost first; 0 = unknown
    int stop = kNoStop;
};

enum class FrameAct : u8 { Allocated = 0, Freed = 1, Shared = 2, Released = 3, Copied = 4 };
const char* frame_act_name(FrameAct act);

struct FrameChange {
    u64 instructions = 0;
    Cycles cycle = 0;
    FrameAct act{};
    u32 frame = 0;
    u32 copy = 0;       // destination, for Copied
    u32 references = 0; // after the act; 0 for Copied
    u32 use = 0;        // FRAME_*
    int stop = kNoStop;
};

struct FlushChange {
    u64 instructions = 0;
    Cycles cycle = 0;
    u32 reason = 0; // TlbFlushReason
    u32 address = 0;
    u32 dropped = 0; // translations lost
    u32 eip = 0;
    int stop = kNoStop;
};

struct Cr3Change {
    u64 instructions = 0;
    Cycles cycle = 0;
    u32 old_directory = 0;
    u32 new_directory = 0;
    int stop = kNoStop;
};

struct ForkCounts {
    u64 pte_writes = 0;   // also those that did not change the entry
    u64 pte_protects = 0; // writes that only took the right to write
    u64 pte_found = 0;
    u64 frames_allocated = 0;
    u64 frames_freed = 0;
    u64 frames_shared = 0;
    u64 frames_released = 0;
    u64 frames_copied = 0;
    u64 flushes = 0;
    u64 entries_dropped = 0;
    u64 cr3_loads = 0;
    u64 space_switches = 0;     // loads of CR3 with another address space
    u64 privilege_switches = 0; // ways into ring 0 and out of it
    u64 system_calls = 0;       // by the forking process and by servers that work for it
    u64 messages = 0;
    u64 tracepoints = 0;  // each costs the guest some instructions of its own
    u64 heap_objects = 0; // kernel objects (and a memory server's own) taken
    u64 heap_bytes = 0;
    u64 heap_bytes_freed = 0;

    ForkCounts& operator+=(const ForkCounts& more);
};

// What became of shadow objects, where the guest has them.
struct ShadowCounts {
    u64 created = 0;
    u64 collapsed = 0; // an object swallowed the one behind it
    u64 bypassed = 0;  // an object came to look past the one behind it
    u64 longest_chain = 0;
};

struct ForkStop {
    u32 id = 0; // TP_FORK_*
    // What the stop's account covers: the first one's begins with the system call.
    u64 begin_instructions = 0, end_instructions = 0;
    Cycles begin_cycle = 0, end_cycle = 0;
    u64 reached_instructions = 0; // where a run that waits for it ends: behind its statement, or before its function
    RunTime spent;                // by the forking thread, and by servers that work for it
    ForkCounts counts;
    // Where the stop is stated: for the source line.
    u32 eip = 0;
    std::array<u32, 3> callers{}; // return addresses, innermost first; 0 = unknown
    std::string program;          // that eip belongs to; empty: the kernel, or unknown

    auto held() const { return std::tie(program); }
};
// A page that parent and child had in the same memory when fork left. A large one is whole until either side splits it.
struct SharedPage {
    u32 frame = 0;               // the first
    u32 bytes = kPageSize;       // 4 KB, 2 MB or 4 MB
    bool copy_on_write = false;  // read-only on both sides because of a fork, not by nature
    bool parent_settled = false; // that side does not map this frame there any more
    bool child_settled = false;
    bool left_inside = false; // the parent left it before fork was done
    bool writable = false;    // by one side at least
    u8 doubt = 0;             // Doubt bits
    // One side was given the right to write, or the kernel stored on its behalf, while the other side's entry still led
    // to the frame. It is a finding once the other side runs and still has the frame there: a process that has ended
    // may leave its entries behind.
    enum Doubt : u8 { Granted = 1, Stored = 2, ByParent = 4, ByChild = 8, Found = 16 };

    u64 pages() const { return bytes / kPageSize; }
    bool shared() const { return !parent_settled && !child_settled; }
    bool waits() const { return copy_on_write && shared() && !writable; }
};

// A page fault on either side while the fork was alive.
struct ForkFault {
    FaultRef record; // shared with the other forks that know it
    ForkSide side = ForkSide::Unknown;
    bool belongs = false; // a copy-on-write fault on a page that this fork shared
    bool in_fork = false; // taken inside fork itself

    auto held() const { return std::tie(record); }
};

struct ForkRecord {
    u64 number = 0;           // from 1
    u64 made_parent = 0;      // number of the fork that made this fork's parent; 0 = none known
    bool stated = false;      // by tracepoints; else found in the hardware's events alone
    bool in_workload = false; // the parent was between TP_WORKLOAD_BEGIN and TP_WORKLOAD_END

    u32 parent_pid = 0, child_pid = 0, parent_thread = 0; // 0 = not stated
    u32 parent_directory = 0, child_directory = 0;
    std::string parent_program;
    u32 pages_named = 0;  // the workload's parameter
    i64 result = 0;       // what fork returned to the parent; child pid or negative error
    bool left = false;    // fork has returned
    bool failed = false;  // with an error
    bool settled = false; // what both sides share has been looked at: when fork left, or when the child ran before that

    u64 begin_instructions = 0, left_instructions = 0;
    Cycles begin_cycle = 0, left_cycle = 0;
    RunTime spent;                                  // inside fork by the forking thread and servers for it
    Cycles child_first_run = 0;                     // 0 = not yet
    Cycles private_cycle = 0;                       // when no page was shared for copying any more; 0 = not yet
    bool parent_ended = false, child_ended = false; // exit or exec
    bool followed = false;                          // faults are still looked for: its lists are kept

    SharedVector<ForkStop> stops; // in order; empty if not stated
    SharedVector<PteChange> ptes;
    SharedVector<FrameChange> frames;
    SharedVector<FlushChange> flushes;
    SharedVector<Cr3Change> cr3_loads;
    SharedVector<ForkFault> faults;
    ForkCounts counts;
    u64 fault_counts[10] = {}; // faults that belong, by FaultRecord::page
    u64 other_faults = 0;
    ShadowCounts shadows_inside; // while fork ran
    ShadowCounts shadows_after;  // by either side, until both are private
    // Inside fork, by address space (0: the kernel's half) and eip; only where on_instruction was called.
    SharedMap<std::pair<u32, u32>, RunTime> by_instruction;
    bool trimmed = false; // some list entries were dropped; counts are complete

    SharedMap<u32, SharedPage> shared; // by linear page
    std::vector<StackRange> stacks;    // of the parent when it became known
    // Counts of 4 KB each, a large page's too.
    u64 still_shared = 0;                      // copy-on-write pages that both sides still map and neither may write
    u64 leaked_pages = 0;                      // that one side writes and the other sees
    u64 copied_pages = 0;                      // that fork copied at once, as the contents of both sides show
    SharedVector<DifferenceRange> differences; // parent (a) and child (b) when fork left
    std::vector<std::string> findings;

    u64 cow_faults() const {
        return fault_counts[static_cast<u8>(FaultClass::CowCopy)] + fault_counts[static_cast<u8>(FaultClass::CowReuse)];
    }
    // What a later system call did for the same fork, which nobody has stated.
    void append(const ForkRecord& later, std::size_t most_entries);
    auto held() const {
        return std::tie(parent_program, stacks, stops, ptes, frames, flushes, cr3_loads, faults, by_instruction, shared,
                        differences, findings);
    }
    // About what the lists take, in memory or in a snapshot.
    u64 list_bytes() const {
        return ptes.size() * sizeof(PteChange) + frames.size() * sizeof(FrameChange) +
               flushes.size() * sizeof(FlushChange) + cr3_loads.size() * sizeof(Cr3Change) +
               faults.size() * sizeof(FaultRecord) + shared.size() * sizeof(SharedPage) +
               differences.size() * sizeof(DifferenceRange) + by_instruction.size() * sizeof(RunTime);
    }
    bool finished() const { return left && (failed || private_cycle != 0 || child_ended); }
};

} // namespace forkscope
