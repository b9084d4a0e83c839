#include "reference_mmu.hpp"

#include <cstring>

namespace forkscope::reference {

const char* const kTransitionNames[kTransitionCount] = {"hit the most recent way",
                                                        "hit another way",
                                                        "hit a 4 MB entry",
                                                        "hit a global entry",
                                                        "hit a 4 KB entry inside a cached 4 MB page",
                                                        "data miss",
                                                        "fetch miss",
                                                        "fill of an invalid way",
                                                        "eviction of a data entry",
                                                        "eviction of a 4 MB entry",
                                                        "eviction of a code entry",
                                                        "dirty walk",
                                                        "dirty walk that faults",
                                                        "right found on the second look",
                                                        "protection fault",
                                                        "directory entry not present",
                                                        "table entry not present",
                                                        "reserved bit set",
                                                        "supervisor writes a read-only page",
                                                        "write protection stops the supervisor",
                                                        "user denied a supervisor page",
                                                        "a cached 4 KB page became 4 MB",
                                                        "a cached 4 MB page became 4 KB",
                                                        "access over two pages",
                                                        "access over two pages, the high one faults",
                                                        "page fault drops an entry",
                                                        "INVLPG drops an entry",
                                                        "INVLPG drops several pieces of a large page",
                                                        "CR3 load keeps a global entry",
                                                        "full flush drops a global entry",
                                                        "stale entry used",
                                                        "A set",
                                                        "D set",
                                                        "device memory touched",
                                                        "store into ROM",
                                                        "store into code",
                                                        "watched frame touched",
                                                        "access without paging",
                                                        "page table edited through the Mmu"};

ReferenceMmu::ReferenceMmu(u32 ram_bytes, u32 rom_start, u32 device_start, u32 device_end)
    : memory(ram_bytes, 0), code_frame(ram_bytes >> 12, 0), watched_frame(ram_bytes >> 12, 0),
      written_frame(ram_bytes >> 12, 0), ram_bytes_(ram_bytes), rom_start_(rom_start), device_start_(device_start),
      device_end_(device_end) {}

bool ReferenceMmu::is_ram(u32 physical) const {
    return physical < 0xA0000 || (physical >= 0x100000 && physical < ram_bytes_);
}

u32 ReferenceMmu::bus_address(u32 physical) const {
    if (physical >= 0xFFFE0000 && is_rom(physical - 0xFFF00000))
        return physical - 0xFFF00000;
    return a20 ? physical : physical & 0xFFEFFFFF;
}

u32 ReferenceMmu::peek32(u32 physical) const {
    if (!is_memory(physical))
        return 0xFFFFFFFF;
    u32 value;
    std::memcpy(&value, &memory[physical], 4);
    return value;
}

void ReferenceMmu::poke32(u32 physical, u32 value) {
    std::memcpy(&memory[physical], &value, 4);
    written_frame[physical >> 12] = 1;
    if (code_frame[physical >> 12])
        code_reports = fold(code_reports, physical, 4);
}

u8 ReferenceMmu::read_byte(u32 physical) const {
    if (is_memory(physical))
        return memory[physical];
    if (physical >= device_start_ && physical < device_end_)
        return device_byte(physical - device_start_);
    return 0xFF;
}

void ReferenceMmu::write_byte(u32 physical, u8 value) {
    if (is_ram(physical)) {
        memory[physical] = value;
        write_log.push_back(physical);
        written_frame[physical >> 12] = 1;
    } else if (physical >= device_start_ && physical < device_end_) {
        device_writes = fold(device_writes, physical - device_start_, value);
    }
}

u64 ReferenceMmu::read_bytes(u32 linear, u32 physical, u32 size) {
    u64 value = 0;
    for (u32 i = 0; i < size; ++i)
        value |= u64{read_byte(physical + i)} << (8 * i);
    if (!is_memory(physical))
        ++seen[kDeviceAccess];
    else if (watched_frame[physical >> 12]) {
        watch_reports = fold(watch_reports, linear, u64{physical} << 8 | size << 2 | 0);
        ++seen[kWatchedAccess];
    }
    return value;
}

void ReferenceMmu::write_bytes(u32 linear, u32 physical, u32 size, u64 value) {
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
        watch_reports = fold(watch_reports, linear, u64{physical} << 8 | size << 2 | 1);
        ++seen[kWatchedAccess];
    }
}

void ReferenceMmu::set_entry_bits(u32 physical, u32 old_value, u32 bits) {
    if ((old_value & bits) == bits || !is_ram(physical))
        return;
    ++seen[(bits & ~old_value & kPteDirty) != 0 ? kDirtySet : kAccessedSet];
    const u32 value = peek32(physical) | bits;
    std::memcpy(&memory[physical], &value, 4);
    write_log.push_back(physical);
    written_frame[physical >> 12] = 1;
    ++accessed_dirty_writes;
    if (code_frame[physical >> 12])
        code_reports = fold(code_reports, physical, 4);
}

