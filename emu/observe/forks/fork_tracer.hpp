// Owns: the fold of trace events into one ForkRecord per fork, from what the guest states and what the hardware shows.
// Callers: attach as a TraceSink; read forks() at any time between events. Promises: changes nothing of the machine
// (it peeks, and asks through TableMap's watch to see writes); works without tracepoints; memory is bounded.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "emu/base/trace.hpp"
#include "emu/observe/faults/fault_tracker.hpp"
#include "emu/observe/forks/fork_record.hpp"
#include "emu/observe/tables/table_map.hpp"

namespace forkscope {

struct ForkTracerOptions {
    GuestLayout layout = {};
    std::size_t keep_whole = 64;         // finished forks whose lists are kept
    std::size_t keep_forks = 4096;       // forks remembered at all
    std::size_t most_entries = 1u << 18; // of each list of one fork
    std::size_t most_active = 256;       // forks that may still receive faults
    TableMap::Watch watch = {};
    PagingControl paging = AddressSpaceReader::assumed(); // as it stands when the tracer is attached
    // The running CPU's EBP at the moment of the event: tells who called what wrote an entry. May be empty.
    std::function<u32()> frame_pointer = {};
    // The CPU's cycles by cause at the moment of the event. May be empty.
    std::function<CycleCounters()> account = {};
};

class ForkTracer : public TraceSink {
  public:
    // `memory` is looked at during events only. Symbols may be null.
    ForkTracer(const PhysicalMemory& memory, Symbolizer* symbols, ForkTracerOptions options = {});

    TraceKinds kinds() const override { return ~kTranslationKinds; }
    void on_event(const TraceEvent& event) override;

    // All remembered forks in the order of their beginning. Records stay in place until they are dropped.
    const std::list<ForkRecord>& forks() const { return forks_; }
    const ForkRecord* fork(u64 number) const;
    // The fork that the thread now running is inside of, or works for as a server, if any; and the one that began last.
    const ForkRecord* current() const;
    const ForkRecord* last() const { return forks_.empty() ? nullptr : &forks_.back(); }
    u64 forgotten() const { return forgotten_; }

    // For a profile by function: the instruction at `eip` ran from one time to the other (both since power-on); it
    // counts for the fork that its thread is in or works for.
    void on_instruction(u32 address_space, u32 eip, const RunTime& before, const RunTime& after);

    // Every closed fault, also those outside of forks.
    using FaultListener = std::function<void(const FaultRef&)>;
    void set_fault_listener(FaultListener listener) { fault_listener_ = std::move(listener); }
    const TableMap& tables() const { return tables_; }
    const ProcessContext& context() const { return context_; }
    const FaultTracker& faults() const { return faults_; }
    Symbolizer* symbols() const { return symbols_; }

  private:
    // A fork in progress; or, without tracepoints, a system call that may turn out to have been one.
    struct Open {
        Open() = default;
        Open(Open&&) = default;
        std::list<ForkRecord> node = std::list<ForkRecord>(1); // moves to forks_ when the record is published
        ForkRecord& record = node.front();
        ProcessContext::Key key = ProcessContext::kNobody;
        // Who stated the last stop, where nothing else says that it works for this fork.
        ProcessContext::Key helper = ProcessContext::kNobody;
        RunTime begun;                    // since power-on
        std::set<u32> unflushed;          // write-protected pages of the parent whose translation may be cached
        std::set<u32> protects;           // user pages whose right to write was taken, on the parent's side
        std::vector<u32> new_directories; // that became known meanwhile
        std::set<u32> foreign;            // other spaces' directories whose entries were written
        PageTableView parent_view;        // the caller's user half when the system call returned
    };
    using OpenList = std::list<Open>;

