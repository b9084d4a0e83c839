// What follows a fork: which pages it left shared, the faults that undo the sharing, and when that is over.
#include "emu/observe/forks/fork_tracer.hpp"

#include <algorithm>

#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr std::size_t kMostLooseFaults = 1024;

} // namespace

PageTableView ForkTracer::user_half(u32 directory) const {
    PageTableViewOptions options;
    options.layout = options_.layout;
    options.control = tables_.reader().control();
    options.kernel_half = false;
    return PageTableView::read(tables_.reader().memory(), AddressSpace(directory), options);
}

// `parent` is the parent's user half as fork left it.
void ForkTracer::settle(ForkRecord& fork, const std::set<u32>& protects, const PageTableView& parent) {
    fork.settled = true;
    fork.followed = false;
    if (fork.child_directory == 0 || fork.parent_directory == 0) {
        if (fork.left)
            state_.forks.rest(fork.number, options_.keep);
        return;
    }
    const PageTableView child = user_half(fork.child_directory);
    fork.differences = AddressSpaceDiff(parent, child, options_.layout).ranges();
    for (const PageEntry& page : parent.entries()) {
        const PageEntry* other = page.bytes() == kPageSize ? child.find(page.linear) : nullptr;
        if (other == nullptr || other->physical != page.physical || other->bytes() != kPageSize)
            continue;
        const bool read_only = ((page.rights | other->rights) & kPteWritable) == 0;
        const auto frame = static_cast<u32>(page.physical);
        SharedPage shared;
        shared.frame = frame;
        shared.copy_on_write =
            read_only && (protects.count(page.linear) != 0 || was_copy_on_write(fork, page.linear, frame));
        fork.still_shared += shared.copy_on_write ? 1 : 0;
        fork.shared.emplace(page.linear, shared);
    }
    check_rights(fork);
    follow(fork);
    check_private(fork);
}

// One frame that only one side may write: the other would see the writes.
void ForkTracer::check_rights(ForkRecord& fork) {
    for (const DifferenceRange& range : fork.differences) {
        if (range.difference != PageDifference::RightsDiffer || ((range.flags_a ^ range.flags_b) & kPteWritable) == 0)
            continue;
        const char* writer = (range.flags_a & kPteWritable) != 0 ? "the parent" : "the child";
        fork.findings.push_back(fmt::format("{} pages from {:#010x} lie in the same frames on both sides but only {} "
                                            "may write them: the other side will see its writes",
                                            range.pages(), range.start, writer));
    }
}

// Read-only already before this fork because an earlier one left it so.
bool ForkTracer::was_copy_on_write(const ForkRecord& fork, u32 page, u32 frame) const {
    for (const FollowedForks::Use& use : followed_.uses(frame)) {
        if (use.page != page || use.fork == fork.number)
            continue;
        const ForkRecord& earlier = *state_.forks.find(use.fork);
        const bool party =
            earlier.parent_directory == fork.parent_directory || earlier.child_directory == fork.parent_directory;
        if (party && earlier.shared.at(page).copy_on_write)
            return true;
    }
    return false;
}

void ForkTracer::follow(ForkRecord& fork) {
    fork.followed = true;
    followed_.add(fork.number, state_.forks);
    if (followed_.size() > options_.most_active)
        unfollow(state_.forks.edit(followed_.oldest()));
}

void ForkTracer::unfollow(ForkRecord& fork) {
    fork.followed = false;
    followed_.remove(fork);
    if (fork.left)
        state_.forks.rest(fork.number, options_.keep);
}

void ForkTracer::check_private(ForkRecord& fork) {
    if (fork.private_cycle == 0 && (fork.still_shared == 0 || fork.child_ended || fork.parent_ended))
        fork.private_cycle = now_->cycle;
}

void ForkTracer::attach_fault(ForkRecord& fork, const FaultRef& fault, ForkSide side, bool belongs) {
    if (belongs)
        ++fork.fault_counts[static_cast<u8>(fault->page)];
    else
        ++fork.other_faults;
    if (fork.faults.size() < options_.most_entries)
        fork.faults.push_back({fault, side, belongs, !fork.settled});
    else
        fork.trimmed = true;
    for (const std::string& finding : fault->findings)
        if (fork.findings.size() < options_.most_entries)
            fork.findings.push_back(finding);
}

// The child may run, and even end, before its parent has come back from fork: both sides are looked at now.
void ForkTracer::child_runs_early(u64 open, const TraceEvent& event) {
    const std::vector<ForkStop>& stops = record(open).stops;
    const bool runnable =
        std::any_of(stops.begin(), stops.end(), [](const ForkStop& stop) { return stop.id == TP_FORK_RUNNABLE; });
    if (!runnable)
        return;
    const std::set<u32> protects = state_.open.at(open).protects;
    ForkRecord& fork = publish(open);
    settle(fork, protects, user_half(fork.parent_directory));
    fork.child_first_run = event.cycle;
}

