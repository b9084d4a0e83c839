#include "reference_mmu.hpp"

#include <cstring>

namespace forkscope::reference {

const char* const kTransitionNames[kTransitionCount] = {
#define TRANSITION(name, text, needs) text,
#include "transitions.def"
#undef TRANSITION
};

const u32 kTransitionNeeds[kTransitionCount] = {
#define TRANSITION(name, text, needs) needs,
#include "transitions.def"
#undef TRANSITION
};

Set& Array::set_of(u32 page) {
    if (!geometry.unlimited)
        return sets[page % geometry.sets];
    Set& set = unlimited[page];
    set.way.resize(1);
    return set;
}

static Array make_array(const Geometry& geometry) {
    Array array;
    array.geometry = geometry;
    array.sets.resize(geometry.sets);
    for (Set& set : array.sets)
        set.way.resize(geometry.ways);
    return array;
}

ReferenceMmu::ReferenceMmu(const Processor& chosen, u32 ram_bytes, u32 rom_start, u32 device_start, u32 device_end)
    : processor(chosen), memory(ram_bytes, 0), data(make_array(chosen.data)), large(make_array(chosen.large)),
      code(make_array(chosen.code)), large_code(make_array(chosen.large_code)), generator(chosen.seed),
      code_frame(ram_bytes >> 12, 0), watched_frame(ram_bytes >> 12, 0), written_frame(ram_bytes >> 12, 0),
      ram_bytes_(ram_bytes), rom_start_(rom_start), device_start_(device_start), device_end_(device_end) {}

bool ReferenceMmu::is_ram(u64 physical) const {
    return physical < 0xA0000 || (physical >= 0x100000 && physical < ram_bytes_);
}

u64 ReferenceMmu::bus_address(u64 physical) const {
    if (physical >> 17 == 0xFFFE0000u >> 17 && is_rom(physical - 0xFFF00000))
        return physical - 0xFFF00000;
    return a20 || (physical & 0x100000) == 0 ? physical : physical - 0x100000;
}

u64 ReferenceMmu::peek(u64 physical, u32 size) const {
    u64 value = 0;
    for (u32 i = 0; i < size; ++i)
        value |= u64{is_memory(physical) ? memory[physical + i] : u8{0xFF}} << (8 * i);
    return value;
}

void ReferenceMmu::poke32(u32 physical, u32 value) {
    std::memcpy(&memory[physical], &value, 4);
    written_frame[physical >> 12] = 1;
    if (code_frame[physical >> 12])
        code_reports = fold(code_reports, physical, 4);
}

u8 ReferenceMmu::read_byte(u64 physical) const {
    if (is_memory(physical))
        return memory[physical];
    if (physical >= device_start_ && physical < device_end_)
        return device_byte(static_cast<u32>(physical - device_start_));
    return 0xFF;
}

void ReferenceMmu::write_byte(u64 physical, u8 value) {
    if (is_ram(physical)) {
        memory[physical] = value;
        write_log.push_back(static_cast<u32>(physical));
        written_frame[physical >> 12] = 1;
    } else if (physical >= device_start_ && physical < device_end_) {
        device_writes = fold(device_writes, physical - device_start_, value);
    }
}

u64 ReferenceMmu::read_bytes(u32 linear, u64 physical, u32 size) {
    u64 value = 0;
    for (u32 i = 0; i < size; ++i)
        value |= u64{read_byte(physical + i)} << (8 * i);
    seen[kBeyondMemory] += physical >> 32 != 0;
    if (!is_memory(physical))
        ++seen[kDeviceAccess];
    else if (watched_frame[physical >> 12]) {
        watch_reports = fold(watch_reports, linear, physical << 8 | size << 2 | 0);
        ++seen[kWatchedAccess];
    }
    return value;
}

void ReferenceMmu::write_bytes(u32 linear, u64 physical, u32 size, u64 value) {
    for (u32 i = 0; i < size; ++i)
        write_byte(physical + i, static_cast<u8>(value >> (8 * i)));
    if (!is_memory(physical)) {
        ++seen[kDeviceAccess];
        return;
    }
    if (!is_ram(physical))
        ++seen[kRomStore];
    if (is_ram(physical) && code_frame[physical >> 12]) {
        code_reports = fold(code_reports, physical, size);
        ++seen[kCodeStore];
    }
    if (watched_frame[physical >> 12]) {
        watch_reports = fold(watch_reports, linear, physical << 8 | size << 2 | 1);
        ++seen[kWatchedAccess];
    }
}

void ReferenceMmu::set_entry_bits(u64 physical, u64 old_value, u32 bits) {
    if ((old_value & bits) == bits || !is_ram(physical))
        return;
    ++seen[(bits & ~old_value & kPteDirty) != 0 ? kDirtySet : kAccessedSet];
    const u32 value = peek32(physical) | bits;
    std::memcpy(&memory[physical], &value, 4);
    write_log.push_back(static_cast<u32>(physical));
    written_frame[physical >> 12] = 1;
    ++accessed_dirty_writes;
    if (code_frame[physical >> 12])
        code_reports = fold(code_reports, physical, 4);
}

// The manual's tables 4-4, 4-9, 4-10 and 4-11 for a processor with 36 address lines, or with 32.
u64 ReferenceMmu::reserved_bits(bool large_page) const {
    const bool wide = (processor.has & kNeedsPae) != 0;
    if (!pae()) {
        if (!large_page)
            return 0;
        return wide ? 0x003E0000 : 0x003FF000;
    }
    u64 bits = 0x7FFFFFF000000000;
    if (!nxe)
        bits |= u64{1} << 63;
    if (large_page)
        bits |= 0x001FE000;
    return bits;
}

// Reads down to the leaf. False: not present, or a reserved bit.
bool ReferenceMmu::read_entries(u32 linear, WalkResult& result, Step& directory, Step& table, bool look) {
    const u32 width = pae() ? 8 : 4;
    u64 base = cr3 & 0xFFFFF000;
    u32 index = linear >> 22;
    if (pae()) {
        const u64 pointer = pointers[linear >> 30];
        seen[kPointersStale] += !look && pointer != peek(bus_address(cr3 & 0xFFFFFFE0) + (linear >> 30) * 8, 8);
        if ((pointer & 1) == 0) {
            seen[kNotPresentPointer] += !look;
            return false;
        }
        base = pointer & 0xFFFFFF000;
        index = linear >> 21 & 0x1FF;
    }
    directory.at = bus_address(base) + index * width;
    directory.entry = peek(directory.at, width);
    if ((directory.entry & kPtePresent) == 0) {
        seen[kNotPresentDirectory] += !look;
        return false;
    }
    result.large = (directory.entry & kPteLarge) != 0 && (pae() || (cr4 & kCr4Pse) != 0);
    const auto reserved = [&](u64 entry) {
        const u64 bad = entry & reserved_bits(result.large);
        if (bad == 0)
            return false;
        result.code |= 9;
        if (!look) {
            ++seen[kReservedFault];
            seen[kReservedWidth] += pae() && (bad & 0x7FFFFFF000000000) != 0;
            seen[kReservedNoExecute] += pae() && bad >> 63 != 0;
        }
        return true;
    };
    if (reserved(directory.entry))
        return false;
    if (result.large)
        return true;
    const u32 slot = linear >> 12 & (pae() ? 0x1FF : 0x3FF);
    table.at = bus_address(directory.entry & 0xFFFFFF000) + slot * width;
    table.entry = peek(table.at, width);
    if ((table.entry & kPtePresent) == 0) {
        seen[kNotPresentTable] += !look;
        return false;
    }
    return !reserved(table.entry);
}

ReferenceMmu::WalkResult ReferenceMmu::walk(u32 linear, bool user, Kind kind, bool look) {
    const bool write = kind == Kind::Write;
    WalkResult result;
    result.code = (write ? 2u : 0u) | (user ? 4u : 0u) | (kind == Kind::Fetch && pae() && nxe ? 16u : 0u);
    Step directory, table;
    if (!read_entries(linear, result, directory, table, look))
        return result;
    const u64 leaf = result.large ? directory.entry : table.entry;
    result.writable = (directory.entry & leaf & kPteWritable) != 0;
    result.user = (directory.entry & leaf & kPteUser) != 0;
    result.no_execute = (directory.entry | leaf) >> 63 != 0;
    result.global = (leaf & kPteGlobal) != 0 && (cr4 & kCr4Pge) != 0;
    result.dirty = (leaf & kPteDirty) != 0;
    if (!result.large) {
        result.frame = (leaf & 0xFFFFFF000) >> 12;
    } else if (pae()) {
        result.frame = (leaf & 0xFFFE00000) >> 12 | (linear >> 12 & 0x1FF);
    } else {
        const u64 high = (processor.has & kNeedsPse36) != 0 ? leaf >> 13 & 15 : 0;
        result.frame = high << 20 | (leaf & 0xFFC00000) >> 12 | (linear >> 12 & 0x3FF);
        seen[kHighLargePage] += !look && high != 0;
    }
    const Entry entry{true, 0, 0, result.writable, result.user, false, true, false, result.no_execute};
    if (!allowed(entry, user, kind)) {
        result.code |= 1;
        if (!look) {
            ++seen[kPermissionFault];
            seen[kUserDeniedSupervisorPage] += user && !result.user;
            seen[kWriteProtectFault] += write && !user;
            seen[kNoExecuteFault] += kind == Kind::Fetch && result.no_execute;
        }
        return result;
    }
    result.ok = true;
    if (look)
        return result;
    seen[kPaeLarge] += pae() && result.large;
    seen[kSupervisorWritesReadOnly] += write && !result.writable;
    const u32 leaf_bits = kPteAccessed | (write ? u32{kPteDirty} : 0u);
    set_entry_bits(directory.at, directory.entry, result.large ? leaf_bits : u32{kPteAccessed});
    if (!result.large)
        set_entry_bits(table.at, table.entry, leaf_bits);
    result.dirty |= write;
    return result;
}

bool ReferenceMmu::allowed(const Entry& entry, bool user, Kind kind) const {
    if (user && !entry.user)
        return false;
    if (kind == Kind::Fetch)
        return !entry.no_execute;
    return kind != Kind::Write || entry.writable || (!user && (cr0 & kCr0Wp) == 0);
}

void ReferenceMmu::touch(Set& set, u32 way) const {
    if (processor.replacement != Replacement::PseudoLru || set.way.size() == 1)
        return;
    if (set.way.size() == 2) {
        set.b0 = way == 0;
        return;
    }
    if (way < 2) {
        set.b0 = true;
        set.b1 = way == 0;
    } else {
        set.b0 = false;
        set.b2 = way == 2;
    }
}

u32 ReferenceMmu::choose(Set& set) {
    const u32 ways = static_cast<u32>(set.way.size());
    if (processor.replacement == Replacement::Fifo) {
        const u32 way = set.next;
        set.next = (set.next + 1) % ways;
        return way;
    }
    if (processor.replacement == Replacement::Random) { // splitmix64
        generator += 0x9E3779B97F4A7C15ull;
        u64 mixed = (generator ^ generator >> 30) * 0xBF58476D1CE4E5B9ull;
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBull;
        return static_cast<u32>((mixed ^ mixed >> 31) % ways);
    }
    if (ways == 2)
        return set.b0 ? 1 : 0;
    if (!set.b0)
        return !set.b1 ? 0 : 1;
    return !set.b2 ? 2 : 3;
}

void ReferenceMmu::enter(u32 linear, Kind kind, const WalkResult& walk) {
    const bool use_large = walk.large && large_array(kind).exists();
    const u32 page = linear >> (use_large ? large_bits() : 12);
    Set& set = (use_large ? large_array(kind) : small_array(kind)).set_of(page);
    const u32 ways = static_cast<u32>(set.way.size());
    u32 way = ways;
    for (u32 i = 0; i < ways; ++i) {
        if (set.way[i].valid && set.way[i].page == page)
            way = i;
    }
    for (u32 i = 0; i < ways && way == ways; ++i) {
        if (!set.way[i].valid) {
            way = i;
            ++seen[kFillInvalidWay];
        }
    }
    if (way == ways) {
        way = choose(set);
        const bool fetch = kind == Kind::Fetch;
        ++seen[fetch ? (use_large ? kEvictLargeFetch : kEvictFetch) : use_large ? kEvictLarge : kEvictData];
    }
    const u64 frame = use_large ? walk.frame >> (large_bits() - 12) << (large_bits() - 12) : walk.frame;
    set.way[way] = {true, page, frame, walk.writable, walk.user, walk.global, walk.dirty, walk.large, walk.no_execute};
    touch(set, way);
}

// Looks in the set of small entries and in that of large ones; the small entry wins.
ReferenceMmu::Found ReferenceMmu::find(u32 linear, Kind kind, bool count) {
    Found found;
    Set& small = small_array(kind).set_of(linear >> 12);
    for (u32 i = 0; i < small.way.size(); ++i) {
        if (small.way[i].valid && small.way[i].page == linear >> 12)
            found = {&small, i, false};
    }
    if (!large_array(kind).exists())
        return found;
    Set& other = large_array(kind).set_of(linear >> large_bits());
    for (u32 i = 0; i < other.way.size(); ++i) {
        if (!other.way[i].valid || other.way[i].page != linear >> large_bits())
            continue;
        if (found.set != nullptr)
            seen[kHitSmallInsideLarge] += count;
        else
            found = {&other, i, true};
    }
    return found;
}

void ReferenceMmu::hit(u32 linear, bool user, Kind kind, const Found& found, const Entry& entry) {
    const u32 side = kind == Kind::Fetch ? 1 : 0;
    const bool b0 = found.set->b0, b1 = found.set->b1, b2 = found.set->b2;
    touch(*found.set, found.way);
    const bool same = b0 == found.set->b0 && b1 == found.set->b1 && b2 == found.set->b2;
    ++seen[same ? kHitMostRecent : kHitOtherWay];
    seen[kHitLarge] += found.large;
    seen[kHitGlobal] += entry.global;
    if ((accesses[side] & 15) == 0) {
        const WalkResult now = walk(linear, user, kind, true);
        const u64 frame = entry.frame | (found.large ? linear >> 12 & ((1u << (large_bits() - 12)) - 1) : 0);
        seen[kStaleHit] += !now.ok || now.frame != frame;
    }
}

bool ReferenceMmu::translate(u32 linear, bool user, Kind kind, Outcome& outcome, u64& physical) {
    if ((cr0 & kCr0Pg) == 0) {
        physical = bus_address(linear);
        ++seen[kUnpagedAccess];
        return true;
    }
    const u32 side = kind == Kind::Fetch ? 1 : 0;
    ++accesses[side];
    seen[kPaeAccess] += pae();
    const Found found = find(linear, kind, true);
    Entry* const entry = found.set == nullptr ? nullptr : &found.set->way[found.way];
    const bool write = kind == Kind::Write;
    const bool permitted = entry != nullptr && allowed(*entry, user, kind);
    if (permitted && (!write || entry->dirty)) {
        hit(linear, user, kind, found, *entry);
        if (!split()) {
            seen[kDataHitsFetched] += side == 0 && last_fetched_ == linear >> 12;
            seen[kFetchHitsData] += side == 1 && last_data_ == linear >> 12;
        }
        (side == 1 ? last_fetched_ : last_data_) = linear >> 12;
        const u64 within = found.large ? linear & ((1u << large_bits()) - 1) : linear & 0xFFF;
        physical = bus_address((entry->frame << 12) + within);
        return true;
    }
    if (entry == nullptr) {
        ++misses[side];
        ++seen[side == 1 ? kMissFetch : kMissData];
    } else if (permitted) {
        ++dirty_walks;
        ++seen[kDirtyWalk];
    } else {
        ++permission_walks;
    }
    const WalkResult result = walk(linear, user, kind, false);
    if (!result.ok) {
        ++faults;
        seen[kDirtyWalkFaults] += entry != nullptr && permitted;
        outcome.fault_address = linear;
        outcome.fault_code = result.code;
        return false;
    }
    seen[kUpgradeFound] += entry != nullptr && !permitted;
    const bool goes_large = result.large && large_array(kind).exists();
    if (entry != nullptr && found.large != goes_large) {
        ++seen[goes_large ? kBecameLarge : kBecameSmall];
        *entry = Entry{};
    }
    enter(linear, kind, result);
    (side == 1 ? last_fetched_ : last_data_) = linear >> 12;
    physical = bus_address((result.frame << 12) | (linear & 0xFFF));
    return true;
}

bool ReferenceMmu::translate_both(u32 linear, u32 size, bool user, Kind kind, Outcome& outcome) {
    const u32 room = 0x1000 - (linear & 0xFFF);
    piece_linear_[0] = linear;
    piece_size_[0] = size < room ? size : room;
    piece_size_[1] = size - piece_size_[0];
    piece_linear_[1] = linear + piece_size_[0];
    if (!translate(linear, user, kind, outcome, piece_physical_[0]))
        return false;
    outcome.physical = piece_physical_[0];
    if (piece_size_[1] != 0) {
        ++seen[kSplitAccess];
        if (!translate(piece_linear_[1], user, kind, outcome, piece_physical_[1])) {
            ++seen[kSplitHighFaults];
            return false;
        }
    }
    outcome.ok = true;
    return true;
}

Outcome ReferenceMmu::load(u32 linear, u32 size, bool user) {
    Outcome outcome;
    if (!translate_both(linear, size, user, Kind::Read, outcome))
        return outcome;
    outcome.value = read_bytes(linear, piece_physical_[0], piece_size_[0]);
    if (piece_size_[1] != 0)
        outcome.value |= read_bytes(piece_linear_[1], piece_physical_[1], piece_size_[1]) << (8 * piece_size_[0]);
    return outcome;
}

Outcome ReferenceMmu::store(u32 linear, u32 size, u64 value, bool user) {
    Outcome outcome;
    if (translate_both(linear, size, user, Kind::Write, outcome))
        update_end(value);
    return outcome;
}

Outcome ReferenceMmu::update_begin(u32 linear, u32 size, bool user) {
    Outcome outcome;
    if (!translate_both(linear, size, user, Kind::Write, outcome))
        return outcome;
    outcome.value = read_bytes(linear, piece_physical_[0], piece_size_[0]);
    if (piece_size_[1] != 0)
        outcome.value |= read_bytes(piece_linear_[1], piece_physical_[1], piece_size_[1]) << (8 * piece_size_[0]);
    return outcome;
}

void ReferenceMmu::update_end(u64 value) {
    write_bytes(piece_linear_[0], piece_physical_[0], piece_size_[0], value);
    if (piece_size_[1] != 0)
        write_bytes(piece_linear_[1], piece_physical_[1], piece_size_[1], value >> (8 * piece_size_[0]));
}

Outcome ReferenceMmu::probe(u32 linear, u32 size, bool user) {
    Outcome outcome;
    translate_both(linear, size, user, Kind::Write, outcome);
    return outcome;
}

Outcome ReferenceMmu::fetch(u32 linear, bool user) {
    Outcome outcome;
    outcome.ok = translate(linear, user, Kind::Fetch, outcome, outcome.physical);
    if (outcome.ok && is_memory(outcome.physical) && watched_frame[outcome.physical >> 12]) {
        watch_reports = fold(watch_reports, linear, outcome.physical << 8 | 1 << 2 | 2);
        ++seen[kWatchedAccess];
    }
    return outcome;
}

bool ReferenceMmu::plain_hit(u32 linear, bool user, bool write) {
    if ((cr0 & kCr0Pg) == 0)
        return true;
    const Kind kind = write ? Kind::Write : Kind::Read;
    const Found found = find(linear, kind, false);
    if (found.set == nullptr)
        return false;
    const Entry& hit = found.set->way[found.way];
    return allowed(hit, user, kind) && (!write || hit.dirty);
}

void ReferenceMmu::drop_page(u32 linear, Transition transition) {
    const auto sweep = [&](Array& array, u32 bits) {
        u32 pieces = 0;
        if (!array.exists())
            return pieces;
        array.for_each([&](Set& set) {
            for (Entry& entry : set.way) {
                const bool piece = entry.large && bits == 12;
                const bool same = entry.page == linear >> bits ||
                                  (piece && entry.page >> (large_bits() - 12) == linear >> large_bits());
                if (!entry.valid || !same)
                    continue;
                pieces += piece;
                entry = Entry{};
                ++seen[transition];
            }
        });
        return pieces;
    };
    sweep(large, large_bits());
    sweep(large_code, large_bits());
    const u32 pieces = sweep(data, 12) + sweep(code, 12);
    seen[kInvlpgDropsSeveralPieces] += pieces > 1;
}

void ReferenceMmu::flush(bool with_global) {
    for (Array* array : {&data, &large, &code, &large_code}) {
        array->for_each([&](Set& set) {
            for (Entry& entry : set.way) {
                if (!entry.valid)
                    continue;
                if (entry.global)
                    ++seen[with_global ? kFullFlushDropsGlobal : kCr3KeepsGlobal];
                if (with_global || !entry.global)
                    entry = Entry{};
            }
        });
        std::erase_if(array->unlimited, [](const auto& place) { return !place.second.way[0].valid; });
    }
}

bool ReferenceMmu::good_pointers(u32 at) const {
    for (u32 i = 0; i < 4; ++i) {
        const u64 pointer = peek(bus_address(at & 0xFFFFFFE0) + i * 8, 8);
        if ((pointer & 1) != 0 && (pointer & 0xFFFFFFF0000001E6) != 0)
            return false;
    }
    return true;
}

// SDM 3A 4.4.1.
void ReferenceMmu::load_pointers() {
    if ((cr0 & kCr0Pg) == 0 || !pae())
        return;
    ++seen[kPointersLoaded];
    for (u32 i = 0; i < 4; ++i)
        pointers[i] = peek(bus_address(cr3 & 0xFFFFFFE0) + i * 8, 8);
}

void ReferenceMmu::set_cr0(u32 value) {
    const u32 changed = cr0 ^ value;
    cr0 = value;
    if ((changed & (kCr0Pg | kCr0Pe)) != 0)
        flush(true);
    if ((changed & (kCr0Pg | kCr0Cd | kCr0Nw)) != 0)
        load_pointers();
}

void ReferenceMmu::set_cr3(u32 value, bool task_switch) {
    const bool same = cr3 == value;
    cr3 = value;
    if (task_switch && same)
        return;
    flush(false);
    load_pointers();
}

void ReferenceMmu::set_cr4(u32 value) {
    const u32 changed = cr4 ^ value;
    if ((changed & (kCr4Pse | kCr4Pge | kCr4Pae)) != 0)
        flush(true);
    cr4 = value;
    if ((changed & (kCr4Pse | kCr4Pge | kCr4Pae)) != 0)
        load_pointers();
}

} // namespace forkscope::reference
