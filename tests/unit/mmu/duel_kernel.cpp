// The hostile kernel of the duel: its tables in either form, what it does to them, and what it forgets to flush.
#include "duel.hpp"

namespace forkscope {

namespace {

// Frames 0x60..0x6F: directories, of four address spaces: one each, or four each under PAE; the rest of 0x60..0x7B are
// tables; 0x7C: the table of the kernel's window onto 0x60..0x7F; 0x7D: the PDPTEs of the four.
constexpr u32 kDirectories = 0x60, kTables = 0x64, kPaeTables = 0x70, kWindowTable = 0x7C, kPointers = 0x7D;
constexpr u32 kWindow = 0x3FDu << 22;
constexpr u32 kSlots[] = {0, 1, 2, 3, 0x80, 0x81, 0x200, 0x201, 0x300, 0x301, 0x3FE, 0x3FF};
// Pages within a table: neighbours, pages 256 apart (one slot of the front), device, ROM, page tables under large
// pages.
constexpr u32 kSinglePages[] = {0xA0, 0xA1, 0xF0, 0xFF, 0x64, 0x65, 0x3FE, 0x3FF};
constexpr u32 kRegular = kPtePresent | kPteWritable | kPteUser;

} // namespace

u32 Duel::pool_page() {
    const u32 slot = kSlots[random_.below(std::size(kSlots))];
    const u64 dice = random_.below(48);
    const u32 index = dice < 24   ? static_cast<u32>(dice)
                      : dice < 32 ? 256 + static_cast<u32>(dice - 24)
                      : dice < 40 ? 16 * static_cast<u32>(dice - 32)
                                  : kSinglePages[dice - 40];
    return slot << 10 | index;
}

u32 Duel::random_linear() {
    if (random_.chance(48))
        hot_[random_.below(std::size(hot_))] = pool_page();
    u32 page = random_.chance(24) ? pool_page() : hot_[random_.below(std::size(hot_))];
    if ((reference_.cr0 & kCr0Pg) == 0 && !random_.chance(16))
        page = static_cast<u32>(random_frame()) & 0xFFFFF;
    const u32 offset =
        random_.chance(12) ? 0x1000 - static_cast<u32>(1 + random_.below(8)) : static_cast<u32>(random_.below(0x1000));
    return page << 12 | offset;
}

u32 Duel::space() const { return pae() ? reference_.cr3 >> 5 & 3 : (reference_.cr3 >> 12) - kDirectories; }

u32 Duel::root_of(u32 space) const { return pae() ? kPointers << 12 | space * 32 : (kDirectories + space) << 12; }

void Duel::serve_fault(u32 linear, u32 code) {
    if (!random_.chance(16)) {
        mmu_.drop_faulting_entry(LinearAddress(linear));
        reference_.page_fault_delivered(linear);
        compare_sets_of(linear);
    }
    if (random_.chance(5) || linear >> 22 == kWindow >> 22)
        return;
    if (pae() && (reference_.pointers[linear >> 30] & kPtePresent) == 0 && linear >> 30 != 3) {
        const u64 pointer = (kDirectories + 4 * space() + (linear >> 30)) << 12 | kPtePresent;
        kernel_store((reference_.cr3 & ~31u) + (linear >> 30) * 8, pointer);
        return set_cr3(reference_.cr3, false);
    }
    const u64 directory_entry = reference_.peek_entry(directory_at(linear));
    const bool large = (directory_entry & kPteLarge) != 0 && (pae() || (reference_.cr4 & kCr4Pse) != 0);
    const u64 good = table_frame_for(linear) << 12 | kRegular;
    if ((directory_entry & kPtePresent) == 0 || (code & kFaultReserved) != 0) {
        kernel_store(directory_at(linear), good);
        if (const u32 at = table_at(linear); at != 0 && (code & kFaultReserved) != 0)
            kernel_store(at, random_frame() << 12 | kRegular);
    } else if (large) {
        kernel_store(directory_at(linear), (directory_entry | kRegular) & ~kPteNoExecute);
    } else {
        const u32 at = table_at(linear);
        const u64 entry = at != 0 ? reference_.peek_entry(at) : 0;
        if ((directory_entry & kRegular) != kRegular || (directory_entry & kPteNoExecute) != 0)
            kernel_store(directory_at(linear), (directory_entry | kRegular) & ~kPteNoExecute);
        else if (at == 0)
            kernel_store(directory_at(linear), good);
        else if ((entry & kPtePresent) == 0)
            kernel_store(at, random_frame() << 12 | random_flags() | kPtePresent);
        else
            kernel_store(at, (entry | kRegular) & ~kPteNoExecute);
    }
}

// Where the kernel keeps the directory entry, independent of the registers.
u32 Duel::directory_at(u32 linear) const {
    if (!pae())
        return (reference_.cr3 & ~kPageMask) + (linear >> 22) * 4;
    return (kDirectories + 4 * space() + (linear >> 30)) << 12 | (linear >> 21 & 0x1FF) * 8;
}

u32 Duel::table_frame_for(u32 linear) const {
    const u32 first = pae() ? kPaeTables : kTables;
    return first + ((linear >> slot_shift()) * 7 + space() * 5) % (kWindowTable - first);
}

// Where the table entry of `linear` lies, or 0 if its table is none of the kernel's.
u32 Duel::table_at(u32 linear) const {
    const u64 frame = (reference_.peek_entry(directory_at(linear)) & kPteFrame) >> 12;
    const u32 slots = kPageSize / width();
    return frame >= (pae() ? kPaeTables : kTables) && frame < kWindowTable
               ? static_cast<u32>(frame) << 12 | (linear >> 12 & (slots - 1)) * width()
               : 0;
}

u64 Duel::random_frame() {
    const u64 dice = random_.below(64);
    if (dice < 1)
        return 0xA0;
    if (dice < 2)
        return 0xF0 + random_.below(16);
    if (dice < 3)
        return 0x300 + random_.below(64);
    if (dice < 5)
        return kPaeTables + random_.below(kWindowTable - kPaeTables);
    if (dice < 6)
        return 0xFFFF0 + random_.below(16);
    if (dice < 8 && pae())
        return random_.below(16) << 20 | random_.below(0x60);
    return dice < 34 ? random_.below(0x60) : 0x180 + random_.below(0x80);
}

u64 Duel::random_flags() {
    u64 flags = kRegular;
    if (random_.chance(4))
        flags &= ~u64{kPteWritable};
    if (random_.chance(4))
        flags &= ~u64{kPteUser};
    if (random_.chance(8))
        flags &= ~u64{kPtePresent};
    if (random_.chance(6))
        flags |= kPteGlobal;
    if (random_.chance(4))
        flags |= kPteAccessed;
    if (random_.chance(4))
        flags |= kPteDirty | kPteAccessed;
    if (random_.chance(16))
        flags |= kPteLarge | 0xE18;
    if (pae() && random_.chance(5))
        flags |= kPteNoExecute;
    if (pae() && random_.chance(24))
        flags |= u64{1} << (36 + random_.below(27));
    return flags;
}

u64 Duel::random_large_entry() {
    const u64 dice = random_.below(8);
    u64 entry = kPteLarge | (dice < 3 ? random_flags() : u64{kRegular});
    if (dice == 3)
        entry |= random_.below(4) << slot_shift();
    else if (dice == 4)
        entry |= u64{0x1000} << random_.below(slot_shift() - 12);
    return entry;
}

// A store into the kernel's tables, as a guest makes it: through the Mmu, which may fault where it was damaged.
bool Duel::kernel_store(u32 physical, u64 value) {
    const bool paging = (reference_.cr0 & kCr0Pg) != 0;
    const u32 linear = paging ? kWindow + (physical - (kDirectories << 12)) : physical;
    const u64 faults = reference_.faults;
    ++reference_.seen[reference::kTableEditedByGuest];
    if (pae() && random_.chance(4)) { // as a kernel without CMPXCHG8B does
        store(linear + 4, 4, value >> 32, false);
        store(linear, 4, value & 0xFFFFFFFF, false);
    } else {
        store(linear, width(), value, false);
    }
    if (reference_.faults == faults && reference_.peek_entry(physical) == (pae() ? value : value & 0xFFFFFFFF))
        return true;
    rebuild_tables(); // the window itself was overwritten, or is stale
    return false;
}

void Duel::maybe_invalidate(u32 linear) {
    if (random_.chance(4))
        return;                         // forgotten
    if (!has(reference::kNeedsProtect)) // nor has it INVLPG
        return set_cr3(reference_.cr3, false);
    mmu_.invalidate_page(LinearAddress(linear));
    reference_.invlpg(linear);
    compare_sets_of(linear);
}

// What kernels do to mappings, with every fourth flush forgotten.
void Duel::edit_step() {
    const u32 linear = (random_.chance(8) ? pool_page() : hot_[random_.below(std::size(hot_))]) << 12;
    if (random_.chance(10))
        edit_directory(linear);
    else
        edit_table(linear);
}

void Duel::edit_directory(u32 linear) {
    const u64 dice = random_.below(10);
    const u64 good = table_frame_for(linear) << 12 | kRegular;
    u64 entry = good;
    if (dice < 5)
        entry = random_large_entry();
    else if (dice < 6)
        entry = reference_.peek_entry(directory_at(linear)) ^ (1u << random_.below(3));
    else if (dice < 7)
        entry = reference_.peek_entry(directory_at(linear)) & ~u64{kPteAccessed | kPteDirty};
    else if (dice < 8 && pae())
        entry = good | kPteNoExecute;
    else if (dice < 9)
        entry = kPteLarge | kRegular;
    kernel_store(directory_at(linear), entry);
    if (dice < 8)
        return maybe_invalidate(linear);
    // The page changes its size, unflushed, and is then written through the stale entry.
    load(linear, 4, false);
    kernel_store(directory_at(linear), (entry & kPteLarge) != 0 ? good : u64{kPteLarge | kRegular});
    store(linear, 4, random_.next(), false);
}

void Duel::edit_table(u32 linear) {
    const u32 at = table_at(linear);
    if (at == 0)
        return;
    const u64 entry = reference_.peek_entry(at);
    switch (random_.below(9)) {
    case 0:
    case 1: // copy-on-write protection
        kernel_store(at, entry & ~u64{kPteWritable});
        return maybe_invalidate(linear);
    case 2: // upgrades and a downgrade without a flush
        kernel_store(at, entry | kPteWritable);
        return;
    case 3:
        kernel_store(at, entry & ~u64{kPteUser});
        return;
    case 4:
        kernel_store(at, entry | kPteUser | kPtePresent);
        return;
    case 5: // the clock algorithm
        kernel_store(at, entry & ~u64{random_.chance(2) ? kPteAccessed : kPteDirty});
        return maybe_invalidate(linear);
    case 6:
        kernel_store(at, entry & ~u64{kPtePresent});
        if (random_.chance(4))
            return store(linear, 4, random_.next(), false); // at once: a clean entry's dirty walk finds it gone
        return maybe_invalidate(linear);
    case 7:
        kernel_store(at, entry ^ kPteGlobal);
        return maybe_invalidate(linear);
    default:
        kernel_store(at, random_frame() << 12 | random_flags());
        return maybe_invalidate(linear);
    }
}

// A PDPTE changes in memory, without effect until the registers are loaded.
void Duel::damage_pointer() {
    const u32 quarter = static_cast<u32>(random_.below(3));
    const u32 at = root_of(static_cast<u32>(random_.below(4))) + quarter * 8;
    const u64 dice = random_.below(8);
    u64 pointer = reference_.peek(at, 8);
    if (dice < 2)
        pointer ^= kPtePresent;
    else if (dice < 3)
        pointer |= u64{2} << random_.below(62);
    else
        pointer = (kDirectories + 4 * ((at >> 5 & 3) ^ (dice == 7 ? 1 : 0)) + quarter) << 12 | kPtePresent;
    kernel_store(at, pointer);
}

void Duel::control_step() {
    const u64 dice = random_.below(64);
    if ((reference_.cr0 & kCr0Pg) == 0 && random_.chance(3)) {
        set_cr0(reference_.cr0 | kCr0Pg | kCr0Pe);
    } else if (dice < 20) {
        maybe_invalidate(random_linear());
    } else if (dice < 30) {
        set_cr3(root_of(static_cast<u32>(random_.below(4))), random_.chance(3));
    } else if (dice < 50) {
        if (has(reference::kNeedsProtect))
            set_cr0(reference_.cr0 ^ kCr0Wp);
    } else if (dice < 53) {
        if (has(reference::kNeedsGlobal))
            set_cr4(reference_.cr4 ^ kCr4Pge);
    } else if (dice < 55) {
        if (has(reference::kNeedsLarge))
            set_cr4(reference_.cr4 ^ kCr4Pse);
    } else if (dice < 56) {
        set_cr0(reference_.cr0 & ~u32{kCr0Pg});
    } else if (dice < 58) {
        reference_.a20 = !reference_.a20;
        mmu_.set_a20(reference_.a20);
    } else if (dice < 60) {
        if (has(reference::kNeedsPae)) {
            reference_.nxe = random_.chance(4) ? !reference_.nxe : true;
            mmu_.write_efer(reference_.nxe ? kEferNxe : 0);
        }
    } else if (dice < 62) {
        for (u32 i = 0; i < 3 && pae() && reference_.a20; ++i)
            damage_pointer();
    } else if (dice < 63) {
        if (has(reference::kNeedsPae) && random_.chance(8))
            switch_mode();
    } else {
        set_cr4(reference_.cr4 | (has(reference::kNeedsLarge) ? u32{kCr4Pse} : 0) |
                (has(reference::kNeedsGlobal) ? u32{kCr4Pge} : 0));
    }
}

void Duel::switch_mode() {
    set_cr0(reference_.cr0 & ~u32{kCr0Pg});
    set_cr4(reference_.cr4 ^ kCr4Pae);
    set_cr3(root_of(0), false);
    rebuild_tables();
    set_cr0(reference_.cr0 | kCr0Pg | kCr0Pe);
}

// --- Control registers, unless that would be #GP(0)

void Duel::set_cr0(u32 value) {
    const bool loads = ((value ^ reference_.cr0) & (kCr0Pg | kCr0Cd | kCr0Nw)) != 0 && (value & kCr0Pg) != 0 && pae();
    const bool good = !loads || reference_.good_pointers(reference_.cr3);
    if (mmu_.paging().accepts_cr0(value) != good)
        return disagree("whether CR0 may be loaded");
    if (!good)
        return;
    mmu_.write_cr0(reference_.cr0, value);
    reference_.set_cr0(value);
}

void Duel::set_cr3(u32 value, bool task_switch) {
    const bool good = !pae() || (reference_.cr0 & kCr0Pg) == 0 || reference_.good_pointers(value);
    if (mmu_.paging().accepts_cr3(value) != good)
        return disagree("whether CR3 may be loaded");
    if (!good)
        return;
    mmu_.write_cr3(value, task_switch ? TlbFlushReason::TaskSwitch : TlbFlushReason::Cr3);
    reference_.set_cr3(value, task_switch);
}

void Duel::set_cr4(u32 value) {
    const bool loads = ((value ^ reference_.cr4) & (kCr4Pge | kCr4Pse | kCr4Pae)) != 0 && (value & kCr4Pae) != 0 &&
                       (reference_.cr0 & kCr0Pg) != 0;
    const bool good = !loads || reference_.good_pointers(reference_.cr3);
    if (mmu_.paging().accepts_cr4(value) != good)
        return disagree("whether CR4 may be loaded");
    if (!good)
        return;
    mmu_.write_cr4(reference_.cr4, value);
    reference_.set_cr4(value);
}

void Duel::poke_entry(u32 physical, u64 value) {
    for (u32 i = 0; i < width(); i += 4) {
        const auto word = static_cast<u32>(value >> (8 * i));
        mmu_.poke_physical(PhysicalAddress(physical + i), {reinterpret_cast<const u8*>(&word), sizeof word});
        reference_.poke32(physical + i, word);
    }
}

// As new, and all of it flushed.
void Duel::rebuild_tables() {
    for (u32 frame = kDirectories; frame <= kPointers; ++frame) {
        for (u32 at = 0; at < kPageSize; at += width())
            poke_entry(frame << 12 | at, 0);
    }
    for (u32 number = 0; number < 4; ++number) {
        const auto directory_entry = [&](u32 linear) {
            return pae() ? (kDirectories + 4 * number + (linear >> 30)) << 12 | (linear >> 21 & 0x1FF) * 8
                         : (kDirectories + number) << 12 | (linear >> 22) * 4;
        };
        const u32 first = pae() ? kPaeTables : kTables;
        for (const u32 slot : kSlots) {
            for (u32 part = 0; part < 1u << (22 - slot_shift()); ++part) {
                const u32 linear = slot << 22 | part << 21;
                const u32 table = first + ((linear >> slot_shift()) * 7 + number * 5) % (kWindowTable - first);
                poke_entry(directory_entry(linear), table << 12 | kRegular);
            }
        }
        poke_entry(directory_entry(kWindow), kWindowTable << 12 | kPtePresent | kPteWritable);
        for (u32 quarter = 0; quarter < 4 && pae(); ++quarter)
            poke_entry(kPointers << 12 | number * 32 | quarter * 8,
                       (kDirectories + 4 * number + quarter) << 12 | kPtePresent);
    }
    for (u32 i = 0; i < 32; ++i)
        poke_entry(kWindowTable << 12 | i * width(), (kDirectories + i) << 12 | kPtePresent | kPteWritable);
    const u32 flushes = has(reference::kNeedsGlobal) ? u32{kCr4Pge} : 0;
    if (flushes == 0)
        return set_cr3(reference_.cr3, false);
    set_cr4(reference_.cr4 ^ flushes);
    set_cr4(reference_.cr4 ^ flushes);
}

} // namespace forkscope