    // fork_tracer.cpp
    void on_tracepoint(const TraceEvent& event);
    void on_fork_stop(const TraceEvent& event);
    void on_frame(const TraceEvent& event);
    void begin_stated(const TraceEvent& event);
    void begin_stop(Open& open, const TraceEvent& event);
    void end_stop(Open& open, const TraceEvent& event);
    void leave(OpenList::iterator open, const TraceEvent& event);
    void on_pte_write(const TraceEvent& event);
    void on_table_found(u32 frame, const EntryOwner& owner, const TraceEvent& event);
    void on_flush(const TraceEvent& event);
    void on_cr3(const TraceEvent& event);
    void add_pte(Open& open, PteChange change);
    std::array<u32, 3> callers(const TraceEvent& event) const;
    u32 space_of(u64 cr3) const { return tables_.reader().space_of(cr3).root; }
    u32 bytes_at(u8 level) const { // that an entry maps
        return level == 2 ? tables_.reader().geometry().large_bytes() : kPageSize;
    }
    // The open fork or system call that the running thread is in, or works for as a server; or a process.
    const Open* working() const;
    Open* working() { return const_cast<Open*>(std::as_const(*this).working()); }
    const Open* work_of(u32 pid) const;
    Open* work_of(u32 pid) { return const_cast<Open*>(std::as_const(*this).work_of(pid)); }
    OpenList::iterator find_open(u32 parent_pid, u32 child_pid);
    // fork_account.cpp: whose time and whose events
    // Since power-on, up to the event.
    RunTime time_of(const TraceEvent& event) const {
        return {event.instructions, event.cycle, options_.account ? options_.account() : CycleCounters{}};
    }
    static bool moves_work(const TraceEvent& event);
    void settle_time(const TraceEvent& event);
    void count_message(const TraceEvent& event);
    void count_switch(const TraceEvent& event);
    void on_heap(const TraceEvent& event);
    void on_shadow(const TraceEvent& event);
    template <class Count> static void count_in(ForkRecord& record, Count count) {
        count(record.counts);
        if (!record.stops.empty())
            count(record.stops.back().counts);
    }
    ForkRecord& publish(Open& open);
    static void name_sides(ForkRecord& record);
    template <class Predicate> void give_up(Predicate which);
    void trim();

    // fork_sharing.cpp: after the fork
    void settle(ForkRecord& fork, const std::set<u32>& protects, const PageTableView& parent);
    void child_runs_early(Open& open, const TraceEvent& event);
    void check_rights(ForkRecord& fork);
    bool was_copy_on_write(const ForkRecord& fork, u32 page, u32 frame) const;
    void on_fault(const FaultRef& fault);
    void share_fault(const FaultRef& fault, bool attached);
    void attach_fault(ForkRecord& fork, const FaultRef& fault, ForkSide side, bool belongs);
    void settle_page(ForkRecord& fork, ForkSide side, u32 page);
    void process_ended(u32 pid);
    void space_ended(u32 directory);
    void end_side(ForkRecord& fork, ForkSide side);
    void check_private(ForkRecord& fork);
    void activate(ForkRecord& fork);

    // fork_detection.cpp: without tracepoints
    void system_call_begins(const TraceEvent& event);
    void on_return(const TraceEvent& event);
    void first_load(u32 directory, const TraceEvent& event);
    bool adopt(Open& call, u32 child, const TraceEvent& event);
    void add_unseen_entries(Open& call, const PageTableView& child, const TraceEvent& event);
    void catch_up(ForkRecord& fork);
    PageTableView user_half(u32 directory) const;

    Symbolizer* symbols_;
    ForkTracerOptions options_;
    ProcessContext context_;
    TableMap tables_;
    FaultTracker faults_;
    CodePlaces places_;
    FaultListener fault_listener_;

    OpenList open_;                     // forks in progress
    OpenList calls_;                    // system calls in progress, by context
    OpenList ended_calls_;              // that might have been forks
    std::deque<FaultRef> loose_faults_; // copy-on-write faults that no known fork explains yet
    std::list<ForkRecord> forks_;
    std::list<ForkRecord*> active_; // oldest first: may still receive faults
    std::set<u32> loaded_;          // directories that were in CR3 once
    std::map<u32, u32> workload_;   // parameter by pid; children inherit the membership
    const TraceEvent* now_ = nullptr;
    RunTime settled_; // all time up to here is somebody's
    bool guest_states_forks_ = false;
    u64 numbers_ = 0;
    u64 forgotten_ = 0;
};

} // namespace forkscope
