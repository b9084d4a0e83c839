// Owns: the page walk, once, as a template on the paging mode and on a policy that reads and (or does not) write
// entries. Callers: Mmu (a policy that sets A and D) and its peek functions (a policy that only looks). Promises: SDM
// 3A 4.3 and 4.8: entries read top down, rights checked before any A or D is set, none set on a fault; then A top down,
// D in the leaf on a write.
#pragma once

#include "mmu/mutant.hpp"
#include "mmu/paging.hpp"

namespace forkscope {

// 32-bit paging, SDM 3A 4.3, on a processor without PSE-36 and PAT: bits 21:12 of a 4 MB entry are reserved.
struct Paging32 {
    using Entry = u32;
    static constexpr u32 kLevels = 2;
    static constexpr u32 kFrameMask = 0xFFFFF000;
    static constexpr u32 kLargeReserved = 0x003FF000;

    static u32 entry_offset(u32 linear, u32 level) { return (linear >> (12 + 10 * (level - 1)) & 0x3FF) * 4; }
    static bool is_large(Entry entry, u32 level, const PagingControl& control) {
        return level == 2 && (entry & kPteLarge) != 0 && control.large_pages();
    }
    static bool reserved_set(Entry entry, bool large) {
        return large && (entry & kLargeReserved) != 0 && !MMU_MUTANT(ReservedBitsIgnored);
    }
    static u32 page_mask(bool large) { return large ? 0x003FFFFF : kPageMask; }
};

// Policy has: PhysicalAddress locate(u32 table, u32 offset, u32 level); u32 read(PhysicalAddress);
// void set_bits(PhysicalAddress, u32 old_entry, u32 new_entry, u32 level). Level 1 is the page table.
template <class Mode, class Policy>
Walk walk_page_tables(Policy& policy, const PagingControl& control, u32 linear, Privilege privilege, AccessKind kind) {
    Walk walk;
    const u32 asked =
        (kind == AccessKind::Write ? u32{kFaultWrite} : 0) | (privilege == Privilege::User ? u32{kFaultUser} : 0);
    u32 table = control.cr3 & Mode::kFrameMask;
    u32 rights = kPteWritable | kPteUser;
    u32 level = Mode::kLevels;
    typename Mode::Entry entry = 0;
    for (;; --level) {
        WalkLevel& step = walk.levels[Mode::kLevels - level];
        step.entry_address = policy.locate(table, Mode::entry_offset(linear, level), level);
        step.entry = entry = policy.read(step.entry_address);
        step.read = true;
        if ((entry & kPtePresent) == 0) {
            walk.error_code = asked;
            return walk;
        }
        walk.large = Mode::is_large(entry, level, control);
        if (Mode::reserved_set(entry, walk.large)) {
            walk.error_code = asked | kFaultProtection | kFaultReserved;
            return walk;
        }
        rights &= MMU_MUTANT(TableRightsOnly) && level == 1 ? ~0u : entry;
        if (walk.large || level == 1)
            break;
        table = entry & Mode::kFrameMask;
    }

    const bool write = kind == AccessKind::Write;
    const bool user = privilege == Privilege::User;
    const bool forbidden = (user && (rights & kPteUser) == 0) ||
                           (write && (rights & kPteWritable) == 0 && (user || control.write_protect()));
    if (!forbidden || MMU_MUTANT(AccessedSetOnFault)) {
        for (u32 at = Mode::kLevels; at >= level; --at) {
            const WalkLevel& step = walk.levels[Mode::kLevels - at];
            const u32 wanted = step.entry | kPteAccessed | (write && at == level ? u32{kPteDirty} : 0);
            if (wanted != step.entry)
                policy.set_bits(step.entry_address, step.entry, wanted, at);
        }
    }
    if (forbidden) {
        walk.error_code = asked | kFaultProtection;
        return walk;
    }

    const bool global = (entry & kPteGlobal) != 0 && (control.global_pages() || MMU_MUTANT(GlobalWithoutPge));
    const u32 mask = Mode::page_mask(walk.large);
    walk.ok = true;
    walk.rights = rights | (global ? u32{kPteGlobal} : 0);
    walk.dirty = write || (entry & kPteDirty) != 0;
    walk.physical = PhysicalAddress((entry & ~mask) | (linear & mask));
    return walk;
}

} // namespace forkscope