void ForkTracer::on_fault(const FaultRef& fault) {
    bool attached = !fault->is_cow();
    // Inside a fork: of whoever works for it, or of its parent.
    const u64 at_work = working();
    std::vector<u64> candidates = state_.open.forks_of_directory(fault->address_space);
    if (at_work != kNone && state_.open.at(at_work).kind == OpenKind::Fork)
        candidates.insert(std::lower_bound(candidates.begin(), candidates.end(), at_work), at_work);
    for (const u64 id : candidates) {
        const OpenFork& open = state_.open.at(id);
        const bool of_child = fault->address_space == open.child_directory;
        const bool of_parent = fault->address_space == open.directory;
        if (record(id).settled && (of_child || of_parent))
            continue;
        const ForkSide side = of_child ? ForkSide::Child : of_parent ? ForkSide::Parent : ForkSide::Other;
        // On a page that this fork has protected already; else it is for an earlier fork to know.
        const bool belongs =
            fault->is_cow() && (of_child || (of_parent && open.protects.count(fault->page_address()) != 0));
        attach_fault(edit_record(id), fault, side, belongs);
        attached = attached || belongs;
        break;
    }
    share_fault(fault, attached);
    if (fault_listener_)
        fault_listener_(fault);
}

// Gives a fault to the forks that know its page. Attached: it has its place already, or is none of copy on write.
void ForkTracer::share_fault(const FaultRef& fault, bool attached) {
    const u32 space = fault->address_space;
    const u32 page = fault->page_address();
    if (fault->is_cow()) {
        const auto known = followed_.uses(static_cast<u32>(fault->before.frame));
        const std::vector<FollowedForks::Use> uses(known.begin(), known.end());
        bool parent_known = false;
        for (auto use = uses.rbegin(); use != uses.rend(); ++use) {
            const ForkRecord& known_fork = *state_.forks.find(use->fork);
            const bool is_child = known_fork.child_directory == space && !known_fork.child_ended;
            const bool is_parent = known_fork.parent_directory == space && !known_fork.parent_ended;
            // Of a parent's forks that are over only the last has something to say.
            const bool replaced = is_parent && known_fork.child_ended && parent_known;
            if (use->page != page || (!is_child && !is_parent) || replaced)
                continue;
            parent_known = parent_known || is_parent;
            ForkRecord& fork = state_.forks.edit(use->fork);
            const ForkSide side = is_child ? ForkSide::Child : ForkSide::Parent;
            // The newest fork that shared the page made it read-only; older ones only lose one more sharer.
            if (!attached)
                attach_fault(fork, fault, side, true);
            attached = true;
            settle_page(fork, side, page);
        }
        if (attached)
            return;
        state_.loose_faults.push_back(fault);
        if (state_.loose_faults.size() > kMostLooseFaults)
            state_.loose_faults.pop_front();
    }
    // None of any fork's making: the newest that the space belongs to tells of it.
    u64 newest = 0;
    for (const std::set<u64>* sides : {&followed_.of_parent(space), &followed_.of_child(space)})
        for (auto number = sides->rbegin(); number != sides->rend() && *number > newest; ++number) {
            const ForkRecord& fork = *state_.forks.find(*number);
            if (sides == &followed_.of_parent(space) ? !fork.parent_ended : !fork.child_ended)
                newest = *number;
        }
    if (newest == 0 || state_.forks.find(newest)->child_ended)
        return;
    const bool of_child = state_.forks.find(newest)->child_directory == space;
    attach_fault(state_.forks.edit(newest), fault, of_child ? ForkSide::Child : ForkSide::Parent, false);
}

void ForkTracer::settle_page(ForkRecord& fork, ForkSide side, u32 page) {
    SharedPage& shared = fork.shared.at(page);
    if (shared.copy_on_write && !shared.parent_settled && !shared.child_settled)
        --fork.still_shared;
    (side == ForkSide::Child ? shared.child_settled : shared.parent_settled) = true;
    check_private(fork);
}

// One side, or both at once, is no more.
void ForkTracer::end_sides(ForkRecord& fork, bool parent, bool child) {
    fork.parent_ended = fork.parent_ended || parent;
    fork.child_ended = fork.child_ended || child;
    check_private(fork);
    if (fork.child_ended && fork.parent_ended)
        unfollow(fork);
}

void ForkTracer::process_ended(u32 pid) {
    std::set<u32> spaces;
    for (const u64 number : followed_.of_pid(pid)) {
        ForkRecord& fork = state_.forks.edit(number);
        const bool of_child = fork.child_pid == pid && !fork.child_ended;
        const bool of_parent = fork.parent_pid == pid && !fork.parent_ended;
        if (of_child)
            spaces.insert(fork.child_directory);
        if (of_parent)
            spaces.insert(fork.parent_directory);
        end_sides(fork, of_parent, of_child);
    }
    for (u32 space : spaces)
        space_ended(space);
}

void ForkTracer::space_ended(u32 directory) {
    if (directory == 0)
        return;
    for (const u64 number : followed_.of_directory(directory)) {
        ForkRecord& fork = state_.forks.edit(number);
        end_sides(fork, fork.parent_directory == directory, fork.child_directory == directory);
    }
    if (symbols_ != nullptr)
        symbols_->unbind(directory);
}

} // namespace forkscope
