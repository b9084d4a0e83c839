#include "emu/observe/page_table_view.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

namespace forkscope {

namespace {

constexpr u32 kSlots = 1024;
constexpr u32 kSlotShift = 22;
constexpr u32 kFrameMask = ~kPageMask;
constexpr u32 kLargeFrameMask = 0xFFC00000u;
using Table = std::array<u32, kSlots>;

bool is_large(u32 directory_entry, bool large_pages) { return large_pages && (directory_entry & kPteLarge) != 0; }

// The slot in which a directory maps itself, or kSlots.
u32 self_slot(const Table& directory, u32 own_frame) {
    for (u32 slot = kSlots; slot-- > 0;)
        if ((directory[slot] & kPtePresent) != 0 && (directory[slot] & kFrameMask) == own_frame)
            return slot;
    return kSlots;
}

u32 flags_of(const PageEntry& entry) { return kPtePresent | entry.rights; }

} // namespace

u32 AddressSpaceReader::word(u64 physical) const {
    std::array<u8, 4> bytes;
    u32 value = 0;
    if (memory_->read(PhysicalAddress(physical), bytes))
        std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

bool AddressSpaceReader::table(u64 frame_address, std::span<u32> entries) const {
    return memory_->read(PhysicalAddress(frame_address & kFrameMask),
                         {reinterpret_cast<u8*>(entries.data()), entries.size_bytes()});
}

WalkView AddressSpaceReader::walk(u32 address_space, u32 address) const {
    WalkView view;
    view.directory_entry_address = PhysicalAddress((address_space & kFrameMask) + (address >> kSlotShift) * 4);
    view.directory_entry = word(view.directory_entry_address.value);
    if ((view.directory_entry & kPtePresent) == 0)
        return view;
    const u32 rights = view.directory_entry & (kPteWritable | kPteUser);
    if (is_large(view.directory_entry, large_pages_)) {
        view.present = view.large = true;
        view.rights = rights | (view.directory_entry & kPteGlobal);
        view.frame = (view.directory_entry & kLargeFrameMask) | (address & ~kLargeFrameMask & kFrameMask);
        return view;
    }
    const u32 table_slot = address >> kPageShift & (kSlots - 1);
    view.table_entry_address = PhysicalAddress((view.directory_entry & kFrameMask) + table_slot * 4);
    view.table_entry = word(view.table_entry_address.value);
    if ((view.table_entry & kPtePresent) == 0)
        return view;
    view.present = true;
    view.rights = (rights & view.table_entry) | (view.table_entry & kPteGlobal);
    view.frame = view.table_entry & kFrameMask;
    return view;
}

bool AddressSpaceReader::read(u32 address_space, u32 address, std::span<u8> bytes) const {
    u64 at = address;
    while (!bytes.empty()) {
        const WalkView view = walk(address_space, static_cast<u32>(at));
        const auto part = std::min<std::size_t>(bytes.size(), kPageSize - (at & kPageMask));
        if (at >> 32 != 0 || !view.present ||
            !memory_->read(PhysicalAddress(view.frame + (at & kPageMask)), bytes.first(part)))
            return false;
        bytes = bytes.subspan(part);
        at += part;
    }
    return true;
}

const char* page_state_name(PageState state) {
    constexpr std::array<const char*, 6> kNames = {"absent",          "private", "shared read-only",
                                                   "shared writable", "kernel",  "window"};
    return kNames[static_cast<std::size_t>(state)];
}

const char* page_difference_name(PageDifference difference) {
    constexpr std::array<const char*, 5> kNames = {"same frame", "rights differ", "different frame", "only in parent",
                                                   "only in child"};
    return kNames[static_cast<std::size_t>(difference)];
}

std::string rights_text(u32 flags) {
    std::string text = "---";
    if ((flags & kPtePresent) != 0)
        text[0] = 'r';
    if ((flags & kPteWritable) != 0)
        text[1] = 'w';
    if ((flags & kPtePresent) != 0 && (flags & kPteUser) == 0)
        text[2] = 'k';
    return text;
}

PageTableView PageTableView::read(const PhysicalMemory& memory, u32 address_space,
                                  const PageTableViewOptions& options) {
    PageTableView view;
    view.address_space_ = address_space & kFrameMask;
    view.kernel_base_ = options.kernel_base;
    const AddressSpaceReader reader(memory, options.large_pages);
    Table directory;
    if (!reader.table(view.address_space_, directory))
        return view;
    const u32 self = self_slot(directory, view.address_space_);
    for (u32 slot = 0; slot < kSlots; ++slot) {
        const u32 entry = directory[slot];
        const u32 linear = slot << kSlotShift;
        if ((entry & kPtePresent) == 0 || (!options.kernel_half && linear >= options.kernel_base))
            continue;
        const u32 target = entry & kFrameMask;
        const u32 entry_address = view.address_space_ + slot * 4;
        if (is_large(entry, options.large_pages)) {
            view.add_entry(linear, entry, entry_address, entry, true);
            continue;
        }
        // A window: the directory itself, a directory that we were told of, or one that maps itself in the same slot.
        const bool named =
            std::find(options.directories.begin(), options.directories.end(), target) != options.directories.end();
        const bool mirrored = self != kSlots && (reader.word(target + u64{self} * 4) & (kFrameMask | kPtePresent)) ==
                                                    (target | kPtePresent);
        if (target == view.address_space_ || named || mirrored) {
            view.add_entry(linear, entry, entry_address, entry, false);
            view.entries_.back().state = PageState::Window;
        } else {
            view.add_table(reader, slot, entry);
        }
    }
    return view;
}

void PageTableView::add_table(const AddressSpaceReader& reader, u32 slot, u32 directory_entry) {
    Table table;
    const u32 frame = directory_entry & kFrameMask;
    if (!reader.table(frame, table))
        return;
    tables_.push_back(frame);
    for (u32 i = 0; i < kSlots; ++i)
        if ((table[i] & kPtePresent) != 0)
            add_entry(slot << kSlotShift | i << kPageShift, table[i], frame + i * 4, directory_entry, false);
}

void PageTableView::add_entry(u32 linear, u32 entry, u32 entry_address, u32 directory_entry, bool large) {
    PageEntry page;
    page.linear = linear;
    page.entry = entry;
    page.entry_address = entry_address;
    page.rights = (entry & directory_entry & (kPteWritable | kPteUser)) | (entry & kPteGlobal);
    page.physical = large ? entry & kLargeFrameMask : entry & kFrameMask;
    page.large = large;
    page.state = linear >= kernel_base_ || (page.rights & kPteUser) == 0 ? PageState::Kernel : PageState::Private;
    entries_.push_back(page);
}

const PageEntry* PageTableView::find(u32 address) const {
    const auto after = std::upper_bound(entries_.begin(), entries_.end(), address,
                                        [](u32 value, const PageEntry& entry) { return value < entry.linear; });
    if (after == entries_.begin())
        return nullptr;
    const PageEntry& entry = *std::prev(after);
    return address - entry.linear < entry.bytes() ? &entry : nullptr;
}

std::vector<PageRange> PageTableView::ranges(bool by_frame) const {
    std::vector<PageRange> ranges;
    for (const PageEntry& entry : entries_) {
        const u8 level = entry.bytes() > kPageSize ? 2 : 1;
        const u32 flags = flags_of(entry);
        if (!ranges.empty()) {
            PageRange& last = ranges.back();
            const bool runs_on = !last.scattered && last.physical + (last.end - last.start) == entry.physical;
            if (last.end == entry.linear && last.flags == flags && last.state == entry.state && last.level == level &&
                entry.state != PageState::Window && (runs_on || !by_frame)) {
                last.end += entry.bytes();
                last.scattered = last.scattered || !runs_on;
                continue;
            }
        }
        ranges.push_back({entry.linear, entry.linear + entry.bytes(), entry.physical, flags, level, entry.large, false,
                          entry.state});
    }
    return ranges;
}

void PageTableView::classify(std::span<PageTableView* const> views) {
    std::unordered_map<u64, u32> references;
    const auto each = [&](auto&& act) {
        for (PageTableView* view : views)
            for (PageEntry& entry : view->entries_)
                if (entry.state != PageState::Kernel && entry.state != PageState::Window)
                    act(entry);
    };
    each([&](PageEntry& entry) { ++references[entry.physical]; });
    each([&](PageEntry& entry) {
        entry.state = references[entry.physical] < 2       ? PageState::Private
                      : (entry.rights & kPteWritable) != 0 ? PageState::SharedWritable
                                                           : PageState::SharedReadOnly;
    });
}

AddressSpaceDiff::AddressSpaceDiff(const PageTableView& a, const PageTableView& b, u32 kernel_base) {
    const auto& left = a.entries();
    const auto& right = b.entries();
    std::size_t i = 0;
    std::size_t j = 0;
    while (true) {
        const u64 at_a = i < left.size() ? left[i].linear : kernel_base;
        const u64 at_b = j < right.size() ? right[j].linear : kernel_base;
        if (std::min(at_a, at_b) >= kernel_base)
            break;
        if (at_a < at_b) {
            add(at_a, left[i].bytes(), PageDifference::OnlyInA, flags_of(left[i]), 0);
            ++i;
        } else if (at_b < at_a) {
            add(at_b, right[j].bytes(), PageDifference::OnlyInB, 0, flags_of(right[j]));
            ++j;
        } else {
            const bool same_frame = left[i].physical == right[j].physical && left[i].large == right[j].large;
            const PageDifference difference = !same_frame                         ? PageDifference::DifferentFrame
                                              : left[i].rights != right[j].rights ? PageDifference::RightsDiffer
                                                                                  : PageDifference::Same;
            add(at_a, left[i].bytes(), difference, flags_of(left[i]), flags_of(right[j]));
            ++i;
            ++j;
        }
    }
}

void AddressSpaceDiff::add(u64 start, u64 bytes, PageDifference difference, u32 flags_a, u32 flags_b) {
    if (!ranges_.empty()) {
        DifferenceRange& last = ranges_.back();
        if (last.end == start && last.difference == difference && last.flags_a == flags_a && last.flags_b == flags_b) {
            last.end += bytes;
            return;
        }
    }
    ranges_.push_back({start, start + bytes, difference, flags_a, flags_b});
}

u64 AddressSpaceDiff::pages(PageDifference difference) const {
    u64 pages = 0;
    for (const DifferenceRange& range : ranges_)
        pages += range.difference == difference ? range.pages() : 0;
    return pages;
}

} // namespace forkscope
