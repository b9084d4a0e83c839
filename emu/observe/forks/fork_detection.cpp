// Forks of a guest that states nothing: a system call that took the right to write from its caller's pages, or wrote
// another space's tables, turns out to have been a fork when a directory with the same frames is loaded for the first
// time.
#include "emu/observe/forks/fork_tracer.hpp"

#include <algorithm>

namespace forkscope {

namespace {

constexpr std::size_t kMostCalls = 1024;
constexpr std::size_t kMostEndedCalls = 32;

} // namespace

void ForkTracer::system_call_begins(const TraceEvent& event) {
    const ProcessContext::Key key = context_.current();
    calls_.remove_if([key](const Open& call) { return call.key == key; });
    if (calls_.size() >= kMostCalls)
        calls_.pop_front();
    calls_.emplace_back();
    Open& call = calls_.back();
    call.key = key;
    call.begun = settled_;
    call.record.parent_pid =
        context_.current_pid() != 0 ? context_.current_pid() : context_.pid_of(event.address_space);
    call.record.parent_thread = context_.current_thread();
    call.record.parent_directory = event.address_space;
    call.record.begin_instructions = event.instructions;
    call.record.begin_cycle = event.cycle;
}

void ForkTracer::on_return(const TraceEvent& event) {
    if (event.c != 3)
        return;
    const ProcessContext::Key key = context_.current();
    const auto call = std::find_if(calls_.begin(), calls_.end(), [key](const Open& c) { return c.key == key; });
    if (call == calls_.end())
        return;
    if (!call->protects.empty() || !call->foreign.empty() || !call->new_directories.empty()) {
        call->record.left_instructions = event.instructions;
        call->record.left_cycle = event.cycle;
        call->parent_view = user_half(call->record.parent_directory);
        ended_calls_.push_back(std::move(*call));
        if (ended_calls_.size() > kMostEndedCalls)
            ended_calls_.pop_front();
    }
    calls_.erase(call);
}

void ForkTracer::first_load(u32 directory, const TraceEvent& event) {
    for (const Open& open : open_)
        if (open.record.child_directory == directory)
            return;
    for (const ForkRecord* fork : active_)
        if (fork->child_directory == directory && !fork->child_ended && fork->stated)
            return;
    for (auto call = calls_.rbegin(); call != calls_.rend(); ++call) {
        if (adopt(*call, directory, event)) {
            calls_.erase(std::next(call).base());
            return;
        }
    }
    for (auto call = ended_calls_.rbegin(); call != ended_calls_.rend(); ++call) {
        if (adopt(*call, directory, event)) {
            ended_calls_.erase(std::next(call).base());
            return;
        }
    }
}

// Makes the system call a fork if at least half of the new space's pages lie in the caller's frames.
bool ForkTracer::adopt(Open& call, u32 child, const TraceEvent& event) {
    ForkRecord& record = call.record;
    const bool built_here =
        call.foreign.count(child) != 0 ||
        std::find(call.new_directories.begin(), call.new_directories.end(), child) != call.new_directories.end();
    if (record.parent_directory == child || (call.protects.empty() && !built_here))
        return false;
    const bool returned = record.left_cycle != 0;
    const PageTableView parent_view = returned ? std::move(call.parent_view) : user_half(record.parent_directory);
    const PageTableView child_view = user_half(child);
    u64 same = 0;
    for (const PageEntry& page : child_view.entries()) {
        const PageEntry* other = parent_view.find(page.linear);
        same += other != nullptr && other->physical == page.physical ? 1 : 0;
    }
    if (same == 0 || same * 2 < child_view.entries().size()) {
        call.parent_view = parent_view;
        return false;
    }
    // The frame was a directory before: that process has died.
    space_ended(child);
    record.child_directory = child;
    record.child_pid = context_.pid_of(child);
    record.result = record.child_pid;
    record.left = true;
    record.child_first_run = event.cycle;
    if (!returned) {
        record.left_instructions = event.instructions;
        record.left_cycle = event.cycle;
    }
    if (guest_states_forks_)
        record.findings.push_back("the hardware shows a fork that the guest did not state");
    if (!call.unflushed.empty())
        record.findings.push_back(fmt::format("{} pages of the parent were write-protected without a flush after it "
                                              "(first: {:#010x})",
                                              call.unflushed.size(), *call.unflushed.begin()));
    const std::set<u32> protects = std::move(call.protects);
    add_unseen_entries(call, child_view, event);
    ForkRecord& fork = publish(call);
    settle(fork, protects, parent_view);
    catch_up(fork);
    return true;
}

// The child's entries whose writing nobody saw: its tables were not known to be tables then.
void ForkTracer::add_unseen_entries(Open& call, const PageTableView& child, const TraceEvent& event) {
    std::set<u32> seen;
    for (const PteChange& change : call.record.ptes)
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
    for (auto fault = loose_faults_.begin(); fault != loose_faults_.end();) {
        const bool ours = (*fault)->address_space == fork.parent_directory &&
                          (*fault)->begin_instructions >= fork.left_instructions &&
                          fork.shared.count((*fault)->page_address()) != 0;
        if (!ours) {
            ++fault;
            continue;
        }
        attach_fault(fork, *fault, ForkSide::Parent, true);
        settle_page(fork, ForkSide::Parent, (*fault)->page_address());
        fault = loose_faults_.erase(fault);
    }
}

} // namespace forkscope
