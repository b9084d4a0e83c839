#include "emu/observe/forks/fork_tracer.hpp"

#include <algorithm>

#include "emu/base/archive/containers.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr u64 kMostWorkload = 65536;
constexpr u64 kMostSaved = u64{20} << 20; // bytes of lists: a section of a snapshot holds no more than 32 MB

PagingControl control_now(const ForkTracerOptions& options) {
    return options.paging ? options.paging() : AddressSpaceReader::assumed();
}

} // namespace

void ForkTracer::State::serialize(Archive& ar) {
    FaultPool pool;
    if (!ar.loading())
        forks.trim_to(kMostSaved);
    forks.collect(pool);
    open.collect(pool);
    std::vector<FaultRef> loose;
    for (const auto& [place, fault] : loose_faults) {
        loose.push_back(fault);
        pool.emplace(fault->number, fault);
    }
    archive_faults(ar, "closed_faults", pool);
    ar.nested("context", context);
    ar.nested("stacks", stacks);
    ar.nested("faults", faults);
    ar.nested("tables", tables);
    ar.nested("writers", writers);
    ar.begin("open");
    open.serialize(ar, pool);
    ar.end();
    ar.begin("forks");
    forks.serialize(ar, pool);
    ar.end();
    ar.sequence("followed", followed, kMostLoaded);
    archive_elements(ar, "loose_faults", loose, kMostLoose,
                     [&](FaultRef& fault) { archive_fault_number(ar, "number", fault, pool); });
    if (ar.loading()) {
        loose_faults.clear();
        for (u64 place = 0; place < loose.size(); ++place)
            loose_faults.emplace(place, loose[place]);
    }
    archive_set(ar, "loaded", loaded, kMostLoaded);
    archive_map(ar, "workload", workload, kMostWorkload);
    ar.nested("settled", settled);
    ar.field("guest_states_forks", guest_states_forks);
    archive_set(ar, "doubtful", doubtful, kMostLoaded);
    ar.field("numbers", numbers);
    ar.field("since", since);
    if (ar.loading() && ar.good())
        check(ar);
}

// Numbers that refer to forks must have one.
void ForkTracer::State::check(Archive& ar) {
    std::set<u64> seen;
    for (const u64 number : followed)
        if (forks.find(number) == nullptr || !seen.insert(number).second)
            return ar.fail("a fork that is followed is not there");
    for (const OpenKind kind : {OpenKind::Call, OpenKind::EndedCall, OpenKind::Fork})
        for (const u64 id : open.of_kind(kind)) {
            const u64 published = open.at(id).published;
            if (published != 0 &&
                (kind != OpenKind::Fork || forks.find(published) == nullptr || forks.find(published)->left))
                return ar.fail("an open fork is not there");
        }
    if (!forks.empty() && numbers < forks.back().number)
        ar.fail("more forks than were counted");
}

ForkTracer::ForkTracer(const PhysicalMemory& memory, Symbolizer* symbols, ForkTracerOptions options)
    : symbols_(symbols), options_(std::move(options)), tables_(memory, options_.watch, control_now(options_)),
      writers_(memory, options_.begin_epoch) {
    tables_.set_found(
        [this](u32 frame, const EntryOwner& owner, const TraceEvent& event) { on_table_found(frame, owner, event); });
    tables_.set_lost([this](AddressSpace space) { on_space_lost(space.root); });
    tables_.set_renamed([this](AddressSpace from, AddressSpace to) { state_.open.rename(from.root, to.root); });
}

ForkTracer::State ForkTracer::state() const {
    State state = state_;
    state.tables = tables_.state();
    state.writers = writers_.state();
    state.followed = followed_.in_order();
    return state;
}

void ForkTracer::restore(const State* state) {
    state_ = state != nullptr ? *state : State{};
    at_work_since_ = {~u64{0}, 0};
    if (state == nullptr)
        state_.tables.control = control_now(options_);
    tables_.restore(state_.tables);
    writers_.restore(state_.writers);
    followed_.restore(state_.followed, state_.forks);
}

void ForkTracer::guest_ended() {
    for (const FaultRecord* fault : state_.faults.all_open())
        check_refused_write(*fault, "the process was killed, or still waited when the machine ended");
}

const ForkRecord* ForkTracer::current() const {
    const u64 open = working();
    // Of a call nobody has said yet that it is a fork.
    return open != kNone && state_.open.at(open).kind == OpenKind::Fork ? &record(open) : nullptr;
}

