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
    if (fork.child_directory == 0 || fork.parent_directory == 0)
        return;
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
    activate(fork);
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
    for (auto place = active_.rbegin(); place != active_.rend(); ++place) { // the newest knows best
        const ForkRecord* earlier = *place;
        const bool party =
            earlier->parent_directory == fork.parent_directory || earlier->child_directory == fork.parent_directory;
        const auto found = party && earlier != &fork ? earlier->shared.find(page) : earlier->shared.end();
        if (found != earlier->shared.end() && found->second.copy_on_write && found->second.frame == frame)
            return true;
    }
    return false;
}

void ForkTracer::activate(ForkRecord& fork) {
    fork.followed = true;
    active_.push_back(&fork);
    if (active_.size() > options_.most_active) {
        active_.front()->followed = false;
        active_.pop_front();
    }
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
void ForkTracer::child_runs_early(Open& open, const TraceEvent& event) {
    const std::vector<ForkStop>& stops = open.record.stops;
    const bool runnable =
        std::any_of(stops.begin(), stops.end(), [](const ForkStop& stop) { return stop.id == TP_FORK_RUNNABLE; });
    if (!runnable)
        return;
    ForkRecord& fork = publish(open);
    settle(fork, open.protects, user_half(fork.parent_directory));
    fork.child_first_run = event.cycle;
}

void ForkTracer::on_fault(const FaultRef& fault) {
    bool attached = !fault->is_cow();
    for (Open& open : open_) {
        ForkRecord& record = open.record;
        const bool of_child = fault->address_space == record.child_directory;
        const bool of_parent = fault->address_space == record.parent_directory;
        if ((&open != working() && !of_parent) || (record.settled && (of_child || of_parent)))
            continue;
        const ForkSide side = of_child ? ForkSide::Child : of_parent ? ForkSide::Parent : ForkSide::Other;
        // On a page that this fork has protected already; else it is for an earlier fork to know.
        const bool belongs =
            fault->is_cow() && (of_child || (of_parent && open.protects.count(fault->page_address()) != 0));
        attach_fault(record, fault, side, belongs);
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
    ForkRecord* newest = nullptr;
    ForkSide newest_side = ForkSide::Unknown;
    for (auto place = active_.rbegin(); place != active_.rend(); ++place) {
        ForkRecord& fork = **place;
        const bool is_child = fork.child_directory == space && !fork.child_ended;
        const bool is_parent = fork.parent_directory == space && !fork.parent_ended;
        if (!is_child && !is_parent)
            continue;
        const ForkSide side = is_child ? ForkSide::Child : ForkSide::Parent;
        if (newest == nullptr) {
            newest = &fork;
            newest_side = side;
        }
        if (!fault->is_cow() || fork.shared.count(fault->page_address()) == 0)
            continue;
        // The newest fork that shared the page made it read-only; older ones only lose one more sharer.
        if (!attached)
            attach_fault(fork, fault, side, true);
        attached = true;
        settle_page(fork, side, fault->page_address());
    }
    if (!attached) {
        loose_faults_.push_back(fault);
        if (loose_faults_.size() > kMostLooseFaults)
            loose_faults_.pop_front();
    }
    if (newest != nullptr && (!attached || !fault->is_cow()) && !newest->child_ended)
        attach_fault(*newest, fault, newest_side, false);
}

void ForkTracer::settle_page(ForkRecord& fork, ForkSide side, u32 page) {
    SharedPage& shared = fork.shared.at(page);
    if (shared.copy_on_write && !shared.parent_settled && !shared.child_settled)
        --fork.still_shared;
    (side == ForkSide::Child ? shared.child_settled : shared.parent_settled) = true;
    check_private(fork);
}

void ForkTracer::end_side(ForkRecord& fork, ForkSide side) {
    (side == ForkSide::Child ? fork.child_ended : fork.parent_ended) = true;
    check_private(fork);
    if (fork.child_ended && fork.parent_ended) {
        fork.followed = false;
        active_.remove(&fork);
    }
}

void ForkTracer::process_ended(u32 pid) {
    std::set<u32> spaces;
    for (ForkRecord* fork : std::list<ForkRecord*>(active_)) {
        if (fork->child_pid == pid && !fork->child_ended) {
            spaces.insert(fork->child_directory);
            end_side(*fork, ForkSide::Child);
        }
        if (fork->parent_pid == pid && !fork->parent_ended) {
            spaces.insert(fork->parent_directory);
            end_side(*fork, ForkSide::Parent);
        }
    }
    for (u32 space : spaces)
        space_ended(space);
}

void ForkTracer::space_ended(u32 directory) {
    if (directory == 0)
        return;
    for (ForkRecord* fork : std::list<ForkRecord*>(active_)) {
        if (fork->child_directory == directory && !fork->child_ended)
            end_side(*fork, ForkSide::Child);
        if (fork->parent_directory == directory && !fork->parent_ended)
            end_side(*fork, ForkSide::Parent);
    }
    if (symbols_ != nullptr)
        symbols_->unbind(directory);
    places_.forget(directory);
}

} // namespace forkscope
