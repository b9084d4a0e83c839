// Forks of a guest that states nothing. Whoever built the tables of a space that is loaded for the first time made it:
// by entries that were seen written, or by the frames that hold the tables, which somebody stored into last. It was a
// fork if the space holds its maker's pages, shared for copying or copied.
#include <algorithm>
#include <cstring>
#include <span>

#include "emu/base/trace_vocabulary.hpp"
#include "emu/observe/forks/fork_tracer.hpp"

namespace forkscope {

namespace {

constexpr u32 kPointers = 4; // of a space, to its directories under PAE

// SDM 3A, table 4-8: bits 1, 2 and 5-8 of a pointer are reserved. What a kernel leaves out it has cleared.
bool are_pointers(std::span<const u64> words, const AddressSpaceReader& reader) {
    constexpr u64 kReserved = 0x1E6;
    return std::all_of(words.begin(), words.end(), [&](u64 word) {
        const bool pointer = (word & kPtePresent) != 0 && (word & kReserved) == 0 &&
                             reader.memory().is_memory(PhysicalAddress(word & kPteFrame));
        return word == 0 || pointer;
    });
}

bool is_used(u64 entry) { return (entry & (kPtePresent | kPteUser)) == (kPtePresent | kPteUser); }

} // namespace

void ForkTracer::system_call_begins(const TraceEvent& event) {
    const ProcessContext& context = state_.context;
    if (const u64 unfinished = state_.open.call_of(context.current()); unfinished != kNone)
        state_.open.remove(unfinished);
    OpenFork call;
    call.key = context.current();
    call.pid = context.current_pid() != 0 ? context.current_pid() : context.pid_of(event.address_space);
    call.directory = event.address_space;
    if (interrupt_cause(event) != InterruptCause::Sysenter)
        call.returns.insert(static_cast<u32>(event.d));
    call.begun = state_.settled;
    call.record.parent_pid = call.pid;
    call.record.parent_thread = context.current_thread();
    call.record.parent_directory = event.address_space;
    call.record.begin_instructions = event.instructions;
    call.record.begin_cycle = event.cycle;
    state_.open.add(std::move(call));
    if (const u64 oldest = state_.open.surplus(OpenKind::Call); oldest != kNone)
        state_.open.remove(oldest);
}

// Moments between which all stores are one's: the kernel is entered or left, or another space is loaded.
bool ForkTracer::moves_stores(const TraceEvent& event) {
    return (event.kind == TraceKind::Interrupt && kInterruptFromCpl(event) == 3) ||
           (event.kind == TraceKind::InterruptReturn && event.c == 3) || event.kind == TraceKind::Cr3Load;
}

// A kernel that states its forks need not be watched so closely, unless its own stores ignore what entries forbid.
bool ForkTracer::asks_for_stores() const {
    const PagingControl& control = tables_.reader().control();
    return options_.begin_epoch && control.paging() && (!state_.guest_states_forks || (control.cr0 & kCr0Wp) == 0);
}

void ForkTracer::settle_stores(const TraceEvent& event) {
    if (!asks_for_stores())
        return;
    const bool by_program = event.kind == TraceKind::Interrupt;
    const std::vector<u32> frames = writers_.settle(by_program ? 0 : static_cast<FrameWriters::Writer>(working()));
    if (!by_program) {
        for (const u32 frame : frames)
            check_store_into_shared(frame << kPageShift);
        if (!state_.guest_states_forks)
            discover_spaces(frames, event);
    }
    state_.since = event.instructions;
}

// A directory is known by this: it maps the kernel's code that runs now where it runs, and no program may touch it.
void ForkTracer::discover_spaces(const std::vector<u32>& frames, const TraceEvent& event) {
    const AddressSpaceReader& reader = tables_.reader();
    const LinearAddress code(event.eip);
    const WalkView now = reader.walk(AddressSpace(event.address_space), code);
    if (!now.present || now.user())
        return;
    const auto has_code = [&](AddressSpace space) {
        const WalkView there = reader.walk(space, code);
        return space.root != event.address_space && there.present && !there.user() && there.frame == now.frame;
    };
    if (reader.control().pae())
        return discover_pointers(frames, has_code, event);
    for (const u32 frame : frames)
        if (const AddressSpace space(frame << kPageShift); !tables_.is_directory(space.root) && has_code(space))
            tables_.add_space(space, event);
}

// Under PAE a space is four pointers to directories, at any 32 bytes. Others may be a copy of them: then the first load
// of CR3 tells which are the space.
void ForkTracer::discover_pointers(const std::vector<u32>& frames, const std::function<bool(AddressSpace)>& has_code,
                                   const TraceEvent& event) {
    const AddressSpaceReader& reader = tables_.reader();
    const u32 used = event.eip >> 30;
    const auto is_new = [&](u64 pointer) {
        return pointer != 0 && !tables_.is_directory(static_cast<u32>(pointer & kPteFrame));
    };
    for (const u32 frame : frames) {
        const std::vector<u64> words = reader.table(u64{frame} << kPageShift);
        for (u32 first = 0; first + kPointers <= words.size(); first += kPointers) {
            const std::span<const u64> pointers(&words[first], kPointers);
            const AddressSpace space((frame << kPageShift) + first * static_cast<u32>(sizeof(u64)));
            if ((pointers[used] & kPtePresent) != 0 && are_pointers(pointers, reader) &&
                std::any_of(pointers.begin(), pointers.end(), is_new) && has_code(space))
                tables_.add_space(space, event);
        }
    }
}

// Until this moment nobody knew of the child but that it runs.
void ForkTracer::name_running_child(u32 directory) {
    if (!options_.current_pid || state_.guest_states_forks)
        return;
    for (const u64 number : followed_.of_child(directory)) {
        const ForkRecord& fork = *state_.forks.find(number);
        if (fork.child_ended || fork.child_pid != 0)
            continue;
        const u32 pid = pid_in(directory);
        if (pid == 0)
            return;
        followed_.remove_child(fork);
        state_.forks.name_child(number, pid, directory);
        followed_.add_child(*state_.forks.find(number));
        state_.forks.edit(number).result = pid;
    }
}

void ForkTracer::on_return(const TraceEvent& event) {
    if (event.c != 3)
        return;
    program_begins(event);
    name_running_child(event.address_space);
    const u64 id = state_.open.call_of(state_.context.current());
    if (id == kNone)
        return;
    const OpenFork& call = state_.open.at(id);
    const bool nothing =
        call.protects.empty() && call.foreign.empty() && call.new_directories.empty() && call.pending_child == 0;
    // Back in another space than it began in: that was exec, whatever the new space looks like.
    const bool exec = call.pending_child != 0 && event.address_space != call.directory;
    const u32 to = return_offset(event);
    const bool elsewhere = call.pending_eip != 0 && call.pending_eip != to;
    if (nothing || exec || elsewhere)
        return state_.open.remove(id);
    if (call.pending_eip != 0)
        return become_fork(id, event);
    end_stop(id, event);
    OpenFork& ended = state_.open.edit(id);
    ended.returns.insert(to);
    sum_up_stops(ended.record);
    ended.record.left_instructions = event.instructions;
    ended.record.left_cycle = event.cycle;
    state_.open.end_call(id);
    if (state_.open.at(id).pending_child == 0)
        merge_into_builder(id);
    if (const u64 oldest = state_.open.surplus(OpenKind::EndedCall); oldest != kNone)
        state_.open.remove(oldest);
}

// What was stored since the last moment belongs to the stop before.
void ForkTracer::on_profile_stop(const TraceEvent& event) {
    if (state_.guest_states_forks)
        return;
    now_ = &event;
    settle_stores(event);
    settle_time(event);
    if (const u64 open = working(); open != kNone) {
        const SharedVector<ForkStop>& stops = record(open).stops;
        if (stops.empty() && options_.current_pid)
            edit_record(open).parent_pid = options_.current_pid().value_or(0);
        if (stops.empty() || stops.back().id != event.a) {
            end_stop(open, event);
            begin_stop(open, event, event.instructions);
        }
    }
    now_ = nullptr;
}

// A fork may be made of many system calls: each that adds to the same space belongs to it, and each that only takes
// rights from the caller's own pages if the space's maker has left that to others.
void ForkTracer::merge_into_builder(u64 id) {
    const OpenFork& call = state_.open.at(id);
    std::set<u32> directories = call.foreign;
    directories.insert(call.new_directories.begin(), call.new_directories.end());
    u64 into = kNone;
    const SharedSet<u64>& ended = state_.open.of_kind(OpenKind::EndedCall);
    for (auto other = ended.rbegin(); into == kNone && other != ended.rend(); ++other) {
        const OpenFork& earlier = state_.open.at(*other);
        if (*other == id || earlier.key != call.key || earlier.directory != call.directory)
            continue;
        const auto builds = [&](u32 directory) { return earlier.built(directory); };
        const bool many = earlier.many_calls || earlier.protects.empty();
        if (directories.empty() ? many : std::any_of(directories.begin(), directories.end(), builds))
            into = *other;
    }
    if (into == kNone)
        return;
    const OpenFork merged = call;
    state_.open.remove(id);
    drop_sides(into);
    for (const u32 directory : directories)
        state_.open.built(into, directory);
    OpenFork& whole = state_.open.edit(into);
    whole.many_calls = true;
    for (const u32 address : merged.returns)
        if (whole.returns.size() < kMostReturns)
            whole.returns.insert(address);
    whole.protects.insert(merged.protects.begin(), merged.protects.end());
    for (const u32 page : merged.unflushed)
        state_.open.await_flush(into, page);
    whole.record.append(merged.record, options_.most_entries);
}

void ForkTracer::first_load(u32 directory, const TraceEvent& event) {
    if (!state_.open.forks_with_child(directory).empty())
        return;
    for (const u64 number : followed_.of_child(directory)) {
        const ForkRecord& fork = *state_.forks.find(number);
        if (!fork.child_ended && fork.stated)
            return;
    }
    if (const u64 builder = builder_of(directory); builder != kNone) {
        adopt(builder, directory, event);
        return;
    }
    // Nobody was seen to build it: whoever took the right to write from its own pages may have.
    for (const OpenKind kind : {OpenKind::Call, OpenKind::EndedCall}) {
        const std::vector<u64> ids(state_.open.of_kind(kind).begin(), state_.open.of_kind(kind).end());
        for (auto id = ids.rbegin(); id != ids.rend(); ++id)
            if (!state_.open.at(*id).protects.empty() && adopt(*id, directory, event))
                return;
    }
}

// The system call that built a space, as far as anything shows it.
u64 ForkTracer::builder_of(u32 directory) const {
    if (const u64 builder = state_.open.builder_of(directory); builder != kNone)
        return builder;
    const PageTableView pages = user_pages(directory);
    std::vector<u32> frames = pages.tables();
    for (const u64 root : tables_.reader().directories(AddressSpace(directory)))
        frames.push_back(static_cast<u32>(root));
    std::map<u64, u64> frames_by_call;
    for (const u32 frame : frames)
        if (const u64 writer = writers_.last(frame >> kPageShift); writer != 0 && state_.open.is_open(writer))
            if (state_.open.at(writer).kind != OpenKind::Fork)
                ++frames_by_call[writer];
    const auto most = std::max_element(frames_by_call.begin(), frames_by_call.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == frames_by_call.end() ? kNone : most->first;
}

// As far as the guest or its profile tells; a directory is used again.
u32 ForkTracer::pid_in(u32 directory) const {
    return options_.current_pid && !state_.guest_states_forks ? options_.current_pid().value_or(0)
                                                              : state_.context.pid_of(directory);
}

// The caller begins to lose pages, by a copy or because it is about to end, before the space that it built has run.
// What both have of each other now is what fork left them.
void ForkTracer::on_page_gone(const TraceEvent& event, const EntryOwner& owner) {
    const bool stays = is_used(event.c) && ((event.b ^ event.c) & kPteFrame) == 0;
    if (state_.guest_states_forks || !is_used(event.b) || stays || owner.space == AddressSpace())
        return;
    for (const u64 id : state_.open.ended_in(owner.space.root)) {
        const OpenFork& call = state_.open.at(id);
        if (call.looked_at || call.many_calls || call.kept_child != 0)
            continue;
        std::set<u32> built = call.foreign;
        built.insert(call.new_directories.begin(), call.new_directories.end());
        state_.open.edit(id).looked_at = true;
        for (const u32 directory : built)
            if (state_.loaded.count(directory) == 0 && directory != call.directory &&
                keep_sides(id, directory, std::pair(event.a, event.b)))
                break;
    }
}

// Makes the system call a fork if the new space holds its caller's pages.
bool ForkTracer::adopt(u64 id, u32 child, const TraceEvent& event) {
    if (state_.open.at(id).kept_child != child) {
        if (state_.open.at(id).maker_ended != 0 || state_.open.at(id).directory == child)
            return false;
        drop_sides(id);
        if (!keep_sides(id, child, std::nullopt))
            return false;
    }
    state_.open.edit(id).kept_child = 0;
    space_ended(child); // who had its frame for a directory before
    state_.open.edit(id).kept_child = child;
    state_.open.set_child(id, pid_in(child), child);
    edit_record(id).child_first_run = event.cycle;
    // Copies may also be what exec has made, or a process from an image that the maker has not written to.
    if (state_.open.at(id).kept_shares)
        become_fork(id, event);
    else
        state_.open.set_pending(id, child);
    return true;
}

// What looks like a copy of its maker goes on behind the call that made it, and a fresh program where it begins.
void ForkTracer::program_begins(const TraceEvent& event) {
    for (const u64 id : state_.open.pending_on(event.address_space)) {
        const OpenFork& call = state_.open.at(id);
        const u32 eip = return_offset(event);
        if (call.pending_eip != 0)
            continue;
        if (call.returns.count(eip) != 0 || stack_returns(call, event.address_space))
            return become_fork(id, event);
        if (!call.returns.empty())
            state_.open.remove(id);
        else
            state_.open.edit(id).pending_eip = eip; // SYSENTER says not where it returns to
    }
}

// A signal was waiting: a copy of the caller begins in the handler, and its stack holds where it goes on afterwards.
bool ForkTracer::stack_returns(const OpenFork& call, u32 space) const {
    constexpr u32 kMostFrame = 2048; // Linux's and FreeBSD's take 0.7 KB with the registers of x87 and SSE
    const u32 pointer = options_.stack_pointer ? options_.stack_pointer() : 0;
    for (u32 at = pointer; pointer != 0 && at - pointer < kMostFrame && at >= pointer; at += sizeof(u32)) {
        std::array<u8, sizeof(u32)> bytes;
        if (!tables_.reader().read(AddressSpace(space), LinearAddress(at), bytes))
            return false;
        u32 word;
        std::memcpy(&word, bytes.data(), sizeof word);
        if (call.returns.count(word) != 0)
            return true;
    }
    return false;
}

// It enters the kernel, and no return to it was seen before: a switch of tasks has begun it. Its pages are all there is
// to go by.
void ForkTracer::program_began(const TraceEvent& event) {
    for (const u64 id : state_.open.pending_on(event.address_space))
        if (state_.open.at(id).pending_eip == 0)
            return become_fork(id, event);
}

void ForkTracer::become_fork(u64 id, const TraceEvent& event) {
    const OpenFork call = state_.open.at(id);
    const PageTableView child = user_pages(call.kept_child);
    ForkRecord& record = edit_record(id);
    record.settled = true;
    record.child_directory = child.space().root;
    record.child_pid = call.child_pid;
    record.result = record.child_pid;
    record.left = true;
    if (record.child_first_run == 0)
        record.child_first_run = event.cycle;
    if (call.kind == OpenKind::Call) {
        record.left_instructions = event.instructions;
        record.left_cycle = event.cycle;
        end_stop(id, event);
        sum_up_stops(record);
    }
    record.counts.frames_copied += record.copied_pages;
    if (state_.guest_states_forks)
        add_finding(record, "the hardware shows a fork that the guest did not state");
    if (!call.unflushed.empty())
        add_finding(record, fmt::format("{} pages of the parent were write-protected without a flush after it (first: "
                                        "{:#010x})",
                                        call.unflushed.size(), *call.unflushed.begin()));
    add_unseen_entries(id, child, event);
    ForkRecord& fork = publish(id);
    state_.open.remove(id);
    share_left_pages(fork, child);
    begin_following(fork);
    const auto pages = fork.shared;
    for (const auto& [page, shared] : pages)
        if (call.looked_at) // the caller has lost some
            reconsider(fork.number, page);
    catch_up(fork, call.maker_ended);
    if (call.maker_ended != 0)
        end_sides(fork, true, false);
}

// Of a space that is no more: who made the calls will not come back from them. What is known to be the fork of a child
// that has not run waits for it.
void ForkTracer::forget_calls(u32 directory) {
    if (const u64 call = state_.open.call_of(ProcessContext::space_key(directory)); call != kNone)
        state_.open.remove(call);
    for (const u64 call : state_.open.ended_in(directory)) {
        if (state_.open.at(call).kept_child == 0 || state_.open.at(call).kept_child == directory) {
            state_.open.remove(call);
            continue;
        }
        know_maker(edit_record(call));
        state_.open.orphan(call, now_->instructions);
    }
    const SharedSet<u64> ended = state_.open.of_kind(OpenKind::EndedCall);
    for (const u64 call : ended)
        if (state_.open.at(call).kept_child == directory)
            state_.open.remove(call);
}

// A space without a page that a program may use has no program: whoever was in it has ended, and who comes is another.
// The space in force may be between two entries of its own.
void ForkTracer::on_table_gone(const TraceEvent& event, const EntryOwner& owner) {
    if (owner.level != 2 || owner.space.root == event.address_space)
        return;
    const bool is_directory = tables_.is_directory(static_cast<u32>(event.a) & ~kPageMask);
    if (!is_directory && !state_.guest_states_forks)
        space_ended(owner.space.root); // it has lost the kernel's code
    else if (is_used(event.b) && !is_used(event.c))
        end_if_empty(owner.space.root);
}

void ForkTracer::end_if_empty(u32 directory) {
    const bool concerned = !followed_.of_parent(directory).empty() || !followed_.of_child(directory).empty() ||
                           state_.faults.waits_in(directory) ||
                           state_.open.call_of(ProcessContext::space_key(directory)) != kNone;
    if (state_.guest_states_forks || !concerned)
        return;
    const AddressSpaceReader& reader = tables_.reader();
    for (const u64 root : reader.directories(AddressSpace(directory)))
        for (const u64 entry : root != 0 || !reader.control().pae() ? reader.table(root) : std::vector<u64>{}) {
            if (!is_used(entry))
                continue;
            // The kernel's tables may be open to programs, and none of its pages.
            const std::vector<u64> pages =
                reader.is_large(entry) ? std::vector{entry} : reader.table(entry & kPteFrame);
            if (std::any_of(pages.begin(), pages.end(), is_used))
                return;
        }
    space_ended(directory);
}

// The child's entries whose writing nobody saw: its tables were not known to be tables then.
void ForkTracer::add_unseen_entries(u64 call, const PageTableView& child, const TraceEvent& event) {
    std::set<u32> seen;
    for (const PteChange& change : record(call).ptes)
        seen.insert(change.entry_address);
    for (const PageEntry& entry : child.entries()) {
        if (seen.count(entry.entry_address) != 0)
            continue;
        PteChange change;
        change.instructions = event.instructions;
        change.cycle = event.cycle;
        change.entry_address = entry.entry_address;
        change.new_value = entry.entry;
        change.directory = child.space().root;
        change.linear = entry.linear;
        change.level = entry.large ? 2 : 1;
        change.bytes = bytes_at(change.level);
        change.written = false;
        add_pte(call, change);
    }
}

// Pages that the parent left by its own faults while it still forked by one call after another: the child has the
// frame.
void ForkTracer::share_left_pages(ForkRecord& fork, const PageTableView& child) {
    for (const auto& [place, fault] : state_.loose_faults) {
        const u32 page = fault->mapped_page(large_bytes());
        const PageEntry* entry = child.find(page);
        if (fault->address_space != fork.parent_directory || fault->begin_instructions < fork.begin_instructions ||
            fault->begin_instructions >= fork.left_instructions || entry == nullptr || entry->linear != page ||
            entry->physical != fault->mapped_frame(large_bytes()) || entry->large != fault->before.large)
            continue;
        SharedPage left;
        left.frame = static_cast<u32>(entry->physical);
        left.bytes = static_cast<u32>(entry->bytes());
        left.copy_on_write = left.parent_settled = left.left_inside = true;
        fork.shared.emplace(page, left);
        fork.copied_pages += left.pages();
        fork.counts.frames_copied += left.pages();
    }
}

// The parent may have written before the child ran, and so before anybody knew that there was a fork.
void ForkTracer::catch_up(ForkRecord& fork, u64 maker_ended) {
    const auto loose = state_.loose_faults;
    for (const auto& [place, fault] : loose) {
        const u32 page = fault->mapped_page(large_bytes());
        const auto shared = fork.shared.find(page);
        const bool ours = fault->address_space == fork.parent_directory && shared != fork.shared.end() &&
                          (maker_ended == 0 || fault->begin_instructions < maker_ended) &&
                          fault->mapped_frame(large_bytes()) == shared->second.frame &&
                          fault->begin_instructions >=
                              (shared->second.left_inside ? fork.begin_instructions : fork.left_instructions);
        if (!ours)
            continue;
        attach_fault(fork, fault, ForkSide::Parent, Cause::Sharing);
        reconsider(fork.number, page);
        state_.loose_faults.erase(place);
    }
}

} // namespace forkscope