std::optional<ForkRecord> ForkTracer::so_far() const {
    const ForkRecord* fork = current();
    if (fork == nullptr)
        return std::nullopt;
    ForkRecord record = *fork;
    const std::vector<u32>& made = state_.open.at(working()).new_directories;
    if (record.child_directory == 0 && !made.empty())
        record.child_directory = made.back();
    if (record.parent_program.empty() && symbols_ != nullptr)
        record.parent_program = symbols_->program_of(record.parent_directory);
    record.stacks = state_.stacks.of(record.parent_directory);
    sum_up_stops(record);
    name_sides(record);
    return record;
}

RunTime ForkTracer::time_of(const TraceEvent& event) const {
    return {event.instructions, event.cycle, options_.account ? options_.account() : CycleCounters{}};
}

void ForkTracer::on_instruction(u32 address_space, u32 eip, const RunTime& before, const RunTime& after) {
    const u64 open = working();
    if (open == kNone)
        return;
    // INT n has been delivered when the system call begins: that part of it lies before.
    const RunTime& begun = state_.open.at(open).begun;
    const bool user = tables_.reader().walk(AddressSpace(address_space), LinearAddress(eip)).user();
    auto& by_instruction = edit_record(open).by_instruction;
    const std::size_t known = by_instruction.size();
    by_instruction[{user ? address_space : 0, eip}] += after - (begun.cycles > before.cycles ? begun : before);
    const bool fresh = by_instruction.size() != known;
    if (fresh && user && symbols_ != nullptr && symbols_->program_of(address_space).empty())
        symbols_->identify(tables_.reader().memory_reader(), address_space, eip);
}

void ForkTracer::on_event(const TraceEvent& event) {
    if (event.kind == TraceKind::PteWrite && !tables_.is_entry(event))
        return tables_.on_event(event);
    now_ = &event;
    if (moves_stores(event))
        settle_stores(event);
    if (moves_work(event)) {
        settle_time(event);
        if (event.kind == TraceKind::Tracepoint && (event.a == TP_MESSAGE || event.a == TP_NOTIFY))
            count_message(event);
    }
    state_.context.on_event(event);
    // The owner of an entry is asked before the map learns what the entry now says.
    EntryOwner owner;
    if (event.kind == TraceKind::PteWrite) {
        owner = tables_.locate(static_cast<u32>(event.a));
        on_pte_write(event, owner);
    }
    tables_.on_event(event);
    if (event.kind == TraceKind::PteWrite) {
        on_entry_changed(event, owner);
        on_page_gone(event, owner);
        on_table_gone(event, owner);
    }
    learn_stack(event);
    const u32 returns_to = event.kind == TraceKind::InterruptReturn ? return_offset(event) : 0;
    for (const FaultRef& fault : state_.faults.on_event(
             event, {state_.context, tables_.reader(), symbols_, state_.guest_states_forks, state_.stacks, returns_to}))
        on_fault(fault);
    switch (event.kind) {
    case TraceKind::Tracepoint:
        on_tracepoint(event);
        break;
    case TraceKind::TlbFlush:
        on_flush(event);
        break;
    case TraceKind::Cr3Load:
        on_cr3(event);
        break;
    case TraceKind::Interrupt:
        if (kInterruptFromCpl(event) == 3)
            program_began(event);
        if (is_system_call(event) && kInterruptFromCpl(event) == 3)
            system_call_begins(event);
        count_switch(event);
        break;
    case TraceKind::InterruptReturn:
        count_switch(event);
        on_return(event);
        break;
    default:
        break;
    }
    now_ = nullptr;
}

// Whose stack pointer it is, is sure where a program runs: behind a return to it, and when it faults.
void ForkTracer::learn_stack(const TraceEvent& event) {
    constexpr u32 kMostPushed = 128; // by one instruction, which may fault before the pointer moves: ENTER
    const bool fault = event.kind == TraceKind::PageFault && event.cpl == 3;
    if (!options_.stack_pointer || (!fault && (event.kind != TraceKind::InterruptReturn || event.c != 3)))
        return;
    const u32 pointer = options_.stack_pointer();
    state_.stacks.seen(event.address_space, pointer);
    const auto address = static_cast<u32>(event.a);
    if (fault && pointer - address <= kMostPushed)
        state_.stacks.seen(event.address_space, address);
}

u64 ForkTracer::find_open(u32 parent_pid, u32 child_pid) const {
    const u64 at_work = working();
    u64 best = kNone;
    for (const u64 id : state_.open.forks_of_pid(parent_pid)) {
        if (id == at_work || (child_pid != 0 && state_.open.at(id).child_pid == child_pid))
            return id;
        best = id;
    }
    return best;
}

