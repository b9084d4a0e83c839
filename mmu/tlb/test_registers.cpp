// The TLB's test registers on the 386 and the 486 (386 programmer's manual 10.6, 386 DX hardware manual 12.2, i486
// programmer's manual 10.5): a write into TR6 is a command, which writes an entry or looks one up.
#include "mmu/paging_unit.hpp"

namespace forkscope {

namespace {

enum Command : u32 {
    kLookUp = 1u << 0, // else: write
    kValid = 1u << 11,
};
enum Data : u32 {
    kReplacementShift = 2,
    kHit = 1u << 4, // of a lookup; on a write: the REP field names the way, else the replacement state does
    kLruShift = 7,
};

// A property of the tag: its bit in TR6, with the complement one below, and its bit in an entry.
struct Tag {
    u32 bit;
    u32 entry_bit;
};
constexpr Tag kTags[] = {{1u << 10, kPteDirty}, {1u << 8, kPteUser}, {1u << 6, kPteWritable}};

// Bit and complement both set match anything, both clear nothing.
bool matches(u32 command, u64 entry) {
    for (const Tag& tag : kTags) {
        const u32 wanted = (entry & tag.entry_bit) != 0 ? tag.bit : tag.bit >> 1;
        if ((command & wanted) == 0)
            return false;
    }
    return (command & kValid) != 0;
}

} // namespace

void PagingUnit::test_tlb(u32& command, u32& data) {
    (command & kLookUp) != 0 ? look_up_for_test(command, data) : write_for_test(command, data);
}

// A miss leaves the other fields as they were. The replacement state does not change, so that it can be read.
void PagingUnit::look_up_for_test(u32& command, u32& data) {
    const TlbPlace place = tlb_.find(TlbArray::Data4K, command);
    const u64 entry = place.found ? tlb_.entry(place).entry : 0;
    if (!place.found || !matches(command, entry)) {
        data &= ~u32{kHit};
        return;
    }
    for (const Tag& tag : kTags)
        command = (command & ~(tag.bit | tag.bit >> 1)) | ((entry & tag.entry_bit) != 0 ? tag.bit : tag.bit >> 1);
    data = (static_cast<u32>(entry) & ~kPageMask) | kHit | u32{place.way} << kReplacementShift;
    if (tlb_.model().shows_lru)
        data |= u32{tlb_.plru(place.array, place.set)} << kLruShift;
}

// Writes even a second entry for the same page: the lower way is then found first.
void PagingUnit::write_for_test(u32 command, u32 data) {
    const u32 linear = command & ~kPageMask;
    const bool named = (data & kHit) != 0;
    TlbPlace place = named ? tlb_.find(TlbArray::Data4K, linear) : tlb_.take_place(TlbArray::Data4K, linear);
    if (named)
        place.way = static_cast<u8>(data >> kReplacementShift & 3 & (tlb_.geometry(place.array).ways - 1));
    TlbEntry entry;
    if ((command & kValid) != 0) {
        entry.tag = linear;
        entry.entry = (data & ~kPageMask) | kPtePresent | kPteAccessed;
        for (const Tag& tag : kTags)
            entry.entry |= (command & tag.bit) != 0 ? tag.entry_bit : 0;
        const TracePlace place_of_fill = tracer_.place();
        entry.filled_by = place_of_fill.eip;
        entry.filled_at = place_of_fill.cycle;
    }
    const TlbEntry previous = tlb_.entry(place);
    front_.unpublish(place);
    tlb_.set_entry(place, entry);
    front_.unpublish(place);
    tlb_.touch(place);
    if (previous.valid())
        emit_entry(TraceKind::TlbEvict, place, previous);
    if (entry.valid())
        emit_entry(TraceKind::TlbFill, place, entry);
}

} // namespace forkscope
