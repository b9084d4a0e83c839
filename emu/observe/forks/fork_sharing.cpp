// What follows a fork: which pages it left shared, the faults that undo the sharing, and when that is over.
#include "emu/observe/forks/fork_tracer.hpp"

#include <algorithm>

#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

constexpr std::size_t kMostFindings = 64;
constexpr u64 kPteSoftware = 7u << 9; // bits that the processor leaves to software (SDM 3A 4.3)

} // namespace

PageTableView ForkTracer::user_pages(u32 directory, std::optional<std::pair<u64, u64>> before) const {
    PageTableViewOptions options;
    options.before = before;
    options.control = tables_.reader().control();
    options.user_only = true;
    return PageTableView::read(tables_.reader().memory(), AddressSpace(directory), options);
}

void ForkTracer::add_finding(ForkRecord& fork, std::string finding) {
    if (fork.findings.size() < kMostFindings)
        fork.findings.push_back(std::move(finding));
}

// `parent` is what the parent's program could touch when fork left.
void ForkTracer::settle(ForkRecord& fork, const SharedSet<u32>& protects, const PageTableView& parent) {
    fork.settled = true;
    fork.followed = false;
    if (fork.child_directory == 0 || fork.parent_directory == 0) {
        if (fork.left)
            state_.forks.rest(fork.number, options_.keep);
        return;
    }
    share_pages(fork, protects, parent, user_pages(fork.child_directory));
    begin_following(fork);
}

void ForkTracer::begin_following(ForkRecord& fork) {
    state_.stacks.inherit(fork.child_directory, fork.stacks);
    follow(fork);
    check_private(fork);
}

// Fills in what the sides have in common, and what not, as they stand.
void ForkTracer::share_pages(ForkRecord& fork, const SharedSet<u32>& protects, const PageTableView& parent,
                             const PageTableView& child) {
    fork.differences = SharedVector<DifferenceRange>(AddressSpaceDiff(parent, child).ranges());
    for (const PageEntry& page : parent.entries()) {
        if (page.state == PageState::Window)
            continue;
        const PageEntry* other = child.find(page.linear);
        if (other != nullptr && other->linear == page.linear && other->bytes() == page.bytes()) {
            share_page(fork, protects, page, *other);
            continue;
        }
        // Large on one side only.
        for (u64 at = page.linear; at < page.linear + page.bytes(); at += kPageSize) {
            const auto piece = static_cast<u32>(at);
            if (const PageEntry* beside = child.find(piece); beside != nullptr)
                share_page(fork, protects, page.piece_at(piece), beside->piece_at(piece));
        }
    }
    check_rights(fork);
}

// `page` is the parent's, `other` the child's at the same place.
void ForkTracer::share_page(ForkRecord& fork, const SharedSet<u32>& protects, const PageEntry& page,
                            const PageEntry& other) {
    if (other.physical != page.physical || other.state == PageState::Window || is_common(page, other))
        return;
    const bool read_only = ((page.rights | other.rights) & kPteWritable) == 0;
    SharedPage shared;
    shared.frame = static_cast<u32>(page.physical);
    shared.bytes = static_cast<u32>(page.bytes());
    const bool again = was_copy_on_write(fork, page.linear, shared.frame);
    shared.copy_on_write = read_only && (is_protected(protects, page) || again);
    if (shared.copy_on_write && again && ((page.entry ^ other.entry) & kPteSoftware) != 0)
        add_finding(fork,
                    fmt::format("page {:#010x} was shared for copying already, and the software's bits of its "
                                "entry are {:x} in the parent but {:x} in the child: a mark was lost",
                                page.linear, (page.entry & kPteSoftware) >> 9, (other.entry & kPteSoftware) >> 9));
    fork.still_shared += shared.copy_on_write ? shared.pages() : 0;
    fork.shared.emplace(page.linear, shared);
}

// Whether the right to write was taken from the entry that maps a page, or a piece of it.
bool ForkTracer::is_protected(const SharedSet<u32>& protects, const PageEntry& page) const {
    return protects.count(page.linear) != 0 || (page.large && protects.count(page.linear & ~(large_bytes() - 1)) != 0);
}

// One frame that only one side may write: the other would see the writes.
void ForkTracer::check_rights(ForkRecord& fork) {
    for (const DifferenceRange& range : fork.differences) {
        if (range.difference != PageDifference::RightsDiffer || ((range.flags_a ^ range.flags_b) & kPteWritable) == 0)
            continue;
        const char* writer = (range.flags_a & kPteWritable) != 0 ? "the parent" : "the child";
        add_finding(fork,
                    fmt::format("{} pages from {:#010x} lie in the same frames on both sides but only {} may write "
                                "them: the other side will see its writes",
                                range.pages(), range.start, writer));
    }
}

