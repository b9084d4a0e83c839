// Owns: the fold of trace events into one ForkRecord per fork, from what the guest states and what the hardware shows.
// Callers: attach as a TraceSink; read forks() at any time between events. Promises: nothing that the guest or a hash
// can see changes (it peeks, asks to see stores into tables, and begins epochs of memory); works without tracepoints;
// its state is a value that can be kept and put back; memory is bounded, and time is linear in the events.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "emu/base/checkpoint_part.hpp"
#include "emu/base/trace.hpp"
#include "emu/observe/faults/fault_tracker.hpp"
#include "emu/observe/forks/followed_forks.hpp"
#include "emu/observe/forks/fork_store.hpp"
#include "emu/observe/forks/open_forks.hpp"
#include "emu/observe/processes/program_stacks.hpp"
#include "emu/observe/tables/frame_writers.hpp"
#include "emu/observe/tables/table_map.hpp"

namespace forkscope {

struct ForkTracerOptions {
    ForkStore::Limits keep = {};
    std::size_t most_entries = 1u << 18; // of each list of one fork
    std::size_t most_active = 256;       // forks that may still receive faults
    TableMap::Watch watch = {};
    // The control registers as they stand: asked when the tracer is attached, and when a machine is restored that was
    // saved without a tracer. Empty: AddressSpaceReader::assumed().
    std::function<PagingControl()> paging = {};
    // The running CPU's EBP at the moment of the event: tells who called what wrote an entry. May be empty.
    std::function<u32()> frame_pointer = {};
    // Where its stack pointer points, linear, at the moment of the event. Empty: no memory is known to be a stack.
    std::function<u32()> stack_pointer = {};
    // The base of its CS at the moment of the event: where an interrupt came from is said without it. Empty: 0.
    std::function<u32()> code_base = {};
    // PhysicalMemory::begin_epoch: who stored into which frame, for kernels that do not say what they do. May be empty.
    std::function<u32()> begin_epoch = {};
    // The CPU's cycles by cause so far, at the moment of an event. May be empty.
    std::function<CycleCounters()> account = {};
    // The pid of the process whose space is in force, where the guest does not say: from a fork profile. May be empty.
    std::function<std::optional<u32>()> current_pid = {};
};

class ForkTracer : public TraceSink {
  public:
    using FaultListener = std::function<void(const FaultRef&)>;

    // All that a tracer has learned from the events so far.
    struct State {
        ProcessContext context;
        ProgramStacks stacks;
        FaultTracker faults;
        TableMap::State tables;
        FrameWriters::State writers;
        OpenForks open;
        ForkStore forks;
        std::vector<u64> followed; // in the order in which they came to be followed
        // Copy-on-write faults that no known fork explains yet, in the order of their end.
        SharedMap<u64, FaultRef> loose_faults;
        SharedSet<u32> loaded;        // directories that were in CR3 once
        SharedMap<u32, u32> workload; // parameter by pid; children inherit the membership
        RunTime settled;              // all time up to here is somebody's
        bool guest_states_forks = false;
        SharedSet<u64> doubtful; // forks with a page that is in doubt
        u64 numbers = 0;
        u64 since = 0; // instructions at the last moment that stores were settled at

        void serialize(Archive& ar);
        auto held() const {
            return std::tie(context, stacks, faults, tables, writers, open, forks, followed, loose_faults, loaded,
                            workload, doubtful);
        }

      private:
        void check(Archive& ar);
    };

    // `memory` is looked at during events only. Symbols may be null.
    ForkTracer(const PhysicalMemory& memory, Symbolizer* symbols, ForkTracerOptions options = {});

    TraceKinds kinds() const override { return ~kTranslationKinds; }
    TraceKinds looks_at() const override { return kinds() & ~trace_kinds({TraceKind::AccessedDirty}); }
    void on_event(const TraceEvent& event) override;

    // All remembered forks in the order of their beginning.
    const ForkStore& forks() const { return state_.forks; }
    const ForkRecord* fork(u64 number) const { return state_.forks.find(number); }
    // The fork that the thread now running is inside of, or works for as a server, if any; and the one that began last.
    const ForkRecord* current() const;
    // Up to when all time is in the records; what has passed since is that of current().
    Cycles accounted() const { return state_.settled.cycles; }
    const ForkRecord* last() const { return state_.forks.empty() ? nullptr : &state_.forks.back(); }
    // What current() would read if it ended here: the child as far as it shows, whose page each entry maps, the time so
    // far.
    std::optional<ForkRecord> so_far() const;
    u64 forgotten() const { return state_.forks.forgotten(); }