ReferenceMmu::WalkResult ReferenceMmu::walk(u32 linear, bool user, Kind kind, bool look) {
    const bool write = kind == Kind::Write;
    WalkResult result;
    result.code = (write ? 2u : 0u) | (user ? 4u : 0u);
    const u32 pde_at = bus_address(cr3 & 0xFFFFF000) + (linear >> 22) * 4;
    const u32 pde = peek32(pde_at);
    if ((pde & kPtePresent) == 0) {
        seen[kNotPresentDirectory] += !look;
        return result;
    }
    if ((pde & kPteLarge) != 0 && (cr4 & kCr4Pse) != 0) {
        if ((pde & 0x003FF000) != 0) {
            seen[kReservedFault] += !look;
            result.code |= 9;
            return result;
        }
        result.large = true;
        result.writable = (pde & kPteWritable) != 0;
        result.user = (pde & kPteUser) != 0;
        result.global = (pde & kPteGlobal) != 0 && (cr4 & kCr4Pge) != 0;
        result.dirty = (pde & kPteDirty) != 0;
        result.frame = ((pde & 0xFFC00000) | (linear & 0x003FF000)) >> 12;
    } else {
        const u32 pte_at = bus_address(pde & 0xFFFFF000) + (linear >> 12 & 0x3FF) * 4;
        const u32 pte = peek32(pte_at);
        if ((pte & kPtePresent) == 0) {
            seen[kNotPresentTable] += !look;
            return result;
        }
        result.writable = (pde & kPteWritable) != 0 && (pte & kPteWritable) != 0;
        result.user = (pde & kPteUser) != 0 && (pte & kPteUser) != 0;
        result.global = (pte & kPteGlobal) != 0 && (cr4 & kCr4Pge) != 0;
        result.dirty = (pte & kPteDirty) != 0;
        result.frame = pte >> 12;
    }
    const bool protect = user || (cr0 & kCr0Wp) != 0;
    if ((user && !result.user) || (write && !result.writable && protect)) {
        result.code |= 1;
        if (!look) {
            ++seen[kPermissionFault];
            seen[kUserDeniedSupervisorPage] += user && !result.user;
            seen[kWriteProtectFault] += !user;
        }
        return result;
    }
    result.ok = true;
    if (look)
        return result;
    seen[kSupervisorWritesReadOnly] += write && !result.writable;
    const u32 leaf_bits = kPteAccessed | (write ? u32{kPteDirty} : 0u);
    set_entry_bits(pde_at, pde, result.large ? leaf_bits : u32{kPteAccessed});
    if (!result.large) {
        const u32 pte_at = bus_address(pde & 0xFFFFF000) + (linear >> 12 & 0x3FF) * 4;
        set_entry_bits(pte_at, (result.frame << 12) | (pte_at == pde_at ? pde & 0xFFF : peek32(pte_at) & 0xFFF),
                       leaf_bits);
    }
    result.dirty |= write;
    return result;
}

void ReferenceMmu::touch(Set& set, u32 way) {
    if (way < 2) {
        set.b0 = true;
        set.b1 = way == 0;
    } else {
        set.b0 = false;
        set.b2 = way == 2;
    }
}

u32 ReferenceMmu::victim(const Set& set) {
    if (!set.b0)
        return !set.b1 ? 0 : 1;
    return !set.b2 ? 2 : 3;
}

void ReferenceMmu::enter(u32 linear, Kind kind, const WalkResult& walk) {
    const bool use_large = walk.large && kind != Kind::Fetch;
    const u32 page = linear >> (use_large ? 22 : 12);
    Set& set = kind == Kind::Fetch ? code[page % 8] : use_large ? large[page % 2] : data[page % 16];
    u32 way = 4;
    for (u32 i = 0; i < 4; ++i) {
        if (set.way[i].valid && set.way[i].page == page)
            way = i;
    }
    for (u32 i = 0; i < 4 && way == 4; ++i) {
        if (!set.way[i].valid) {
            way = i;
            ++seen[kFillInvalidWay];
        }
    }
    if (way == 4) {
        way = victim(set);
        ++seen[kind == Kind::Fetch ? kEvictFetch : use_large ? kEvictLarge : kEvictData];
    }
    set.way[way] = {true,          page,      use_large ? walk.frame & ~0x3FFu : walk.frame,
                    walk.writable, walk.user, walk.global,
                    walk.dirty,    walk.large};
    touch(set, way);
}

// Looks in the set of small entries and, for data, in that of large ones; the small entry wins.
ReferenceMmu::Found ReferenceMmu::find(u32 linear, Kind kind) {
    Found found;
    Set& small = kind == Kind::Fetch ? code[(linear >> 12) % 8] : data[(linear >> 12) % 16];
    for (u32 i = 0; i < 4; ++i) {
        if (small.way[i].valid && small.way[i].page == linear >> 12)
            found = {&small, i, false};
    }
    if (kind == Kind::Fetch)
        return found;
    Set& other = large[(linear >> 22) % 2];
    for (u32 i = 0; i < 4; ++i) {
        if (!other.way[i].valid || other.way[i].page != linear >> 22)
            continue;
        if (found.set != nullptr)
            ++seen[kHitSmallInsideLarge];
        else
            found = {&other, i, true};
    }
    return found;
}

