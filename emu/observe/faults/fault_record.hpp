// Owns: the record of one page fault: what the walk read before, what it reads after, what happened between, its class.
// Callers: FaultTracker makes them; fork tracer, window and reports read. Promises: a closed record never changes, so
// that whoever shows it shares it.
#pragma once

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "emu/observe/processes/process_context.hpp"
#include "emu/observe/tables/page_table_view.hpp"
#include "emu/trace/fault_class.hpp"

namespace forkscope {

struct FaultRecord {
    u64 number = 0; // from 1, in the order of faulting
    u64 begin_instructions = 0, end_instructions = 0;
    Cycles begin_cycle = 0, end_cycle = 0;
    RunTime spent; // by the faulting context and by servers that work for it, from the fault to the return

    u32 address = 0;
    u32 error_code = 0;
    u32 eip = 0;
    u8 cpl = 0;
    u32 address_space = 0;
    u32 pid = 0; // 0 = not stated
    u32 thread = 0;
    std::string program; // that eip belongs to; empty: the kernel, or unknown

    WalkView before;
    WalkView after;
    FaultClass fault_class = FaultClass::Unknown; // what reports show
    FaultClass page = FaultClass::Unknown;        // what happened to the page, whoever touched it
    FaultClass stated = FaultClass::Unknown;      // by the guest
    bool resolved = false;
    // In a page of a stack, as its pointer has shown; or what it grows by, where nothing was there.
    bool in_stack = false;
    u32 depth = 0; // open faults of the same context around it
    std::vector<u32> frames_taken;
    u32 pte_writes = 0;
    u32 flushes = 0;
    u32 messages = 0;
    u32 frames_copied = 0;
    std::vector<std::string> findings;

    auto held() const { return std::tie(program, frames_taken, findings); }
    bool is_write() const { return (error_code & kFaultWrite) != 0; }
    bool is_cow() const { return page == FaultClass::CowCopy || page == FaultClass::CowReuse; }
    u32 page_address() const { return address & ~kPageMask; }
    // The first address of the page as its entry mapped it, and its first frame.
    u32 mapped_page(u32 large_bytes) const { return before.large ? address & ~(large_bytes - 1) : page_address(); }
    u32 mapped_frame(u32 large_bytes) const {
        return static_cast<u32>(before.large ? before.frame & ~u64{large_bytes - 1} : before.frame);
    }
};
using FaultRef = std::shared_ptr<const FaultRecord>; // closed

} // namespace forkscope
