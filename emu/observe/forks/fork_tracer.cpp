#include "emu/observe/forks/fork_tracer.hpp"

#include <algorithm>

#include "emu/base/trace_vocabulary.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr u32 kFrameMask = ~kPageMask;

bool takes_write_right(u64 old_value, u64 new_value) {
    return (old_value & kPtePresent) != 0 && (new_value & kPtePresent) != 0 && (old_value & kPteWritable) != 0 &&
           (new_value & kPteWritable) == 0 && ((old_value ^ new_value) & kPteFrame) == 0;
}

} // namespace

ForkTracer::ForkTracer(const PhysicalMemory& memory, Symbolizer* symbols, ForkTracerOptions options)
    : symbols_(symbols), options_(std::move(options)), tables_(memory, options_.watch, options_.paging),
      places_(symbols, options_.layout) {
    tables_.set_found(
        [this](u32 frame, const EntryOwner& owner, const TraceEvent& event) { on_table_found(frame, owner, event); });
}

const ForkRecord* ForkTracer::fork(u64 number) const {
    for (const ForkRecord& record : forks_)
        if (record.number == number)
            return &record;
    return nullptr;
}

const ForkRecord* ForkTracer::current() const {
    const Open* work = working();
    for (const Open& open : open_)
        if (&open == work)
            return &open.record;
    return nullptr; // nothing, or a call of which nobody has said yet that it is a fork
}

void ForkTracer::on_instruction(u32 address_space, u32 eip, const RunTime& before, const RunTime& after) {
    Open* open = working();
    if (open == nullptr)
        return;
    // INT n has been delivered when the system call begins: that part of it lies before.
    const bool began_in_it = open->begun.cycles > before.cycles;
    const bool user = options_.layout.is_user(eip);
    const auto [place, fresh] = open->record.by_instruction.try_emplace({user ? address_space : 0, eip});
    place->second += after - (began_in_it ? open->begun : before);
    if (fresh && user && symbols_ != nullptr && symbols_->program_of(address_space).empty())
        symbols_->identify(tables_.reader().memory_reader(), address_space, eip);
}