// Read-only already before this fork because an earlier one left it so.
bool ForkTracer::was_copy_on_write(const ForkRecord& fork, u32 page, u32 frame) const {
    for (const FollowedForks::Use& use : followed_.uses(frame)) {
        if (use.at != page || use.fork == fork.number)
            continue;
        const ForkRecord& earlier = *state_.forks.find(use.fork);
        const bool party =
            earlier.parent_directory == fork.parent_directory || earlier.child_directory == fork.parent_directory;
        if (party && earlier.shared.at(use.page).copy_on_write)
            return true;
    }
    return false;
}

// A process that forks again leaves shared what it left shared before: of its forks that are over the new one knows
// all.
void ForkTracer::follow(ForkRecord& fork) {
    const std::set<u64> earlier = followed_.of_parent(fork.parent_directory);
    for (const u64 number : earlier)
        if (state_.forks.find(number)->child_ended)
            unfollow(state_.forks.edit(number));
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
    const bool apart = fork.still_shared == 0 && fork.leaked_pages == 0;
    if (fork.private_cycle == 0 && (apart || fork.child_ended || fork.parent_ended))
        fork.private_cycle = now_->cycle;
}

void ForkTracer::attach_fault(ForkRecord& fork, const FaultRef& fault, ForkSide side, Cause cause) {
    const bool belongs = cause == Cause::Sharing;
    if (belongs)
        ++fork.fault_counts[static_cast<u8>(fault->page)];
    else
        ++fork.other_faults;
    if (fork.faults.size() < options_.most_entries)
        fork.faults.push_back({fault, side, belongs, !fork.settled});
    else
        fork.trimmed = true;
    for (const std::string& finding : fault->findings)
        add_finding(fork, finding);
}

// The child may run, and even end, before its parent has come back from fork: both sides are looked at now.
void ForkTracer::child_runs_early(u64 open, const TraceEvent& event) {
    const SharedVector<ForkStop>& stops = record(open).stops;
    const bool runnable =
        std::any_of(stops.begin(), stops.end(), [](const ForkStop& stop) { return stop.id == TP_FORK_RUNNABLE; });
    if (!runnable)
        return;
    const SharedSet<u32> protects = state_.open.at(open).protects;
    ForkRecord& fork = publish(open);
    settle(fork, protects, user_pages(fork.parent_directory));
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
            fault->is_cow() && (of_child || (of_parent && open.protects.count(fault->mapped_page(large_bytes())) != 0));
        attach_fault(edit_record(id), fault, side, belongs ? Cause::Sharing : Cause::Other);
        attached = attached || belongs;
        break;
    }
    share_fault(fault, attached);
    check_refused_write(*fault, "the kernel refused it");
    if (fault_listener_)
        fault_listener_(fault);
}

// Gives a fault to the forks that know its page. Attached: it has its place already, or is none of copy on write.
void ForkTracer::share_fault(const FaultRef& fault, bool attached) {
    const u32 space = fault->address_space;
    const u32 page = fault->page_address();
    if (fault->is_cow()) {
        for (const FollowedForks::Use& use : followed_.uses(static_cast<u32>(fault->before.frame))) {
            const ForkRecord& known = *state_.forks.find(use.fork);
            const bool is_child = known.child_directory == space && !known.child_ended;
            const bool is_parent = known.parent_directory == space && !known.parent_ended;
            if (use.at != page || (!is_child && !is_parent))
                continue;
            ForkRecord& fork = state_.forks.edit(use.fork);
            const ForkSide side = is_child ? ForkSide::Child : ForkSide::Parent;
            // The newest fork that shared the page made it read-only; older ones only lose one more sharer.
            if (!attached)
                attach_fault(fork, fault, side, Cause::Sharing);
            attached = true;
            reconsider(use.fork, use.page);
        }
        if (attached)
            return;
        auto& loose = state_.loose_faults;
        loose.emplace(loose.empty() ? 0 : loose.rbegin()->first + 1, fault);
        if (loose.size() > kMostLoose)
            loose.erase(loose.begin()->first);
    }
    // No fork caused it: it is listed with the newest fork that its space belongs to.
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
    attach_fault(state_.forks.edit(newest), fault, of_child ? ForkSide::Child : ForkSide::Parent, Cause::Other);
}

