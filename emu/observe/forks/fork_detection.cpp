// Forks of a guest that states nothing: a system call that took the right to write from its caller's pages, or wrote
// another space's tables, turns out to have been a fork when a directory with the same frames is loaded for the first
// time.
#include "emu/observe/forks/fork_tracer.hpp"

#include <algorithm>

namespace forkscope {

void ForkTracer::system_call_begins(const TraceEvent& event) {
    const ProcessContext& context = state_.context;
    if (const u64 unfinished = state_.open.call_of(context.current()); unfinished != kNone)
        state_.open.remove(unfinished);
    OpenFork call;
    call.key = context.current();
    call.pid = context.current_pid() != 0 ? context.current_pid() : context.pid_of(event.address_space);
    call.directory = event.address_space;
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

void ForkTracer::on_return(const TraceEvent& event) {
    if (event.c != 3)
        return;
    const u64 id = state_.open.call_of(state_.context.current());
    if (id == kNone)
        return;
    const OpenFork& call = state_.open.at(id);
    if (call.protects.empty() && call.foreign.empty() && call.new_directories.empty())
        return state_.open.remove(id);
    OpenFork& ended = state_.open.edit(id);
    ended.record.left_instructions = event.instructions;
    ended.record.left_cycle = event.cycle;
    ended.parent_view = user_half(ended.directory);
    state_.open.end_call(id);
    if (const u64 oldest = state_.open.surplus(OpenKind::EndedCall); oldest != kNone)
        state_.open.remove(oldest);
}

void ForkTracer::first_load(u32 directory, const TraceEvent& event) {
    if (!state_.open.forks_with_child(directory).empty())
        return;
    for (const u64 number : followed_.of_child(directory)) {
        const ForkRecord& fork = *state_.forks.find(number);
        if (!fork.child_ended && fork.stated)
            return;
    }
    for (const OpenKind kind : {OpenKind::Call, OpenKind::EndedCall}) {
        const std::set<u64>& ids = state_.open.of_kind(kind);
        for (auto id = ids.rbegin(); id != ids.rend(); ++id)
            if (adopt(*id, directory, event))
                return;
    }
}

// Makes the system call a fork if at least half of the new space's pages lie in the caller's frames.
bool ForkTracer::adopt(u64 id, u32 child, const TraceEvent& event) {
    const OpenFork& call = state_.open.at(id);
    const bool built_here =
        call.foreign.count(child) != 0 ||
        std::find(call.new_directories.begin(), call.new_directories.end(), child) != call.new_directories.end();
    if (call.directory == child || (call.protects.empty() && !built_here))
        return false;
    const bool returned = call.kind == OpenKind::EndedCall;
    const PageTableView parent_view = returned ? call.parent_view : user_half(call.directory);
    const PageTableView child_view = user_half(child);
    u64 same = 0;
    for (const PageEntry& page : child_view.entries()) {
        const PageEntry* other = parent_view.find(page.linear);
        same += other != nullptr && other->physical == page.physical ? 1 : 0;
    }
    if (same == 0 || same * 2 < child_view.entries().size())
        return false;
    // The frame was a directory before: that process has died.
    space_ended(child);
    const u32 child_pid = state_.context.pid_of(child);
    state_.open.set_child(id, child_pid, child);
    ForkRecord& record = edit_record(id);
    record.child_directory = child;
    record.child_pid = child_pid;
    record.result = record.child_pid;
    record.left = true;
    record.child_first_run = event.cycle;
    if (!returned) {
        record.left_instructions = event.instructions;
        record.left_cycle = event.cycle;
    }
    if (state_.guest_states_forks)
        record.findings.push_back("the hardware shows a fork that the guest did not state");
    if (!call.unflushed.empty())
        record.findings.push_back(fmt::format("{} pages of the parent were write-protected without a flush after it "
                                              "(first: {:#010x})",
                                              call.unflushed.size(), *call.unflushed.begin()));
    add_unseen_entries(id, child_view, event);
    const std::set<u32> protects = state_.open.at(id).protects;
    ForkRecord& fork = publish(id);
    state_.open.remove(id);
    settle(fork, protects, parent_view);
    catch_up(fork);
    return true;
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

// The parent may have written before the child ran, and so before anybody knew that there was a fork.
void ForkTracer::catch_up(ForkRecord& fork) {
    std::erase_if(state_.loose_faults, [&](const FaultRef& fault) {
        const u32 page = fault->page_address();
        const bool ours = fault->address_space == fork.parent_directory &&
                          fault->begin_instructions >= fork.left_instructions && fork.shared.count(page) != 0;
        if (ours) {
            attach_fault(fork, fault, ForkSide::Parent, true);
            settle_page(fork, ForkSide::Parent, page);
        }
        return ours;
    });
}

} // namespace forkscope
