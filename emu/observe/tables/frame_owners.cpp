#include "emu/observe/tables/frame_owners.hpp"

#include <algorithm>
#include <tuple>

#include "mmu/page_walk.hpp"

namespace forkscope {

FrameOwners::FrameOwners(const PhysicalMemory& memory, std::size_t most_tables)
    : memory_(memory), most_tables_(most_tables) {
    forget_tables();
}

void FrameOwners::forget_tables() {
    const auto frames = static_cast<std::size_t>(memory_.frame_count());
    tables_.clear();
    free_.clear();
    unread_.clear();
    place_.assign(frames, kNone);
    pages_.assign(frames, kNone);
    page_count_.assign(frames, 0);
    large_pages_.assign((frames >> pages_shift()) + 1, kNone);
    large_count_.assign(large_pages_.size(), 0);
}

// --- What happened

void FrameOwners::set_control(const PagingControl& control) {
    const bool other_mode = control.pae() != control_.pae();
    const bool other_pages = !control.pae() && control.large_pages() != control_.large_pages();
    control_ = control;
    if (!other_mode && !other_pages)
        return;
    const std::map<AddressSpace, u32> known = std::exchange(roots_, {});
    forget_tables();
    if (!other_mode)
        for (const auto& [space, place] : known)
            add_space(space);
}

void FrameOwners::add_space(AddressSpace space) {
    if (const auto known = roots_.find(space); known != roots_.end()) {
        const u32 place = known->second;
        for (u32 slot = 0; root_level() == 3 && slot < tables_[place].links[2].size(); ++slot)
            update(3, place, slot);
        return;
    }
    if (!memory_.is_memory(PhysicalAddress(space.root)))
        return;
    const u32 place = root_level() == 3 ? new_place(space.root) : place_for(space.root >> kPageShift);
    if (place == kNone)
        return;
    roots_[space] = place;
    tables_[place].is_root = true;
    use(root_level(), place);
}

void FrameOwners::remove_space(AddressSpace space) {
    const auto known = roots_.find(space);
    if (known == roots_.end())
        return;
    const u32 place = known->second;
    roots_.erase(known);
    tables_[place].is_root = false;
    leave(root_level(), place);
}

void FrameOwners::entry_written(PhysicalAddress entry) {
    const u64 frame = entry.page();
    const u32 place = frame < place_.size() ? place_[frame] : kNone;
    if (place == kNone)
        return;
    const u32 slot = entry.offset() / control_.entry_bytes();
    for (const u32 level : {2u, 1u})
        if (!tables_[place].links[level - 1].empty())
            update(level, place, slot);
}

void FrameOwners::table_changed(PhysicalAddress table) {
    const u64 frame = table.page();
    const u32 place = frame < place_.size() ? place_[frame] : kNone;
    for (const u32 level : {2u, 1u})
        if (place != kNone && !tables_[place].links[level - 1].empty())
            use(level, place);
}

// --- Keeping the lists

u64 FrameOwners::read(u32 table, u32 slot) const {
    const u32 width = control_.entry_bytes();
    u64 entry = 0;
    std::memcpy(&entry, memory_.host(PhysicalAddress(tables_[table].address + u64{slot} * width)), width);
    return entry;
}

// What an entry leads to, if that is memory.
u32 FrameOwners::target_of(u32 level, u64 entry) const {
    if ((entry & kPtePresent) == 0)
        return kNone;
    const bool large = level == 2 && is_large(entry, 2, control_);
    const u64 frame = frame_of(entry, large, control_) >> kPageShift;
    if (frame >= pages_.size() || (level > 1 && !large && !memory_.is_memory(PhysicalAddress(frame << kPageShift))))
        return kNone;
    return large ? static_cast<u32>(frame >> pages_shift()) | kLarge : static_cast<u32>(frame);
}

// The list of the entries that lead to a target, and its length.
u32& FrameOwners::first(u32 level, u32 target) const {
    if (level == 1)
        return pages_[target];
    return (target & kLarge) != 0 ? large_pages_[target & ~kLarge] : tables_[place_[target]].first_user[level - 2];
}

u32& FrameOwners::counter(u32 level, u32 target) const {
    if (level == 1)
        return page_count_[target];
    return (target & kLarge) != 0 ? large_count_[target & ~kLarge] : tables_[place_[target]].users[level - 2];
}

// Reads the tables that came into use, or may have changed, since the last question.
void FrameOwners::settle() const {
    while (!unread_.empty()) {
        const auto [level, place] = unread_.back();
        unread_.pop_back();
        tables_[place].listed[level - 1] = false;
        if (!std::exchange(tables_[place].pending[level - 1], false))
            continue;
        tables_[place].links[level - 1].resize(slots(level));
        for (u32 slot = 0; slot < slots(level); ++slot)
            update(level, place, slot);
    }
}

void FrameOwners::update(u32 level, u32 table, u32 slot) const {
    const u32 id = table << kSlotBits | slot;
    const u32 target = target_of(level, read(table, slot));
    const u32 old = link(level, id).target;
    if (target == old)
        return;
    if (old != kNone)
        disconnect(level, id);
    if (target != kNone)
        connect(level, id, target);
}

void FrameOwners::connect(u32 level, u32 id, u32 target) const {
    const bool lower_table = level > 1 && (target & kLarge) == 0;
    const u32 lower = lower_table ? place_for(target) : kNone;
    if (lower_table && lower == kNone)
        return;
    u32& head = first(level, target);
    link(level, id) = {target, head, kNone};
    if (head != kNone)
        link(level, head).previous = id;
    head = id;
    if (++counter(level, target) == 1 && lower_table)
        use(level - 1, lower);
}

void FrameOwners::disconnect(u32 level, u32 id) const {
    const Link gone = std::exchange(link(level, id), {});
    (gone.previous != kNone ? link(level, gone.previous).next : first(level, gone.target)) = gone.next;
    if (gone.next != kNone)
        link(level, gone.next).previous = gone.previous;
    if (--counter(level, gone.target) == 0 && level > 1 && (gone.target & kLarge) == 0)
        leave(level - 1, place_[gone.target]);
}

// The table in a frame; one without a use, if it is new.
u32 FrameOwners::place_for(u32 frame) const {
    if (place_[frame] == kNone)
        place_[frame] = new_place(u64{frame} << kPageShift);
    return place_[frame];
}

u32 FrameOwners::new_place(u64 address) const {
    if (tables() >= most_tables_) {
        whole_ = false;
        return kNone;
    }
    u32 place = static_cast<u32>(tables_.size());
    if (free_.empty()) {
        tables_.emplace_back();
    } else {
        place = free_.back();
        free_.pop_back();
    }
    tables_[place].address = address;
    return place;
}

void FrameOwners::use(u32 level, u32 table) const {
    tables_[table].pending[level - 1] = true;
    if (!std::exchange(tables_[table].listed[level - 1], true))
        unread_.emplace_back(level, table);
}

void FrameOwners::leave(u32 level, u32 table) const {
    const bool still_root = tables_[table].is_root && level == root_level();
    if (still_root || tables_[table].users[level - 1] != 0)
        return;
    tables_[table].pending[level - 1] = false;
    for (u32 slot = 0; slot < tables_[table].links[level - 1].size(); ++slot)
        if (link(level, table << kSlotBits | slot).target != kNone)
            disconnect(level, table << kSlotBits | slot);
    tables_[table].links[level - 1] = {};
    free_unused(table);
}

void FrameOwners::free_unused(u32 table) const {
    Table& gone = tables_[table];
    for (u32 level = 1; level <= kLevels; ++level)
        if (gone.is_root || gone.users[level - 1] != 0 || gone.pending[level - 1] || !gone.links[level - 1].empty())
            return;
    if (const u64 frame = gone.address >> kPageShift; place_[frame] == table)
        place_[frame] = kNone;
    const auto listed = gone.listed;
    gone = {};
    gone.listed = listed;
    free_.push_back(table);
}

// --- Questions

std::vector<AddressSpace> FrameOwners::spaces() const {
    std::vector<AddressSpace> found;
    for (const auto& [space, place] : roots_)
        found.push_back(space);
    return found;
}

// The spaces that use a directory, each with the first address that it maps there.
template <class Act> bool FrameOwners::each_use(u32 directory, Act act) const {
    const Table& at = tables_[directory];
    if (root_level() == 2)
        return !at.is_root || act(AddressSpace(static_cast<u32>(at.address)), 0);
    for (u32 id = at.first_user[1]; id != kNone; id = link(3, id).next)
        if (!act(AddressSpace(static_cast<u32>(tables_[id >> kSlotBits].address)), (id & kSlotMask) << 30))
            return false;
    return true;
}

// Through an entry of a table, and each directory entry that leads to the table.
bool FrameOwners::visit_small(u32 id, u64 frame, const Visit& visit) const {
    const u32 table = id >> kSlotBits, slot = id & kSlotMask;
    const u64 leaf = read(table, slot);
    if (target_of(1, leaf) != frame)
        return true;
    FrameMapping found;
    found.entry_address = tables_[table].address + u64{slot} * control_.entry_bytes();
    found.window = tables_[table].is_root || tables_[table].users[1] != 0;
    for (u32 upper = tables_[table].first_user[0]; upper != kNone; upper = link(2, upper).next) {
        const u64 entry = read(upper >> kSlotBits, upper & kSlotMask);
        if (target_of(2, entry) != tables_[table].address >> kPageShift)
            continue;
        found.rights = static_cast<u32>(leaf & entry & (kPteWritable | kPteUser)) | static_cast<u32>(leaf & kPteGlobal);
        found.no_execute = ((leaf | entry) & kPteNoExecute) != 0;
        const u32 within = (upper & kSlotMask) << control_.geometry().large_shift | slot << kPageShift;
        const bool go_on = each_use(upper >> kSlotBits, [&](AddressSpace space, u32 first) {
            found.space = space;
            found.linear = LinearAddress(first + within);
            return visit(found);
        });
        if (!go_on)
            return false;
    }
    return true;
}

bool FrameOwners::visit_large(u32 id, u64 frame, const Visit& visit) const {
    const u32 directory = id >> kSlotBits, slot = id & kSlotMask;
    const u64 leaf = read(directory, slot);
    if (target_of(2, leaf) != (static_cast<u32>(frame >> pages_shift()) | kLarge))
        return true;
    FrameMapping found;
    found.level = 2;
    found.entry_address = tables_[directory].address + u64{slot} * control_.entry_bytes();
    found.rights = static_cast<u32>(leaf & (kPteWritable | kPteUser | kPteGlobal));
    found.no_execute = (leaf & kPteNoExecute) != 0;
    const u32 inside = static_cast<u32>(frame << kPageShift) & (control_.geometry().large_bytes() - 1);
    return each_use(directory, [&](AddressSpace space, u32 first) {
        found.space = space;
        found.linear = LinearAddress(first + (slot << control_.geometry().large_shift) + inside);
        return visit(found);
    });
}

void FrameOwners::visit(PhysicalAddress frame, const Visit& visit) const {
    settle();
    const u64 number = frame.page();
    if (number >= pages_.size())
        return;
    for (u32 id = pages_[number]; id != kNone; id = link(1, id).next)
        if (!visit_small(id, number, visit))
            return;
    for (u32 id = large_pages_[number >> pages_shift()]; id != kNone; id = link(2, id).next)
        if (!visit_large(id, number, visit))
            return;
}

std::vector<FrameMapping> FrameOwners::mappings(PhysicalAddress frame) const {
    std::vector<FrameMapping> found;
    visit(frame, [&](const FrameMapping& mapping) {
        found.push_back(mapping);
        return true;
    });
    std::sort(found.begin(), found.end(), [](const FrameMapping& a, const FrameMapping& b) {
        return std::tie(a.space, a.linear) < std::tie(b.space, b.linear);
    });
    return found;
}

u64 FrameOwners::count(PhysicalAddress frame) const {
    u64 mappings = 0;
    visit(frame, [&](const FrameMapping&) {
        ++mappings;
        return true;
    });
    return mappings;
}

bool FrameOwners::is_shared(PhysicalAddress frame, AddressSpace space, LinearAddress page) const {
    bool other = false;
    visit(frame, [&](const FrameMapping& mapping) {
        other = mapping.space != space || mapping.linear != page.page_start();
        return !other;
    });
    return other;
}

u32 FrameOwners::entries(PhysicalAddress frame) const {
    settle();
    const u64 number = frame.page();
    return number < pages_.size() ? page_count_[number] + large_count_[number >> pages_shift()] : 0;
}

} // namespace forkscope
