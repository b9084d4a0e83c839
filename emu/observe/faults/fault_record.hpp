// Owns: page-fault records: what the walk read before, what it reads after, what happened between, and the class.
// Callers: fork tracer, window, reports. Promises: works from the hardware's events alone; what the guest states with
// TP_FAULT_LEAVE is compared, and a disagreement is a finding of the record.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "emu/base/trace.hpp"
#include "emu/observe/processes/process_context.hpp"
#include "emu/observe/tables/page_table_view.hpp"
#include "emu/symbols/symbolizer.hpp"
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
    std::shared_ptr<const Location> where; // of eip; never null once closed

    WalkView before;
    WalkView after;
    FaultClass fault_class = FaultClass::Unknown; // what reports show
    FaultClass page = FaultClass::Unknown;        // what happened to the page, whoever touched it
    FaultClass stated = FaultClass::Unknown;      // by the guest
    bool resolved = false;
    u32 depth = 0; // open faults of the same context around it
    std::vector<u32> frames_taken;
    u32 pte_writes = 0;
    u32 flushes = 0;
    u32 messages = 0;
    u32 frames_copied = 0;
    std::vector<std::string> findings;

    bool is_write() const { return (error_code & kFaultWrite) != 0; }
    bool is_cow() const { return page == FaultClass::CowCopy || page == FaultClass::CowReuse; }
    u32 page_address() const { return address & ~kPageMask; }
};

class FaultTracker {
  public:
    using Closed = std::function<void(FaultRecord&)>;

    // Where the guest does not say, the layout tells which fresh zero pages are stack growth.
    explicit FaultTracker(const ProcessContext& context, const GuestLayout& layout = {});

    // `reader` sees memory at the moment of the event; `context` has had the event already.
    void on_event(const TraceEvent& event, const AddressSpaceReader& reader);
    void set_closed(Closed closed) { closed_ = std::move(closed); }
    // A process spent this for others: for those of them that stand in a fault it is part of that.
    void add_service(const std::vector<u32>& clients, const RunTime& spent);
    // A message about to be delivered, from somebody who stands in a fault or works for one who does.
    void count_message(u32 sender);
    void set_symbolizer(Symbolizer* symbols) { symbols_ = symbols; }
    // Names of code may have changed: the space runs another program.
    void forget_locations(u32 address_space);
    std::shared_ptr<const Location> locate(u32 address_space, u32 eip, const AddressSpaceReader& reader);

    u64 count() const { return count_; }
    std::size_t open_count() const;

  private:
    // What a context has to return to: a fault, or another interrupt (then `fault` is empty).
    struct Frame {
        u32 eip = 0;
        std::unique_ptr<FaultRecord> fault;
        RunTime begin;
        RunTime service; // by others
        bool compared = false;
        bool by_sysenter = false;
        u8 from_cpl = 0;
        u32 true_copy = 0; // a frame that was seen to hold what the old one held; others may write to either later
    };
    using Stack = std::deque<Frame>;

    void open(const TraceEvent& event, const AddressSpaceReader& reader);
    void on_return(const TraceEvent& event, const AddressSpaceReader& reader);
    void on_work(const TraceEvent& event, const AddressSpaceReader& reader);
    void on_tracepoint(const TraceEvent& event, const AddressSpaceReader& reader, Frame& frame);
    void compare_copy(Frame& frame, const AddressSpaceReader& reader) const;
    void overtake(const FaultRecord& resolved);
    // The fault that a process stands in; nullptr: none.
    Frame* fault_of(u32 pid);
    Frame* served_fault();
    void close(Frame& frame, const TraceEvent& event, const AddressSpaceReader& reader, bool retried);
    void classify(Frame& frame, const AddressSpaceReader& reader, bool retried) const;
    void compare_with_guest(FaultRecord& fault) const;
    Stack& stack(ProcessContext::Key key);

    const ProcessContext& context_;
    GuestLayout layout_;
    Closed closed_;
    Symbolizer* symbols_ = nullptr;
    u64 count_ = 0;
    std::map<ProcessContext::Key, Stack> stacks_;
    std::map<std::pair<u32, u32>, std::shared_ptr<const Location>> locations_;
};

} // namespace forkscope