void ForkTracer::on_event(const TraceEvent& event) {
    if (event.kind == TraceKind::PteWrite && !tables_.is_entry(event))
        return tables_.on_event(event);
    now_ = &event;
    if (moves_work(event)) {
        settle_time(event);
        if (event.kind == TraceKind::Tracepoint && (event.a == TP_MESSAGE || event.a == TP_NOTIFY))
            count_message(event);
    }
    context_.on_event(event);
    // The owner of an entry is asked before the map learns what the entry now says.
    if (event.kind == TraceKind::PteWrite)
        on_pte_write(event);
    tables_.on_event(event);
    for (const FaultRef& fault : faults_.on_event(event, {context_, tables_.reader(), places_, options_.layout}))
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
        if (is_system_call(event) && options_.layout.is_user(static_cast<u32>(event.d)))
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

ForkTracer::OpenList::iterator ForkTracer::find_open(u32 parent_pid, u32 child_pid) {
    auto best = open_.end();
    for (auto open = open_.begin(); open != open_.end(); ++open) {
        if (open->record.parent_pid != parent_pid)
            continue;
        if (&*open == working() || (child_pid != 0 && open->record.child_pid == child_pid))
            return open;
        best = open;
    }
    return best;
}

void ForkTracer::on_tracepoint(const TraceEvent& event) {
    if (Open* open = working(); open != nullptr)
        count_in(open->record, [](ForkCounts& counts) { ++counts.tracepoints; });
    const u32 directory = space_of(event.d);
    if (is_fork_stop(event.a) || event.a == TP_FORK_LEAVE)
        return on_fork_stop(event);
    if (event.a == TP_FRAME_FREE)
        loaded_.erase(space_of(event.b));
    if (event.a >= TP_FRAME_ALLOC && event.a <= TP_FRAME_COPY)
        return on_frame(event);
    switch (event.a) {
    case TP_WORKLOAD_BEGIN:
        workload_[static_cast<u32>(event.b)] = static_cast<u32>(event.d);
        break;
    case TP_WORKLOAD_END:
        workload_.erase(static_cast<u32>(event.b));
        break;
    case TP_PROCESS_EXEC:
        // The memory of before is gone, whether the directory stays or not.
        process_ended(static_cast<u32>(event.b));
        space_ended(directory);
        break;
    case TP_PROCESS_EXIT:
        workload_.erase(static_cast<u32>(event.b));
        process_ended(static_cast<u32>(event.b));
        faults_.process_ended(static_cast<u32>(event.b));
        // Its system calls will not return.
        calls_.remove_if([pid = static_cast<u32>(event.b)](const Open& call) { return call.record.parent_pid == pid; });
        give_up([pid = static_cast<u32>(event.b)](const Open& open) { return open.record.parent_pid == pid; });
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

void ForkTracer::begin_stated(const TraceEvent& event) {
    guest_states_forks_ = true;
    const auto pid = static_cast<u32>(event.b);
    // A server may state the stops of a fork: the one who forks waits in its own system call then.
    const bool own = context_.current_pid() == pid || context_.current_pid() == 0;
    const auto in_question = [&](const Open& call) {
        return own ? call.key == context_.current() : call.record.parent_pid == pid;
    };
    give_up(in_question); // it never said that it left
    const auto call = std::find_if(calls_.begin(), calls_.end(), in_question);
    if (call != calls_.end()) {
        // What the system call did before it said that it is a fork belongs to it.
        open_.splice(open_.end(), calls_, call);
    } else {
        Open fresh;
        fresh.key = own ? context_.current() : ProcessContext::kNobody;
        fresh.begun = settled_;
        fresh.record.parent_thread = own ? context_.current_thread() : 0;
        fresh.record.parent_directory = own ? event.address_space : context_.space_of(pid);
        fresh.record.begin_instructions = event.instructions;
        fresh.record.begin_cycle = event.cycle;
        open_.push_back(std::move(fresh));
    }
    ForkRecord& record = open_.back().record;
    record.number = ++numbers_;
    record.stated = true;
    record.parent_pid = pid;
    record.pages_named = static_cast<u32>(event.d);
    if (const auto named = workload_.find(pid); named != workload_.end()) {
        record.in_workload = true;
        record.pages_named = record.pages_named != 0 ? record.pages_named : named->second;
    }
    if (record.parent_directory != 0)
        context_.set_pid(record.parent_directory, pid);
}

void ForkTracer::end_stop(Open& open, const TraceEvent& event) {
    if (open.record.stops.empty())
        return;
    ForkStop& stop = open.record.stops.back();
    stop.end_instructions = event.instructions;
    stop.end_cycle = event.cycle;
}

void ForkTracer::begin_stop(Open& open, const TraceEvent& event) {
    ForkRecord& record = open.record;
    if (record.stops.size() >= options_.most_entries)
        return;
    ForkStop stop;
    stop.id = static_cast<u32>(event.a);
    stop.begin_instructions = stop.end_instructions = event.instructions;
    stop.begin_cycle = stop.end_cycle = event.cycle;
    stop.eip = event.eip;
    stop.callers = callers(event);
    if (symbols_ != nullptr && options_.layout.is_user(event.eip)) {
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
        const auto adopt_all = [](auto& changes) {
            for (auto& change : changes)
                change.stop = 0;
        };
        adopt_all(record.ptes);
        adopt_all(record.frames);
        adopt_all(record.flushes);
        adopt_all(record.cr3_loads);
    }
    record.stops.push_back(std::move(stop));
}

void ForkTracer::on_fork_stop(const TraceEvent& event) {
    const auto parent_pid = static_cast<u32>(event.b);
    const auto child_pid = static_cast<u32>(event.c);
    auto open = find_open(parent_pid, child_pid);
    if (event.a == TP_FORK_ENTER || open == open_.end()) {
        if (event.a == TP_FORK_LEAVE)
            return;
        begin_stated(event);
        open = std::prev(open_.end());
    }
    ForkRecord& record = open->record;
    // Said once more, now with the directory: the same stop goes on.
    const bool goes_on = !record.stops.empty() && record.stops.back().id == event.a;
    if (!goes_on)
        end_stop(*open, event);
    if (child_pid != 0)
        record.child_pid = child_pid;
    if (const u32 directory = stated_directory(event); directory != 0) {
        record.child_directory = space_of(directory);
        if (record.child_pid != 0)
            context_.set_pid(record.child_directory, record.child_pid);
    }
    const bool born = event.a == TP_FORK_RUNNABLE || event.a == TP_FORK_LEAVE;
    if (born && record.in_workload && record.child_pid != 0 && workload_.size() < options_.keep_forks)
        workload_.emplace(record.child_pid, 0);
    if (event.a == TP_FORK_LEAVE) {
        record.result = static_cast<i32>(event.d);
        leave(open, event);
        return;
    }
    if (!goes_on)
        begin_stop(*open, event);
    open->helper = ProcessContext::kNobody;
    if (working() != &*open)
        open->helper = context_.current();
}

void ForkTracer::leave(OpenList::iterator open, const TraceEvent& event) {
    ForkRecord& record = open->record;
    record.left = true;
    record.left_instructions = event.instructions;
    record.left_cycle = event.cycle;
    record.failed = record.result < 0;
    if (!record.stops.empty())
        record.spent = {};
    for (const ForkStop& stop : record.stops)
        record.spent += stop.spent;
    if (record.child_directory == 0 && !record.failed) {
        // The guest did not say where the child's directory lies; the hardware showed it being made.
        for (u32 directory : open->new_directories)
            record.child_directory = directory;
        if (record.child_directory == 0)
            record.findings.push_back("the child's page directory is not known: its pages cannot be followed");
    }
    if (!open->unflushed.empty())
        record.findings.push_back(fmt::format("{} pages of the parent were write-protected without a flush after it: "
                                              "a stale translation may still let it write (first: {:#010x})",
                                              open->unflushed.size(), *open->unflushed.begin()));
    if (record.settled) {
        name_sides(record); // of what came after
        open_.erase(open);
        return;
    }
    ForkRecord& fork = publish(*open);
    const std::set<u32> protects = std::move(open->protects);
    open_.erase(open);
    if (fork.failed)
        fork.followed = false;
    else
        settle(fork, protects, user_half(fork.parent_directory));
}

void ForkTracer::name_sides(ForkRecord& record) {
    for (PteChange& change : record.ptes)
        change.side = change.directory == 0                         ? ForkSide::Unknown
                      : change.directory == record.child_directory  ? ForkSide::Child
                      : change.directory == record.parent_directory ? ForkSide::Parent
                                                                    : ForkSide::Other;
}

// Forks that nobody will come back from.
template <class Predicate> void ForkTracer::give_up(Predicate which) {
    for (auto open = open_.begin(); open != open_.end();) {
        const auto next = std::next(open);
        if (which(*open)) {
            open->record.left = true;
            open_.erase(open);
        }
        open = next;
    }
}

// Puts the record among those that everybody sees; it stays the open fork's own until that has left.
ForkRecord& ForkTracer::publish(Open& open) {
    ForkRecord& record = open.record;
    if (record.number == 0)
        record.number = ++numbers_;
    name_sides(record);
    if (symbols_ != nullptr) {
        record.parent_program = symbols_->program_of(record.parent_directory);
        if (record.child_directory != 0) {
            symbols_->bind_like(record.child_directory, record.parent_directory);
            places_.forget(record.child_directory);
        }
    }
    for (const ForkRecord& earlier : forks_)
        // A process keeps its pid through exec, but not its directory.
        if (record.parent_pid != 0 && earlier.child_pid != 0
                ? earlier.child_pid == record.parent_pid
                : earlier.child_directory == record.parent_directory && !earlier.child_ended)
            record.made_parent = earlier.number;
    auto place = forks_.end();
    while (place != forks_.begin() && std::prev(place)->number > record.number)
        --place;
    forks_.splice(place, open.node);
    record.followed = true;
    trim();
    return record;
}

// Old forks first lose their lists, then their place. Those that may still receive faults are spared.
void ForkTracer::trim() {
    std::size_t whole = forks_.size();
    for (auto fork = forks_.begin(); fork != forks_.end();) {
        const bool in_use = &*fork == &forks_.back() || fork->followed || !fork->left;
        if (whole > options_.keep_whole && !in_use && (!fork->ptes.empty() || !fork->faults.empty())) {
            fork->trimmed = true;
            fork->ptes = {};
            fork->frames = {};
            fork->flushes = {};
            fork->faults = {};
            fork->shared.clear();
            fork->differences = {};
        }
        --whole;
        if (forks_.size() > options_.keep_forks && !in_use) {
            fork = forks_.erase(fork);
            ++forgotten_;
        } else {
            ++fork;
        }
    }
}

void ForkTracer::add_pte(Open& open, PteChange change) {
    ForkRecord& record = open.record;
    change.stop = static_cast<int>(record.stops.size()) - 1;
    const bool protects = change.written && takes_write_right(change.old_value, change.new_value);
    count_in(record, [&](ForkCounts& counts) {
        counts.pte_writes += change.written ? 1 : 0;
        counts.pte_found += change.written ? 0 : 1;
        counts.pte_protects += protects ? 1 : 0;
    });
    const u32 own = record.parent_directory;
    if (protects && change.level == 1 && options_.layout.is_user(change.linear) && change.directory == own) {
        open.protects.insert(change.linear);
        // Where another space is loaded, the parent's translations went when it was.
        if (now_->address_space == own)
            open.unflushed.insert(change.linear);
    }
    // A fresh table is cleared entry by entry: counted, not listed.
    const bool changes = change.old_value != change.new_value;
    const bool clears = change.new_value == 0 && (change.old_value & kPtePresent) == 0;
    if (!changes || clears)
        return;
    if (record.ptes.size() < options_.most_entries)
        record.ptes.push_back(change);
    else
        record.trimmed = true;
}

// Follows the chain of saved frame pointers: {saved EBP, return address} at each. The kernel's stay in the kernel, and
// a program's in the program.
std::array<u32, 3> ForkTracer::callers(const TraceEvent& event) const {
    std::array<u32, 3> found{};
    const bool kernel = options_.layout.is_kernel(event.eip);
    u32 frame = options_.frame_pointer ? options_.frame_pointer() : 0;
    for (u32& caller : found) {
        std::array<u32, 2> words;
        if (options_.layout.is_kernel(frame) != kernel || frame % 4 != 0 ||
            !tables_.reader().read(AddressSpace(event.address_space), LinearAddress(frame),
                                   {reinterpret_cast<u8*>(words.data()), sizeof words}) ||
            options_.layout.is_kernel(words[1]) != kernel || words[0] <= frame)
            break;
        caller = words[1];
        frame = words[0];
    }
    return found;
}

void ForkTracer::on_pte_write(const TraceEvent& event) {
    Open* open = working();
    if (open == nullptr)
        return;
    PteChange change;
    change.instructions = event.instructions;
    change.cycle = event.cycle;
    change.entry_address = static_cast<u32>(event.a);
    change.old_value = event.b;
    change.new_value = event.c;
    change.eip = event.eip;
    change.callers = callers(event);
    const EntryOwner owner = tables_.locate(change.entry_address);
    change.directory = owner.space.root;
    change.linear = static_cast<u32>(owner.linear.value);
    change.level = owner.space != AddressSpace() ? owner.level : static_cast<u8>(event.d);
    change.bytes = bytes_at(change.level);
    if (change.directory != 0 && change.directory != open->record.parent_directory) {
        open->foreign.insert(change.directory);
        // Somebody builds a space there: its next load counts as its first.
        loaded_.erase(change.directory);
    }
    add_pte(*open, change);
}

// A table that becomes known in the middle of a fork: what it holds already was written before anybody looked.
void ForkTracer::on_table_found(u32 frame, const EntryOwner& owner, const TraceEvent& event) {
    Open* open = working();
    if (open == nullptr || owner.space.root == open->record.parent_directory)
        return;
    if (owner.level == 2)
        open->new_directories.push_back(owner.space.root);
    const AddressSpaceReader& reader = tables_.reader();
    const u32 width = reader.geometry().entry_bytes;
    for (u32 i = 0; i < reader.geometry().entries(); ++i) {
        PteChange change;
        change.new_value = reader.entry(u64{frame} + i * width);
        if ((change.new_value & kPtePresent) == 0)
            continue;
        change.instructions = event.instructions;
        change.cycle = event.cycle;
        change.entry_address = frame + i * width;
        change.directory = owner.space.root;
        change.bytes = bytes_at(owner.level);
        change.linear = static_cast<u32>(owner.linear.value) + i * change.bytes;
        change.level = owner.level;
        change.written = false;
        add_pte(*open, change);
    }
}

void ForkTracer::on_frame(const TraceEvent& event) {
    Open* open = working();
    if (open == nullptr)
        return;
    FrameChange change;
    change.instructions = event.instructions;
    change.cycle = event.cycle;
    change.frame = static_cast<u32>(event.b);
    change.use = static_cast<u32>(event.d);
    change.stop = static_cast<int>(open->record.stops.size()) - 1;
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
    ForkRecord& record = open->record;
    count_in(record, [&](ForkCounts& counts) { ++(counts.*counter); });
    if (record.frames.size() < options_.most_entries)
        record.frames.push_back(change);
    else
        record.trimmed = true;
}

void ForkTracer::on_flush(const TraceEvent& event) {
    const auto reason = static_cast<TlbFlushReason>(event.a);
    Open* open = working();
    if (open == nullptr || reason == TlbFlushReason::PageFault)
        return;
    ForkRecord& record = open->record;
    const bool one_page = reason == TlbFlushReason::Invlpg;
    if (one_page)
        open->unflushed.erase(static_cast<u32>(event.b) & kFrameMask);
    else
        open->unflushed.clear();
    count_in(record, [&](ForkCounts& counts) {
        ++counts.flushes;
        counts.entries_dropped += event.c;
    });
    if (record.flushes.size() < options_.most_entries)
        record.flushes.push_back({event.instructions, event.cycle, static_cast<u32>(event.a),
                                  one_page ? static_cast<u32>(event.b) : 0, static_cast<u32>(event.c), event.eip,
                                  static_cast<int>(record.stops.size()) - 1});
    else
        record.trimmed = true;
}

void ForkTracer::on_cr3(const TraceEvent& event) {
    const u32 directory = space_of(event.b);
    // Whoever is in the middle of a fork loses its cached translations when another space is loaded.
    for (Open& open : open_)
        if (open.record.parent_directory != directory)
            open.unflushed.clear();
    if (Open* open = working(); open != nullptr) {
        ForkRecord& record = open->record;
        count_in(record, [&](ForkCounts& counts) {
            ++counts.cr3_loads;
            counts.space_switches += space_of(event.a) != directory ? 1 : 0;
        });
        if (record.cr3_loads.size() < options_.most_entries)
            record.cr3_loads.push_back({event.instructions, event.cycle, space_of(event.a), directory,
                                        static_cast<int>(record.stops.size()) - 1});
    }
    for (Open& open : open_)
        if (directory != 0 && open.record.child_directory == directory && !open.record.settled)
            child_runs_early(open, event);
    for (ForkRecord* fork : active_)
        if (fork->child_directory == directory && fork->child_first_run == 0)
            fork->child_first_run = event.cycle;
    if (loaded_.insert(directory).second)
        first_load(directory, event);
}

} // namespace forkscope