// What an entry maps has changed: pages that forks left shared may be shared no more, or more than they should.
void ForkTracer::on_entry_changed(const TraceEvent& event, const EntryOwner& owner) {
    if (event.b == event.c || followed_.size() == 0)
        return;
    const auto page = static_cast<u32>(owner.linear.value);
    if (owner.level == 1 || owner.space == AddressSpace()) {
        std::vector<std::pair<u64, u32>> concerned;
        const bool anywhere = owner.space == AddressSpace();
        for (const u64 entry : {event.b, event.c})
            if ((entry & kPtePresent) != 0)
                for (const FollowedForks::Use& use : followed_.uses(static_cast<u32>(entry & kPteFrame)))
                    if (anywhere || use.at == page)
                        concerned.emplace_back(use.fork, use.page);
        std::sort(concerned.begin(), concerned.end());
        concerned.erase(std::unique(concerned.begin(), concerned.end()), concerned.end());
        for (const auto& [fork, shared_page] : concerned)
            reconsider(fork, shared_page);
        return;
    }
    // A whole table, or a large page, goes or changes its rights. A table that only comes leaves what was there, unless
    // it stands for a large page.
    const bool comes = (event.b & kPtePresent) == 0;
    for (const u64 number : followed_.of_directory(owner.space.root)) {
        const auto& shared = state_.forks.find(number)->shared;
        std::vector<u32> pages;
        for (auto place = shared.lower_bound(page); place != shared.end() && place->first - page < bytes_at(2); ++place)
            if (!comes || place->second.bytes > kPageSize)
                pages.push_back(place->first);
        for (const u32 one : pages)
            reconsider(number, one);
    }
}

// Whether both sides still map the frame, from their entries as they stand.
void ForkTracer::reconsider(u64 number, u32 page) {
    ForkRecord& fork = state_.forks.edit(number);
    if (fork.shared.count(page) == 0 || fork.parent_ended || fork.child_ended || split_if_mapped_by_pieces(fork, page))
        return;
    SharedPage& shared = fork.shared.edit(page);
    const WalkView parent = tables_.reader().walk(AddressSpace(fork.parent_directory), LinearAddress(page));
    const WalkView child = tables_.reader().walk(AddressSpace(fork.child_directory), LinearAddress(page));
    const bool waited = shared.waits();
    const bool had_left = shared.child_settled;
    shared.parent_settled = !parent.present || parent.frame != shared.frame;
    shared.child_settled = !child.present || child.frame != shared.frame;
    if (shared.child_settled != had_left)
        followed_.child_moved(fork, page);
    shared.writable = shared.shared() && (parent.writable() || child.writable());
    if (!shared.copy_on_write)
        return;
    if (waited != shared.waits()) {
        fork.still_shared += shared.waits() ? shared.pages() : ~shared.pages() + 1;
        if (shared.waits())
            fork.private_cycle = 0; // shared once more
    }
    if (shared.writable)
        doubt(number, page, SharedPage::Granted);
    check_private(fork);
}

// A large page that either side maps by a table now: what becomes of each piece is its own matter.
bool ForkTracer::split_if_mapped_by_pieces(ForkRecord& fork, u32 page) {
    const SharedPage whole = fork.shared.at(page);
    if (whole.bytes == kPageSize)
        return false;
    const auto by_table = [&](u32 directory) {
        const WalkView walk = tables_.reader().walk(AddressSpace(directory), LinearAddress(page));
        return walk.table_entry_address != PhysicalAddress(0);
    };
    if (!by_table(fork.parent_directory) && !by_table(fork.child_directory))
        return false;
    const u64 place = followed_.remove_page(fork, page);
    fork.shared.erase(page);
    for (u32 offset = 0; offset < whole.bytes; offset += kPageSize) {
        SharedPage piece = whole;
        piece.frame += offset;
        piece.bytes = kPageSize;
        fork.shared.emplace(page + offset, piece);
        followed_.add_page(fork, page + offset, place);
    }
    for (u32 offset = 0; offset < whole.bytes; offset += kPageSize)
        reconsider(fork.number, page + offset);
    return true;
}

// Something was done to a page that should not be done while both sides live, by the space that runs.
void ForkTracer::doubt(u64 number, u32 page, u8 what) {
    ForkRecord& fork = state_.forks.edit(number);
    SharedPage& shared = fork.shared.edit(page);
    if ((shared.doubt & SharedPage::Found) != 0)
        return;
    shared.doubt |= what;
    shared.doubt |= now_->address_space == fork.parent_directory  ? SharedPage::ByParent
                    : now_->address_space == fork.child_directory ? SharedPage::ByChild
                                                                  : 0;
    state_.doubtful.insert(number);
}

