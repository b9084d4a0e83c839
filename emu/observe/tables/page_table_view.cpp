#include "emu/observe/tables/page_table_view.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "emu/base/trace_vocabulary.hpp"

namespace forkscope {

namespace {

constexpr u64 kMostFrame = 0xFFFFFFFF; // RAM, and with it every table, lies below 4 GB

// The slot in which a directory maps itself, or as many as it has.
u32 self_slot(const std::vector<u64>& directory, u64 own_frame) {
    for (u32 slot = static_cast<u32>(directory.size()); slot-- > 0;)
        if ((directory[slot] & kPtePresent) != 0 && (directory[slot] & kPteFrame) == own_frame)
            return slot;
    return static_cast<u32>(directory.size());
}

u32 flags_of(const PageEntry& entry) { return kPtePresent | entry.rights; }

// The policy of a walk whose entries an event carries.
struct CarriedEntries {
    const PagingState& paging;
    const TraceEvent& event;
    u32 level = 0;

    PhysicalAddress locate(u64 table, u32 offset, u32 of_level) {
        level = of_level;
        return paging.on_bus(table) + offset;
    }
    template <class Entry> void read(PhysicalAddress, Entry& entry) const {
        entry = static_cast<Entry>(level == 2 ? event.c : event.d);
    }
    void set_bits(PhysicalAddress, u64, u64, u32) const {}
};

} // namespace

u32 AddressSpaceReader::word(u64 physical) const {
    std::array<u8, 4> bytes;
    u32 value = 0;
    if (memory().read(PhysicalAddress(physical), bytes))
        std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

u64 AddressSpaceReader::entry(u64 physical) const {
    u64 value = 0;
    if (!memory().read(PhysicalAddress(physical), {reinterpret_cast<u8*>(&value), geometry().entry_bytes}))
        return 0;
    return value;
}

std::vector<u64> AddressSpaceReader::table(u64 frame_address) const {
    const PhysicalAddress first(frame_address & kPteFrame);
    const auto read = [&](auto& words) {
        return memory().read(first, {reinterpret_cast<u8*>(words.data()), kPageSize})
                   ? std::vector<u64>(words.begin(), words.end())
                   : std::vector<u64>{};
    };
    std::array<u32, kPageSize / sizeof(u32)> narrow;
    std::array<u64, kPageSize / sizeof(u64)> wide;
    return geometry().entry_bytes == sizeof(u32) ? read(narrow) : read(wide);
}

std::vector<u64> AddressSpaceReader::directories(AddressSpace space) const {
    if (!control().pae())
        return {space.root};
    std::vector<u64> frames;
    for (u32 i = 0; i < geometry().directories; ++i) {
        const u64 pointer = entry(space.root + u64{i} * 8);
        frames.push_back((pointer & kPtePresent) != 0 ? pointer & kPteFrame : 0);
    }
    return frames;
}

WalkView WalkView::of(const Walk& walk) {
    WalkView view;
    view.directory_entry_address = walk.at(2).entry_address;
    view.directory_entry = walk.at(2).entry;
    view.table_entry_address = walk.at(1).entry_address;
    view.table_entry = walk.at(1).entry;
    view.present = walk.ok;
    view.large = walk.large;
    view.no_execute = walk.no_execute;
    view.rights = walk.ok ? walk.rights : 0;
    view.frame = walk.ok ? walk.physical.page_start().value : 0;
    return view;
}

WalkView AddressSpaceReader::walk(AddressSpace space, LinearAddress address) const {
    return WalkView::of(paging_.look_in(space, address, Privilege::Supervisor, AccessKind::Read));
}

WalkView AddressSpaceReader::faulting_walk(const TraceEvent& event) const {
    CarriedEntries policy{paging_, event};
    return WalkView::of(paging_.walk_in(policy, AddressSpace(event.address_space), LinearAddress(event.a),
                                        Privilege::Supervisor, AccessKind::Read));
}

bool AddressSpaceReader::read(AddressSpace space, LinearAddress address, std::span<u8> bytes) const {
    while (!bytes.empty()) {
        const WalkView view = walk(space, address);
        const auto part = std::min<std::size_t>(bytes.size(), kPageSize - address.offset());
        if (address.value >> 32 != 0 || !view.present ||
            !memory().read(PhysicalAddress(view.frame + address.offset()), bytes.first(part)))
            return false;
        bytes = bytes.subspan(part);
        address = address + part;
    }
    return true;
}

PagingControl AddressSpaceReader::assumed() {
    PagingControl control;
    control.cr0 = kCr0Pe | kCr0Pg;
    control.cr4 = kCr4Pse | kCr4Pge;
    control.efer = kEferNxe; // no event says so
    control.features = {true, true, 36};
    return control;
}

// The PDPTE registers are loaded when the hardware loads them. Of a CR3 write the flush tells that, as a task switch to
// the same CR3 loads nothing.
void AddressSpaceReader::on_event(const TraceEvent& event) {
    const auto value = static_cast<u32>(event.c);
    if (event.kind == TraceKind::Cr3Load && event.a != event.b)
        paging_.set_cr3(static_cast<u32>(event.b));
    else if (event.kind == TraceKind::ControlRegister)
        event.a == 0 ? paging_.set_cr0(value) : paging_.set_cr4(value);
    else if (event.kind == TraceKind::TlbFlush && event.a == static_cast<u64>(TlbFlushReason::Cr3))
        paging_.load_pdptes();
}

const char* page_state_name(PageState state) {
    constexpr std::array<const char*, kPageStates> kNames = {"absent", "private", "shared read-only", "shared writable",
                                                             "kernel", "window",  "supervisor"};
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

PageTableView PageTableView::read(const PhysicalMemory& memory, AddressSpace space,
                                  const PageTableViewOptions& options) {
    PageTableView view;
    view.space_ = options.control.space_of(space.root);
    const AddressSpaceReader reader(memory, options.control);
    u32 first = 0;
    for (const u64 directory : reader.directories(view.space_)) {
        if (directory != 0 || !options.control.pae())
            view.add_directory(reader, options, directory, first);
        first += 1u << 30;
    }
    return view;
}

void PageTableView::add_directory(const AddressSpaceReader& reader, const PageTableViewOptions& options, u64 directory,
                                  u32 first) {
    const PagingGeometry& geometry = reader.geometry();
    const std::vector<u64> entries = options.table(reader, directory);
    const u32 self = self_slot(entries, directory);
    for (u32 slot = 0; slot < entries.size(); ++slot) {
        const u64 entry = entries[slot];
        const u32 linear = first + (slot << geometry.large_shift);
        if ((entry & kPtePresent) == 0 || (options.user_only && (entry & kPteUser) == 0))
            continue;
        const u64 target = entry & kPteFrame;
        const u64 entry_address = directory + u64{slot} * geometry.entry_bytes;
        if (reader.is_large(entry)) {
            add_entry(reader, linear, entry, entry_address, entry, 2).size = geometry.large_bytes();
            continue;
        }
        // A window: the directory itself, a directory that we were told of, or one that maps itself in the same slot.
        const bool named =
            std::find(options.directories.begin(), options.directories.end(), target) != options.directories.end();
        const u64 mirror = reader.entry(target + u64{self} * geometry.entry_bytes);
        const bool mirrored = self != entries.size() && (mirror & (kPteFrame | kPtePresent)) == (target | kPtePresent);
        if (target == directory || named || mirrored) {
            PageEntry& window = add_entry(reader, linear, entry, entry_address, entry, 2);
            window.state = PageState::Window;
            window.size = geometry.large_bytes();
        } else {
            add_table(reader, options, linear, entry);
        }
    }
}

std::vector<u64> PageTableViewOptions::table(const AddressSpaceReader& reader, u64 frame) const {
    std::vector<u64> entries = reader.table(frame);
    if (before && before->first - frame < kPageSize && !entries.empty())
        entries[(before->first - frame) / reader.geometry().entry_bytes] = before->second;
    return entries;
}

void PageTableView::add_table(const AddressSpaceReader& reader, const PageTableViewOptions& options, u32 linear,
                              u64 directory_entry) {
    const u64 frame = directory_entry & kPteFrame;
    const std::vector<u64> entries = options.table(reader, frame);
    if (entries.empty() || frame > kMostFrame)
        return;
    tables_.push_back(static_cast<u32>(frame));
    const u32 width = reader.geometry().entry_bytes;
    for (u32 i = 0; i < entries.size(); ++i)
        if ((entries[i] & kPtePresent) != 0 && (!options.user_only || (entries[i] & kPteUser) != 0))
            add_entry(reader, linear | i << kPageShift, entries[i], frame + u64{i} * width, directory_entry, 1);
}

PageEntry& PageTableView::add_entry(const AddressSpaceReader& reader, u32 linear, u64 entry, u64 entry_address,
                                    u64 directory_entry, u8 level) {
    const bool large = level == 2 && reader.is_large(entry);
    PageEntry page;
    page.linear = linear;
    page.entry = entry;
    page.entry_address = static_cast<u32>(entry_address);
    page.rights = (static_cast<u32>(entry & directory_entry) & (kPteWritable | kPteUser)) |
                  (static_cast<u32>(entry) & kPteGlobal);
    page.no_execute = ((entry | directory_entry) & kPteNoExecute) != 0;
    page.physical = frame_of(entry, large, reader.control());
    page.large = large;
    page.state = page.user() ? PageState::Private : PageState::Supervisor;
    entries_.push_back(page);
    return entries_.back();
}

const PageEntry* PageTableView::find(u32 address) const {
    const auto after = std::upper_bound(entries_.begin(), entries_.end(), address,
                                        [](u32 value, const PageEntry& entry) { return value < entry.linear; });
    if (after == entries_.begin())
        return nullptr;
    const PageEntry& entry = *std::prev(after);
    return address - entry.linear < entry.bytes() ? &entry : nullptr;
}

PageEntry PageEntry::piece_at(u32 address) const {
    const u32 offset = (address & ~kPageMask) - linear;
    PageEntry piece = *this;
    piece.linear += offset;
    piece.physical += offset;
    piece.size = kPageSize;
    return piece;
}

void PageTableView::put_back(u32 address, const WalkView& before, u32 large_bytes) {
    const u32 bytes = before.large ? large_bytes : kPageSize;
    const u32 page = address & ~(bytes - 1);
    const auto place = std::lower_bound(entries_.begin(), entries_.end(), page,
                                        [](const PageEntry& entry, u32 first) { return entry.linear < first; });
    if (place == entries_.end() || place->linear - page >= bytes || !before.present)
        return;
    PageEntry& entry = *place;
    entry.linear = page;
    entry.entry_address =
        static_cast<u32>(before.large ? before.directory_entry_address.value : before.table_entry_address.value);
    entry.entry = before.leaf();
    entry.rights = before.rights;
    entry.large = before.large;
    entry.size = bytes;
    entry.physical = before.frame & ~u64{bytes - 1};
    entries_.erase(place + 1, std::find_if(place + 1, entries_.end(),
                                           [&](const PageEntry& other) { return other.linear - page >= bytes; }));
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
    std::unordered_map<u64, u32> supervisors; // by linear address and frame
    const auto place = [](const PageEntry& entry) { return u64{entry.linear} << 32 | entry.physical >> kPageShift; };
    for (PageTableView* view : views)
        for (const PageEntry& entry : view->entries_)
            if (entry.state != PageState::Window)
                ++(entry.user() ? references[entry.physical] : supervisors[place(entry)]);
    for (PageTableView* view : views) {
        for (PageEntry& entry : view->entries_) {
            if (entry.state == PageState::Window)
                continue;
            if (!entry.user())
                entry.state = views.size() > 1 && supervisors[place(entry)] == views.size() ? PageState::Kernel
                                                                                            : PageState::Supervisor;
            else
                entry.state = references[entry.physical] < 2       ? PageState::Private
                              : (entry.rights & kPteWritable) != 0 ? PageState::SharedWritable
                                                                   : PageState::SharedReadOnly;
        }
    }
}

AddressSpaceDiff::AddressSpaceDiff(const PageTableView& a, const PageTableView& b) {
    const auto user_pages = [](const PageTableView& view) {
        std::vector<const PageEntry*> pages;
        for (const PageEntry& entry : view.entries())
            if (entry.user() && entry.state != PageState::Window)
                pages.push_back(&entry);
        return pages;
    };
    const std::vector<const PageEntry*> left = user_pages(a), right = user_pages(b);
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < left.size() || j < right.size()) {
        constexpr u64 kEnd = u64{1} << 32;
        const u64 at_a = i < left.size() ? left[i]->linear : kEnd;
        const u64 at_b = j < right.size() ? right[j]->linear : kEnd;
        if (at_a < at_b) {
            add(at_a, left[i]->bytes(), PageDifference::OnlyInA, flags_of(*left[i]), 0);
            ++i;
        } else if (at_b < at_a) {
            add(at_b, right[j]->bytes(), PageDifference::OnlyInB, 0, flags_of(*right[j]));
            ++j;
        } else if (is_common(*left[i], *right[j])) {
            ++i;
            ++j;
        } else {
            const bool same_frame = left[i]->physical == right[j]->physical && left[i]->large == right[j]->large;
            const PageDifference difference = !same_frame                           ? PageDifference::DifferentFrame
                                              : left[i]->rights != right[j]->rights ? PageDifference::RightsDiffer
                                                                                    : PageDifference::Same;
            add(at_a, left[i]->bytes(), difference, flags_of(*left[i]), flags_of(*right[j]));
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