void ForkTracer::on_process_end(u32 pid) {
    state_.workload.erase(pid);
    state_.stacks.forget(state_.context.space_of(pid));
    process_ended(pid);
    state_.faults.process_ended(pid);
    // Its system calls will not return.
    for (const u64 call : state_.open.calls_of_pid(pid))
        state_.open.remove(call);
    for (const u64 open : state_.open.forks_of_pid(pid))
        give_up(open);
}

void ForkTracer::on_tracepoint(const TraceEvent& event) {
    if (const u64 open = working(); open != kNone)
        count_in(open, [](ForkCounts& counts) { ++counts.tracepoints; });
    if (is_fork_stop(event.a) || event.a == TP_FORK_LEAVE)
        return on_fork_stop(event);
    if (event.a == TP_FRAME_FREE)
        state_.loaded.erase(space_of(event.b));
    if (event.a >= TP_FRAME_ALLOC && event.a <= TP_FRAME_COPY)
        return on_frame(event);
    const auto pid = static_cast<u32>(event.b);
    switch (event.a) {
    case TP_WORKLOAD_BEGIN:
        if (state_.workload.size() < kMostWorkload)
            state_.workload[pid] = static_cast<u32>(event.d);
        break;
    case TP_WORKLOAD_END:
        state_.workload.erase(pid);
        break;
    case TP_PROCESS_EXEC:
        // The memory of before is gone, whether the directory stays or not.
        process_ended(pid);
        space_ended(space_of(event.d));
        break;
    case TP_PROCESS_EXIT:
        on_process_end(pid);
        break;
    case TP_HEAP_ALLOC:
    case TP_HEAP_FREE:
        on_heap(event);
        break;
    case TP_SHADOW_CREATE:
    case TP_SHADOW_COLLAPSE:
    case TP_SHADOW_BYPASS:
    case TP_SHADOW_CHAIN:
        on_shadow(event);
        break;
    default:
        break;
    }
}

u64 ForkTracer::begin_stated(const TraceEvent& event) {
    state_.guest_states_forks = true;
    const auto pid = static_cast<u32>(event.b);
    const ProcessContext& context = state_.context;
    // A server may state the stops of a fork: the one who forks waits in its own system call then.
    const bool own = context.current_pid() == pid || context.current_pid() == 0;
    // It never said that it left.
    if (!own)
        for (const u64 open : state_.open.forks_of_pid(pid))
            give_up(open);
    else if (const u64 open = state_.open.fork_of(context.current()); open != kNone)
        give_up(open);
    u64 id = own ? state_.open.call_of(context.current()) : state_.open.call_of_pid(pid);
    if (id != kNone) {
        // What the system call did before it said that it is a fork belongs to it.
        id = state_.open.make_fork(id, pid);
    } else {
        OpenFork fresh;
        fresh.kind = OpenKind::Fork;
        fresh.key = own ? context.current() : ProcessContext::kNobody;
        fresh.pid = pid;
        fresh.directory = own ? event.address_space : context.space_of(pid);
        fresh.begun = state_.settled;
        fresh.record.parent_thread = own ? context.current_thread() : 0;
        fresh.record.parent_directory = fresh.directory;
        fresh.record.begin_instructions = event.instructions;
        fresh.record.begin_cycle = event.cycle;
        id = state_.open.add(std::move(fresh));
    }
    ForkRecord& record = edit_record(id);
    record.number = ++state_.numbers;
    record.stated = true;
    record.parent_pid = pid;
    record.pages_named = static_cast<u32>(event.d);
    if (const auto named = state_.workload.find(pid); named != state_.workload.end()) {
        record.in_workload = true;
        record.pages_named = record.pages_named != 0 ? record.pages_named : named->second;
    }
    if (record.parent_directory != 0)
        state_.context.set_pid(record.parent_directory, pid);
    if (const u64 oldest = state_.open.surplus(OpenKind::Fork); oldest != kNone)
        give_up(oldest);
    return id;
}

void ForkTracer::end_stop(u64 open, const TraceEvent& event) {
    ForkRecord& fork = edit_record(open);
    if (fork.stops.empty())
        return;
    ForkStop& stop = fork.stops.edit_back();
    stop.end_instructions = event.instructions;
    stop.end_cycle = event.cycle;
}

void ForkTracer::sum_up_stops(ForkRecord& record) {
    if (!record.stops.empty())
        record.spent = {};
    for (const ForkStop& stop : record.stops)
        record.spent += stop.spent;
}