// A space runs: it lives. What was done behind its back to a frame that it still has is a finding.
void ForkTracer::see_alive(u32 directory) {
    const SharedSet<u64> doubtful = state_.doubtful;
    for (const u64 number : doubtful) {
        const ForkRecord* known = state_.forks.find(number);
        if (known == nullptr || !known->followed) {
            state_.doubtful.erase(number);
            continue;
        }
        // Whoever runs in the space of a side that has ended is another.
        const bool is_parent = known->parent_directory == directory && !known->parent_ended;
        const bool is_child = known->child_directory == directory && !known->child_ended;
        if (!is_parent && !is_child)
            continue;
        ForkRecord& fork = state_.forks.edit(number);
        const u8 own = is_child ? SharedPage::ByChild : SharedPage::ByParent;
        const auto pages = fork.shared;
        for (const auto& [page, shared] : pages) {
            constexpr u8 kWhat = SharedPage::Granted | SharedPage::Stored;
            if ((shared.doubt & kWhat) == 0 || (shared.doubt & (SharedPage::Found | own)) != 0)
                continue;
            const WalkView walk = tables_.reader().walk(AddressSpace(directory), LinearAddress(page));
            if (walk.present && walk.frame == shared.frame)
                confirm(fork, page, fork.shared.edit(page));
        }
    }
}

void ForkTracer::confirm(ForkRecord& fork, u32 page, SharedPage& shared) {
    shared.doubt |= SharedPage::Found;
    fork.leaked_pages += shared.pages();
    fork.private_cycle = 0;
    if ((shared.doubt & SharedPage::Stored) != 0)
        return add_finding(
            fork, fmt::format("the kernel stored into frame {:#010x}, which parent and child share at page "
                              "{:#010x}: both sides see it (CR0.WP is {})",
                              shared.frame, page, (tables_.reader().control().cr0 & kCr0Wp) != 0 ? "set" : "clear"));
    const bool by_child = (shared.doubt & SharedPage::ByParent) == 0;
    add_finding(fork, fmt::format("the {} was given the right to write page {:#010x} while the {} still maps its frame "
                                  "{:#010x}: what one writes, the other sees",
                                  by_child ? "child" : "parent", page, by_child ? "parent" : "child", shared.frame));
}

// A write to a page that is shared for copying, which the kernel did not allow. That it had no frame left for a copy is
// no mistake, but only the kernel can say so.
void ForkTracer::check_refused_write(const FaultRecord& fault, const char* outcome) {
    if (!fault.is_write() || fault.resolved || !fault.before.present || fault.before.writable() ||
        fault.stated == FaultClass::NoMemory)
        return;
    for (const FollowedForks::Use& use : followed_.uses(static_cast<u32>(fault.before.frame))) {
        const ForkRecord& fork = *state_.forks.find(use.fork);
        const bool of_child = fork.child_directory == fault.address_space;
        if (use.at != fault.page_address() || (!of_child && fork.parent_directory != fault.address_space) ||
            !fork.shared.at(use.page).copy_on_write)
            continue;
        add_finding(
            state_.forks.edit(use.fork),
            fmt::format("the {}'s write to page {:#010x}, which is shared for copying, neither got a copy of the "
                        "page nor the right to write it: {} (fault {})",
                        of_child ? "child" : "parent", use.page, outcome, fault.number));
        return;
    }
}

// The kernel stored into a frame that no program may write, for it is shared for copying.
void ForkTracer::check_store_into_shared(u32 frame) {
    for (const FollowedForks::Use& use : followed_.uses(frame)) {
        const ForkRecord& fork = *state_.forks.find(use.fork);
        if (fork.shared.at(use.page).waits() && fork.left_instructions <= state_.since)
            return doubt(use.fork, use.page, SharedPage::Stored);
    }
}

// One side, or both at once, is no more.
void ForkTracer::end_sides(ForkRecord& fork, bool parent, bool child) {
    fork.parent_ended = fork.parent_ended || parent;
    fork.child_ended = fork.child_ended || child;
    if (child)
        followed_.child_ended(fork);
    check_private(fork);
    const std::set<u64>& of_parent = followed_.of_parent(fork.parent_directory);
    const bool newer = !of_parent.empty() && *of_parent.rbegin() > fork.number;
    if (fork.child_ended && (fork.parent_ended || newer))
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
    for (const FaultRecord* fault : state_.faults.open_in(directory))
        check_refused_write(*fault, "the process was killed");
    state_.faults.space_ended(directory);
    forget_calls(directory);
    state_.stacks.forget(directory);
    for (const u64 call : state_.open.pending_on(directory)) {
        state_.open.set_pending(call, 0);
        drop_sides(call);
    }
    for (const u64 number : followed_.of_directory(directory)) {
        ForkRecord& fork = state_.forks.edit(number);
        end_sides(fork, fork.parent_directory == directory, fork.child_directory == directory);
    }
    if (symbols_ != nullptr)
        symbols_->unbind(directory);
}

} // namespace forkscope
