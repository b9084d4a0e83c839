// What a space has of its maker's pages: shared for copying, copied, or neither.
#include <algorithm>
#include <array>

#include "emu/observe/forks/fork_tracer.hpp"

namespace forkscope {

// What a new space has of its maker's.
struct ForkTracer::Likeness {
    u64 shared = 0; // pages in the same frames
    u64 cow = 0;    // of those: that are shared for copying
    u64 copied = 0; // in frames of its own, where the maker has a page too: with its contents, or written by the call
    // The same without pages of zeros, which are alike by chance.
    u64 alike = 0, counted = 0;
    u64 writable_alike = 0, writable = 0;

    bool fork() const {
        const bool copies = writable_alike != 0 && writable_alike * 2 >= writable;
        return (cow != 0 || copies) && (shared + alike) * 2 >= shared + counted;
    }
};

// What the caller's program could touch when the call returned: since then it may have left pages by faults.
PageTableView ForkTracer::parent_at_return(const OpenFork& call, std::optional<std::pair<u64, u64>> before) const {
    PageTableView pages = user_pages(call.directory, before);
    if (call.kind == OpenKind::EndedCall)
        for (auto fault = state_.loose_faults.rbegin(); fault != state_.loose_faults.rend(); ++fault)
            if (fault->second->address_space == call.directory &&
                fault->second->begin_instructions >= call.record.left_instructions)
                pages.put_back(fault->second->address, fault->second->before, large_bytes());
    return pages;
}

// A page that the maker's program may not touch, as one below a stack; its copy in the new space may be open to all.
bool ForkTracer::copied_from_hidden(const OpenFork& call, const PageEntry& page) const {
    const AddressSpaceReader& reader = tables_.reader();
    const WalkView own = reader.walk(AddressSpace(call.directory), LinearAddress(page.linear));
    std::array<u8, kPageSize> bytes, others;
    return page.bytes() == kPageSize && own.present && !own.user() && own.frame != page.physical &&
           reader.memory().read(PhysicalAddress(own.frame), others) &&
           reader.memory().read(PhysicalAddress(page.physical), bytes) && bytes == others;
}

ForkTracer::Likeness ForkTracer::compare(const OpenFork& call, const PageTableView& parent,
                                         const PageTableView& child) const {
    Likeness likeness;
    for (const PageEntry& page : child.entries()) {
        if (page.state == PageState::Window)
            continue;
        const PageEntry* other = parent.find(page.linear);
        const bool same_size = other != nullptr && other->linear == page.linear && other->bytes() == page.bytes();
        if (same_size && (other->physical == page.physical || is_common(page, *other))) {
            compare_piece(call, page, other, likeness);
            continue;
        }
        for (u64 at = page.linear; at < page.linear + page.bytes(); at += kPageSize) {
            const auto piece = static_cast<u32>(at);
            const PageEntry* beside = parent.find(piece);
            if (beside == nullptr)
                compare_piece(call, page.piece_at(piece), nullptr, likeness);
            else if (const PageEntry theirs = beside->piece_at(piece); beside->state != PageState::Window)
                compare_piece(call, page.piece_at(piece), &theirs, likeness);
        }
    }
    return likeness;
}

// 4 KB, or a large page that is whole in the same memory on both sides.
void ForkTracer::compare_piece(const OpenFork& call, const PageEntry& page, const PageEntry* other,
                               Likeness& likeness) const {
    const PhysicalMemory& memory = tables_.reader().memory();
    if (other == nullptr && copied_from_hidden(call, page)) {
        ++likeness.copied;
        return;
    }
    if (other != nullptr && is_common(page, *other))
        return;
    if (other != nullptr && other->physical == page.physical) {
        const u64 pages = page.bytes() / kPageSize;
        const bool read_only = ((page.rights | other->rights) & kPteWritable) == 0;
        const bool cow = read_only && (is_protected(call.protects, *other) ||
                                       was_copy_on_write(call.record, page.linear, static_cast<u32>(page.physical)));
        likeness.shared += pages;
        likeness.cow += cow ? pages : 0;
        return;
    }
    std::array<u8, kPageSize> bytes, others;
    if (!memory.read(PhysicalAddress(page.physical), bytes))
        return;
    const bool zero = std::all_of(bytes.begin(), bytes.end(), [](u8 byte) { return byte == 0; });
    const bool writable = (page.rights & kPteWritable) != 0;
    const bool alike = other != nullptr && memory.read(PhysicalAddress(other->physical), others) && bytes == others;
    const bool by_call =
        other != nullptr && writers_.last(page.physical >> kPageShift) == static_cast<FrameWriters::Writer>(call.id);
    likeness.copied += alike || by_call ? 1 : 0;
    if (zero)
        return;
    ++likeness.counted;
    likeness.alike += alike ? 1 : 0;
    likeness.writable += writable ? 1 : 0;
    likeness.writable_alike += alike && writable ? 1 : 0;
}

// Writes down what the caller and a space that it built have in common, if that is what fork leaves.
bool ForkTracer::keep_sides(u64 id, u32 child, std::optional<std::pair<u64, u64>> before) {
    const OpenFork& call = state_.open.at(id);
    const PageTableView parent_pages = parent_at_return(call, before);
    const PageTableView child_pages = user_pages(child);
    const Likeness likeness = compare(call, parent_pages, child_pages);
    if (!likeness.fork())
        return false;
    OpenFork& kept = state_.open.edit(id);
    kept.kept_child = child;
    kept.kept_shares = likeness.cow != 0;
    kept.record.copied_pages = likeness.copied;
    share_pages(kept.record, kept.protects, parent_pages, child_pages);
    return true;
}

void ForkTracer::drop_sides(u64 id) {
    OpenFork& call = state_.open.edit(id);
    call.kept_child = 0;
    call.looked_at = false;
    call.record.shared.clear();
    call.record.differences = {};
    call.record.findings.clear();
    call.record.still_shared = call.record.copied_pages = 0;
}

} // namespace forkscope