void ForkTracer::begin_stop(u64 open, const TraceEvent& event, u64 reached_instructions) {
    ForkRecord& record = edit_record(open);
    if (record.stops.size() >= options_.most_entries)
        return;
    ForkStop stop;
    stop.id = static_cast<u32>(event.a);
    stop.begin_instructions = stop.end_instructions = event.instructions;
    stop.begin_cycle = stop.end_cycle = event.cycle;
    stop.reached_instructions = reached_instructions;
    stop.eip = event.eip;
    stop.callers = callers(event);
    if (symbols_ != nullptr && event.cpl == 3) {
        if (symbols_->program_of(event.address_space).empty())
            symbols_->identify(tables_.reader().memory_reader(), event.address_space, event.eip);
        stop.program = symbols_->program_of(event.address_space);
    }
    if (record.stops.empty()) {
        // The way into the kernel, and to the server that states the stop, is part of the first one.
        stop.begin_instructions = record.begin_instructions;
        stop.begin_cycle = record.begin_cycle;
        stop.spent = record.spent;
        stop.counts = record.counts;
        record.ptes.set_all(&PteChange::stop, 0);
        record.frames.set_all(&FrameChange::stop, 0);
        record.flushes.set_all(&FlushChange::stop, 0);
        record.cr3_loads.set_all(&Cr3Change::stop, 0);
    }
    record.stops.push_back(std::move(stop));
}

// 0: as before.
void ForkTracer::name_child(u64 open, u32 pid, u32 directory) {
    if (pid == 0 && directory == 0)
        return;
    state_.open.set_child(open, pid, directory);
    const OpenFork& fork = state_.open.at(open);
    if (fork.published == 0) {
        ForkRecord& record = edit_record(open);
        record.child_pid = fork.child_pid;
        record.child_directory = fork.child_directory;
        return;
    }
    const ForkRecord& record = *state_.forks.find(fork.published);
    if (record.followed)
        followed_.remove_child(record);
    state_.forks.name_child(fork.published, fork.child_pid, fork.child_directory);
    if (record.followed)
        followed_.add_child(record);
}

void ForkTracer::on_fork_stop(const TraceEvent& event) {
    u64 open = find_open(static_cast<u32>(event.b), static_cast<u32>(event.c));
    if (event.a == TP_FORK_ENTER || open == kNone) {
        if (event.a == TP_FORK_LEAVE)
            return;
        open = begin_stated(event);
    }
    // Said once more, now with the directory: the same stop goes on.
    const SharedVector<ForkStop>& stops = record(open).stops;
    const bool goes_on = !stops.empty() && stops.back().id == event.a;
    if (!goes_on)
        end_stop(open, event);
    const u32 stated = stated_directory(event);
    name_child(open, static_cast<u32>(event.c), stated != 0 ? space_of(stated) : 0);
    if (const ForkRecord& named = record(open); stated != 0 && named.child_pid != 0)
        state_.context.set_pid(named.child_directory, named.child_pid);
    const bool born = event.a == TP_FORK_RUNNABLE || event.a == TP_FORK_LEAVE;
    const ForkRecord& fork = record(open);
    if (born && fork.in_workload && fork.child_pid != 0 && state_.workload.size() < kMostWorkload)
        state_.workload.emplace(fork.child_pid, 0);
    if (event.a == TP_FORK_LEAVE) {
        edit_record(open).result = static_cast<i32>(event.d);
        leave(open, event);
        return;
    }
    if (!goes_on)
        begin_stop(open, event, event.instructions + 1);
    state_.open.set_helper(open, ProcessContext::kNobody);
    if (working() != open)
        state_.open.set_helper(open, state_.context.current());
}

void ForkTracer::leave(u64 open, const TraceEvent& event) {
    ForkRecord& record = edit_record(open);
    record.left = true;
    record.left_instructions = event.instructions;
    record.left_cycle = event.cycle;
    record.failed = record.result < 0;
    sum_up_stops(record);
    if (record.child_directory == 0 && !record.failed) {
        // The guest did not say where the child's directory lies; the hardware showed it being made.
        if (const std::vector<u32>& made = state_.open.at(open).new_directories; !made.empty())
            name_child(open, 0, made.back());
        else
            record.findings.push_back("the child's page directory is not known: its pages cannot be followed");
    }
    const OpenFork left = state_.open.at(open);
    if (!left.unflushed.empty())
        record.findings.push_back(fmt::format("{} pages of the parent were write-protected without a flush after it: "
                                              "a stale translation may still let it write (first: {:#010x})",
                                              left.unflushed.size(), *left.unflushed.begin()));
    if (record.settled) {
        name_sides(record); // of what came after
        if (!record.followed)
            state_.forks.rest(record.number, options_.keep);
        state_.open.remove(open);
        return;
    }
    ForkRecord& fork = publish(open);
    state_.open.remove(open);
    if (!fork.failed)
        return settle(fork, left.protects, user_pages(fork.parent_directory));
    fork.followed = false;
    state_.forks.rest(fork.number, options_.keep);
}