    // The guest states nothing, but its fork profile says that a stop begins here: the event is the tracepoint that
    // would. Of a system call that turns out to be no fork nothing is left of it.
    void on_profile_stop(const TraceEvent& event);

    // For a profile by function: the instruction at `eip` ran from one time to the other (both since power-on); it
    // counts for the fork that its thread is in or works for.
    void on_instruction(u32 address_space, u32 eip, const RunTime& before, const RunTime& after);

    // Every closed fault, also those outside of forks.
    void set_fault_listener(FaultListener listener) { fault_listener_ = std::move(listener); }
    // Each fork that becomes known: one that the guest states when it leaves or the child runs, another when the child
    // runs.
    void set_fork_listener(std::function<void(const ForkRecord&)> listener) { fork_listener_ = std::move(listener); }
    const TableMap& tables() const { return tables_; }
    const ProcessContext& context() const { return state_.context; }
    const ProgramStacks& stacks() const { return state_.stacks; }
    const FaultTracker& faults() const { return state_.faults; }
    Symbolizer* symbols() const { return symbols_; }

    // The state now; and back to one, or to nothing known, as if attached now. The memory is restored already.
    State state() const;
    void restore(const State* state);
    // The guest has ended the machine: what was under way stays so, and is looked at.
    void guest_ended();
    CheckpointPart checkpoint_part() { return forkscope::checkpoint_part("forks", 7, *this); }

  private:
    static constexpr u64 kNone = OpenForks::kNone;
    static constexpr std::size_t kMostLoaded = 65536; // directories remembered as loaded: more than a guest has alive
    static constexpr std::size_t kMostLoose = 1024;   // faults that may still turn out to belong to a fork

    // fork_tracer.cpp
    RunTime time_of(const TraceEvent& event) const;
    void learn_stack(const TraceEvent& event);
    void on_tracepoint(const TraceEvent& event);
    void on_fork_stop(const TraceEvent& event);
    void on_frame(const TraceEvent& event);
    void on_process_end(u32 pid);
    u64 begin_stated(const TraceEvent& event);
    void begin_stop(u64 open, const TraceEvent& event, u64 reached_instructions);
    void end_stop(u64 open, const TraceEvent& event);
    static void sum_up_stops(ForkRecord& record);
    void name_child(u64 open, u32 pid, u32 directory);
    void leave(u64 open, const TraceEvent& event);
    void give_up(u64 open);
    u64 find_open(u32 parent_pid, u32 child_pid) const;
    // fork_tables.cpp: what is done to page tables and translations inside a fork
    void on_pte_write(const TraceEvent& event, const EntryOwner& owner);
    void on_table_found(u32 frame, const EntryOwner& owner, const TraceEvent& event);
    void on_space_lost(u32 directory);
    void on_flush(const TraceEvent& event);
    void on_cr3(const TraceEvent& event);
    void add_pte(u64 open, PteChange change);
    void protect_by_split(u64 open, const PteChange& change);
    void protect_piece(u64 open, u32 linear, u64 entry);
    std::array<u32, 3> callers(const TraceEvent& event) const;
    u32 pid_in(u32 directory) const;
    // Where an interrupt returns to, in CS: as its delivery says where it came from.
    u32 return_offset(const TraceEvent& event) const {
        return static_cast<u32>(event.a) - (options_.code_base ? options_.code_base() : 0);
    }
    u32 space_of(u64 cr3) const { return tables_.reader().space_of(cr3).root; }
    u32 large_bytes() const { return tables_.reader().geometry().large_bytes(); }
    u32 bytes_at(u8 level) const { // that an entry maps
        return level == 2 ? tables_.reader().geometry().large_bytes() : kPageSize;
    }
    // fork_account.cpp: whose time and whose events
    // The open fork or system call that the running thread is in, or works for as a server; or a process. kNone: none.
    u64 working() const;
    u64 find_work() const;
    u64 work_of(u32 pid) const;
    const ForkRecord& record(u64 open) const;
    ForkRecord& edit_record(u64 open);
    static bool moves_work(const TraceEvent& event);
    void settle_time(const TraceEvent& event);
    void count_message(const TraceEvent& event);
    void count_switch(const TraceEvent& event);
    void on_heap(const TraceEvent& event);
    void on_shadow(const TraceEvent& event);
    template <class Count> void count_in(u64 open, Count count) {
        ForkRecord& fork = edit_record(open);
        count(fork.counts);
        if (!fork.stops.empty())
            count(fork.stops.edit_back().counts);
    }
    void know_maker(ForkRecord& record) const;
    ForkRecord& publish(u64 open);
    static void name_sides(ForkRecord& record);