bool ReferenceMmu::translate(u32 linear, bool user, Kind kind, Outcome& outcome, u32& physical) {
    if ((cr0 & kCr0Pg) == 0) {
        physical = bus_address(linear);
        ++seen[kUnpagedAccess];
        return true;
    }
    const u32 side = kind == Kind::Fetch ? 1 : 0;
    ++accesses[side];
    const Found found = find(linear, kind);
    Entry* const hit = found.set == nullptr ? nullptr : &found.set->way[found.way];
    const bool write = kind == Kind::Write;
    bool permitted = false;
    if (hit != nullptr) {
        permitted = !(user && !hit->user) && !(write && !hit->writable && (user || (cr0 & kCr0Wp) != 0));
        if (permitted && (!write || hit->dirty)) {
            const Set before = *found.set;
            touch(*found.set, found.way);
            const bool same = before.b0 == found.set->b0 && before.b1 == found.set->b1 && before.b2 == found.set->b2;
            ++seen[same ? kHitMostRecent : kHitOtherWay];
            seen[kHitLarge] += found.large;
            seen[kHitGlobal] += hit->global;
            const u32 frame = found.large ? hit->frame | (linear >> 12 & 0x3FF) : hit->frame;
            if ((accesses[side] & 15) == 0) {
                const WalkResult now = walk(linear, user, kind, true);
                seen[kStaleHit] += !now.ok || now.frame != frame;
            }
            physical = bus_address((frame << 12) | (linear & 0xFFF));
            return true;
        }
    }
    if (hit == nullptr) {
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
        seen[kDirtyWalkFaults] += hit != nullptr && permitted;
        outcome.fault_address = linear;
        outcome.fault_code = result.code;
        return false;
    }
    seen[kUpgradeFound] += hit != nullptr && !permitted;
    if (hit != nullptr && kind != Kind::Fetch && found.large != result.large) {
        ++seen[result.large ? kBecameLarge : kBecameSmall];
        *hit = Entry{};
    }
    enter(linear, kind, result);
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
        watch_reports = fold(watch_reports, linear, u64{outcome.physical} << 8 | 1 << 2 | 2);
        ++seen[kWatchedAccess];
    }
    return outcome;
}

bool ReferenceMmu::plain_hit(u32 linear, bool user, bool write) const {
    if ((cr0 & kCr0Pg) == 0)
        return true;
    const Entry* hit = nullptr;
    for (const Entry& entry : large[(linear >> 22) % 2].way) {
        if (entry.valid && entry.page == linear >> 22)
            hit = &entry;
    }
    for (const Entry& entry : data[(linear >> 12) % 16].way) {
        if (entry.valid && entry.page == linear >> 12)
            hit = &entry;
    }
    if (hit == nullptr || (user && !hit->user))
        return false;
    return !write || ((hit->writable || (!user && (cr0 & kCr0Wp) == 0)) && hit->dirty);
}

void ReferenceMmu::drop_page(u32 linear, Transition transition) {
    for (Entry& entry : data[(linear >> 12) % 16].way) {
        if (entry.valid && entry.page == linear >> 12) {
            entry = Entry{};
            ++seen[transition];
        }
    }
    for (Entry& entry : large[(linear >> 22) % 2].way) {
        if (entry.valid && entry.page == linear >> 22) {
            entry = Entry{};
            ++seen[transition];
        }
    }
    u32 pieces = 0;
    for (Set& set : code) {
        for (Entry& entry : set.way) {
            if (entry.valid && (entry.page == linear >> 12 || (entry.large && entry.page >> 10 == linear >> 22))) {
                pieces += entry.large;
                entry = Entry{};
                ++seen[transition];
            }
        }
    }
    seen[kInvlpgDropsSeveralPieces] += pieces > 1;
}

void ReferenceMmu::flush(bool with_global) {
    const auto sweep = [&](auto& sets) {
        for (Set& set : sets) {
            for (Entry& entry : set.way) {
                if (!entry.valid)
                    continue;
                if (entry.global)
                    ++seen[with_global ? kFullFlushDropsGlobal : kCr3KeepsGlobal];
                if (with_global || !entry.global)
                    entry = Entry{};
            }
        }
    };
    sweep(data);
    sweep(large);
    sweep(code);
}

void ReferenceMmu::set_cr0(u32 value) {
    const u32 changed = cr0 ^ value;
    cr0 = value;
    if ((changed & (kCr0Pg | kCr0Pe)) != 0)
        flush(true);
}

void ReferenceMmu::set_cr3(u32 value, bool task_switch) {
    const bool same = cr3 == value;
    cr3 = value;
    if (!(task_switch && same))
        flush(false);
}

void ReferenceMmu::set_cr4(u32 value) {
    const u32 changed = cr4 ^ value;
    cr4 = value;
    if ((changed & (kCr4Pse | kCr4Pge | kCr4Pae)) != 0)
        flush(true);
}

} // namespace forkscope::reference