void ForkTracer::name_sides(ForkRecord& record) {
    for (std::size_t at = 0; at < record.ptes.size(); ++at) {
        const PteChange& change = record.ptes[at];
        const ForkSide side = change.directory == 0                         ? ForkSide::Unknown
                              : change.directory == record.child_directory  ? ForkSide::Child
                              : change.directory == record.parent_directory ? ForkSide::Parent
                                                                            : ForkSide::Other;
        if (change.side != side)
            record.ptes.edit(at).side = side;
    }
}

// A fork that nobody will come back from.
void ForkTracer::give_up(u64 open) {
    const u64 published = state_.open.at(open).published;
    state_.open.remove(open);
    if (published == 0)
        return;
    ForkRecord& fork = state_.forks.edit(published);
    fork.left = true;
    if (!fork.followed)
        state_.forks.rest(published, options_.keep);
}

// As long as it lives.
void ForkTracer::know_maker(ForkRecord& record) const {
    record.stacks = state_.stacks.of(record.parent_directory);
    if (symbols_ != nullptr)
        record.parent_program = symbols_->program_of(record.parent_directory);
    // A process keeps its pid through exec, but not its directory.
    if (record.parent_pid != 0)
        record.made_parent = state_.forks.maker_of_pid(record.parent_pid);
    const u64 maker = state_.forks.maker_of_directory(record.parent_directory);
    const ForkRecord* made = maker > record.made_parent ? state_.forks.find(maker) : nullptr;
    if (made != nullptr && !made->child_ended && (record.parent_pid == 0 || made->child_pid == 0))
        record.made_parent = maker;
}

// Puts the record among those that everybody sees, where it lives from now on.
ForkRecord& ForkTracer::publish(u64 open) {
    ForkRecord record = std::move(edit_record(open));
    if (record.number == 0)
        record.number = ++state_.numbers;
    name_sides(record);
    const bool maker_lives = state_.open.at(open).maker_ended == 0;
    if (maker_lives)
        know_maker(record);
    if (symbols_ != nullptr && record.child_directory != 0) {
        if (maker_lives)
            symbols_->bind_like(record.child_directory, record.parent_directory);
        else
            static_cast<void>(symbols_->bind(record.child_directory, record.parent_program));
    }
    record.followed = true;
    state_.open.edit(open).published = record.number;
    if (fork_listener_)
        fork_listener_(record);
    return state_.forks.add(std::move(record));
}

void ForkTracer::on_frame(const TraceEvent& event) {
    const u64 open = working();
    if (open == kNone)
        return;
    FrameChange change;
    change.instructions = event.instructions;
    change.cycle = event.cycle;
    change.frame = static_cast<u32>(event.b);
    change.use = static_cast<u32>(event.d);
    change.stop = static_cast<int>(record(open).stops.size()) - 1;
    u64 ForkCounts::*counter = nullptr;
    switch (event.a) {
    case TP_FRAME_ALLOC:
        change.act = FrameAct::Allocated;
        counter = &ForkCounts::frames_allocated;
        break;
    case TP_FRAME_FREE:
        change.act = FrameAct::Freed;
        counter = &ForkCounts::frames_freed;
        break;
    case TP_FRAME_SHARE:
        change.act = FrameAct::Shared;
        counter = &ForkCounts::frames_shared;
        break;
    case TP_FRAME_RELEASE:
        change.act = FrameAct::Released;
        counter = &ForkCounts::frames_released;
        break;
    default:
        change.act = FrameAct::Copied;
        counter = &ForkCounts::frames_copied;
    }
    if (change.act == FrameAct::Copied)
        change.copy = static_cast<u32>(event.c);
    else
        change.references = static_cast<u32>(event.c);
    count_in(open, [&](ForkCounts& counts) { ++(counts.*counter); });
    ForkRecord& fork = edit_record(open);
    if (fork.frames.size() < options_.most_entries)
        fork.frames.push_back(change);
    else
        fork.trimmed = true;
}

} // namespace forkscope