    // fork_sharing.cpp: after the fork
    void settle(ForkRecord& fork, const SharedSet<u32>& protects, const PageTableView& parent);
    void share_pages(ForkRecord& fork, const SharedSet<u32>& protects, const PageTableView& parent,
                     const PageTableView& child);
    void begin_following(ForkRecord& fork);
    void child_runs_early(u64 open, const TraceEvent& event);
    void check_rights(ForkRecord& fork);
    bool was_copy_on_write(const ForkRecord& fork, u32 page, u32 frame) const;
    void on_fault(const FaultRef& fault);
    void share_fault(const FaultRef& fault, bool attached);
    // What a fault on either side comes from: that this fork shared the page, or anything else.
    enum class Cause : u8 { Sharing, Other };
    void attach_fault(ForkRecord& fork, const FaultRef& fault, ForkSide side, Cause cause);
    void on_entry_changed(const TraceEvent& event, const EntryOwner& owner);
    void reconsider(u64 number, u32 page);
    bool split_if_mapped_by_pieces(ForkRecord& fork, u32 page);
    bool is_protected(const SharedSet<u32>& protects, const PageEntry& page) const;
    void share_page(ForkRecord& fork, const SharedSet<u32>& protects, const PageEntry& page, const PageEntry& other);
    void check_refused_write(const FaultRecord& fault, const char* outcome);
    void check_store_into_shared(u32 frame);
    static void add_finding(ForkRecord& fork, std::string finding);
    void doubt(u64 number, u32 page, u8 what);
    void see_alive(u32 directory);
    void confirm(ForkRecord& fork, u32 page, SharedPage& shared);
    void process_ended(u32 pid);
    void space_ended(u32 directory);
    void end_sides(ForkRecord& fork, bool parent, bool child);
    void check_private(ForkRecord& fork);
    void follow(ForkRecord& fork);
    void unfollow(ForkRecord& fork);

    // fork_detection.cpp: without tracepoints
    void system_call_begins(const TraceEvent& event);
    void on_return(const TraceEvent& event);
    void name_running_child(u32 directory);
    void first_load(u32 directory, const TraceEvent& event);
    static bool moves_stores(const TraceEvent& event);
    bool asks_for_stores() const;
    void settle_stores(const TraceEvent& event);
    void discover_spaces(const std::vector<u32>& frames, const TraceEvent& event);
    void discover_pointers(const std::vector<u32>& frames, const std::function<bool(AddressSpace)>& has_code,
                           const TraceEvent& event);
    u64 builder_of(u32 directory) const;
    void merge_into_builder(u64 call);
    struct Likeness;
    Likeness compare(const OpenFork& call, const PageTableView& parent, const PageTableView& child) const;
    bool copied_from_hidden(const OpenFork& call, const PageEntry& page) const;
    void compare_piece(const OpenFork& call, const PageEntry& page, const PageEntry* other, Likeness& likeness) const;
    PageTableView parent_at_return(const OpenFork& call, std::optional<std::pair<u64, u64>> before) const;
    bool keep_sides(u64 call, u32 child, std::optional<std::pair<u64, u64>> before);
    void drop_sides(u64 call);
    void on_page_gone(const TraceEvent& event, const EntryOwner& owner);
    bool adopt(u64 call, u32 child, const TraceEvent& event);
    bool stack_returns(const OpenFork& call, u32 space) const;
    void program_begins(const TraceEvent& event);
    void program_began(const TraceEvent& event);
    void become_fork(u64 call, const TraceEvent& event);
    void add_unseen_entries(u64 call, const PageTableView& child, const TraceEvent& event);
    void share_left_pages(ForkRecord& fork, const PageTableView& child);
    void catch_up(ForkRecord& fork, u64 maker_ended);
    void on_table_gone(const TraceEvent& event, const EntryOwner& owner);
    void end_if_empty(u32 directory);
    void forget_calls(u32 directory);
    // `before`: the entry that was just written, and its value before.
    PageTableView user_pages(u32 directory, std::optional<std::pair<u64, u64>> before = {}) const;

    Symbolizer* symbols_;
    ForkTracerOptions options_;
    TableMap tables_;
    FaultListener fault_listener_;
    std::function<void(const ForkRecord&)> fork_listener_;
    FrameWriters writers_;
    State state_; // `tables`, `writers` and `followed` stand in the members of those names
    FollowedForks followed_;
    const TraceEvent* now_ = nullptr;
    // What working() said last, and when: as the context and the open forks count their changes.
    mutable u64 at_work_ = kNone;
    mutable std::pair<u64, u64> at_work_since_{~u64{0}, 0};
};

} // namespace forkscope
