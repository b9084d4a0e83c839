// Owns: the page walk, once, as a template on the paging mode and on a policy that reads entries and sets bits in them,
// or does not. Callers: PagingUnit (sets A and D), PagingState (only looks). Promises: SDM 3A 4.3, 4.4 and 4.8: entries
// read top down, rights checked before any A or D is set, none set on a fault; then A top down, D in the leaf on a
// write.
#pragma once

#include "mmu/mutant.hpp"
#include "mmu/paging.hpp"

namespace forkscope {

// 32-bit paging, SDM 3A 4.3. PSE-36 puts bits 35:32 of a 4 MB page's frame into bits 16:13 of its entry.
struct Paging32 {
    using Entry = u32;
    static constexpr u32 kLevels = 2;
    static constexpr PagingGeometry kGeometry = kGeometry32;

    static bool root(const PagingControl& control, u32, Walk&, u64& table) {
        table = control.cr3 & ~kPageMask;
        return true;
    }
    static bool is_large(u64 entry, u32 level, const PagingControl& control) {
        return level == 2 && (entry & kPteLarge) != 0 && control.large_pages();
    }
    // Bits 16:13 of a 4 MB entry, as many of them as there are address lines above the 32nd.
    static u64 high_frame_bits(const PagingControl& control) {
        return control.features.pse36 ? control.physical_mask() >> 32 << 13 : 0;
    }
    static u64 reserved_bits(bool large, const PagingControl& control) {
        const u64 pat = control.features.pat ? 0x1000 : 0;
        return large ? 0x003FF000 & ~pat & ~high_frame_bits(control) : 0;
    }
    static u64 frame(u64 entry, bool large, const PagingControl& control) {
        if (!large)
            return entry & ~u64{kPageMask};
        const u64 high = MMU_MUTANT(Pse36BitsLost) ? 0 : (entry & high_frame_bits(control)) << 19;
        return (entry & 0xFFC00000) | high;
    }
};

// PAE paging, SDM 3A 4.4: four registers, each for one directory of 512 entries of 64 bits.
struct PaePaging {
    using Entry = u64;
    static constexpr u32 kLevels = 2; // in memory
    static constexpr PagingGeometry kGeometry = kGeometryPae;
    // Of a PDPTE (table 4-8), which is checked when it is loaded.
    static u64 pdpte_reserved_bits(const PagingControl& control) { return 0x1E6 | ~control.physical_mask(); }

    static bool root(const PagingControl& control, u32 linear, Walk& walk, u64& table) {
        const u32 number = linear >> 30;
        walk.at(3) = {PhysicalAddress((control.cr3 & ~31u) + number * 8), control.pdpte[number], true};
        table = control.pdpte[number] & kPteFrame;
        return (control.pdpte[number] & kPtePresent) != 0;
    }
    static bool is_large(u64 entry, u32 level, const PagingControl&) { return level == 2 && (entry & kPteLarge) != 0; }
    static u64 reserved_bits(bool large, const PagingControl& control) {
        const u64 pat = control.features.pat ? 0x1000 : 0;
        const u64 no_execute = control.no_execute() ? kPteNoExecute : 0;
        const u64 above = MMU_MUTANT(WidthBitsIgnored) ? 0 : ~control.physical_mask() & ~kPteNoExecute;
        return above | (kPteNoExecute & ~no_execute) | (large ? 0x001FF000 & ~pat : 0);
    }
    static u64 frame(u64 entry, bool large, const PagingControl&) {
        return entry & kPteFrame & (large ? ~u64{0x1FFFFF} : ~u64{0});
    }
};

// The bits of the error code that say what was asked for.
inline u32 asked_fault_bits(const PagingControl& control, Privilege privilege, AccessKind kind) {
    const bool fetch = kind == AccessKind::Fetch && (control.no_execute() || MMU_MUTANT(FetchBitWithoutNx));
    return (kind == AccessKind::Write ? u32{kFaultWrite} : 0) | (privilege == Privilege::User ? u32{kFaultUser} : 0) |
           (fetch ? u32{kFaultFetch} : 0);
}

inline bool forbidden(const Walk& walk, const PagingControl& control, Privilege privilege, AccessKind kind) {
    const bool user = privilege == Privilege::User;
    if (user && (walk.rights & kPteUser) == 0)
        return true;
    if (kind == AccessKind::Fetch)
        return walk.no_execute && !MMU_MUTANT(NoExecuteIgnored);
    return kind == AccessKind::Write && (walk.rights & kPteWritable) == 0 && (user || control.write_protect());
}

// Policy has: PhysicalAddress locate(u64 table, u32 offset, u32 level); void read(PhysicalAddress, Entry&);
// void set_bits(PhysicalAddress, u64 old_entry, u64 new_entry, u32 level). Level 1 is the page table.
template <class Mode, class Policy>
Walk walk_in_mode(Policy& policy, const PagingControl& control, u32 linear, Privilege privilege, AccessKind kind) {
    Walk walk;
    const u32 asked = asked_fault_bits(control, privilege, kind);
    walk.error_code = asked;
    u64 table = 0;
    if (!Mode::root(control, linear, walk, table))
        return walk;
    walk.rights = kPteWritable | kPteUser;
    u32 level = Mode::kLevels;
    typename Mode::Entry entry = 0;
    for (;; --level) {
        WalkLevel& step = walk.at(level);
        step.entry_address = policy.locate(table, Mode::kGeometry.entry_offset(linear, level), level);
        policy.read(step.entry_address, entry);
        step.entry = entry;
        step.read = true;
        if ((entry & kPtePresent) == 0)
            return walk;
        walk.large = Mode::is_large(entry, level, control);
        if ((entry & Mode::reserved_bits(walk.large, control)) != 0 && !MMU_MUTANT(ReservedBitsIgnored)) {
            walk.error_code = asked | kFaultProtection | kFaultReserved;
            return walk;
        }
        walk.rights &= MMU_MUTANT(TableRightsOnly) && level == 1 ? ~0u : static_cast<u32>(entry);
        walk.no_execute |= (u64{entry} & kPteNoExecute) != 0;
        table = Mode::frame(entry, walk.large, control);
        if (walk.large || level == 1)
            break;
    }

    const bool write = kind == AccessKind::Write;
    walk.ok = !forbidden(walk, control, privilege, kind);
    if (walk.ok || MMU_MUTANT(AccessedSetOnFault)) {
        for (u32 at = Mode::kLevels; at >= level; --at) {
            const WalkLevel& step = walk.at(at);
            const u64 wanted = step.entry | kPteAccessed | (write && at == level ? u32{kPteDirty} : 0);
            if (wanted != step.entry)
                policy.set_bits(step.entry_address, step.entry, wanted, at);
        }
    }
    if (!walk.ok) {
        walk.error_code = asked | kFaultProtection;
        return walk;
    }
    walk.error_code = 0;
    const bool global = (entry & kPteGlobal) != 0 && (control.global_pages() || MMU_MUTANT(GlobalWithoutPge));
    const u32 mask = walk.large ? Mode::kGeometry.large_bytes() - 1 : kPageMask;
    walk.rights |= global ? u32{kPteGlobal} : 0;
    walk.dirty = write || (entry & kPteDirty) != 0;
    walk.physical = PhysicalAddress(table | (linear & mask));
    return walk;
}

// The walk in the mode that the control registers say.
template <class Policy>
Walk walk_page_tables(Policy& policy, const PagingControl& control, u32 linear, Privilege privilege, AccessKind kind) {
    return control.pae() ? walk_in_mode<PaePaging>(policy, control, linear, privilege, kind)
                         : walk_in_mode<Paging32>(policy, control, linear, privilege, kind);
}
// Of a present entry, for code that goes through tables without walking.
inline bool is_large(u64 entry, u32 level, const PagingControl& control) {
    return control.pae() ? PaePaging::is_large(entry, level, control) : Paging32::is_large(entry, level, control);
}
inline u64 frame_of(u64 entry, bool large, const PagingControl& control) {
    return control.pae() ? PaePaging::frame(entry, large, control) : Paging32::frame(entry, large, control);
}

} // namespace forkscope
