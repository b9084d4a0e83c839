#include "duel.hpp"

namespace forkscope {

using reference::Outcome;
using reference::ReferenceMmu;

namespace {

constexpr u32 kRamBytes = 2u << 20;
constexpr u32 kDeviceStart = 0xA0000, kDeviceEnd = 0xC0000, kRomStart = 0xF0000;
// Frames 0x60..0x63: directories; 0x64..0x7B: tables; 0x7C: the table of the kernel's window onto 0x60..0x7F.
constexpr u32 kDirectories = 0x60, kTables = 0x64, kTableCount = 24, kWindowTable = 0x7C;
constexpr u32 kWindow = 0x3FDu << 22;
constexpr u32 kSlots[] = {0, 1, 2, 3, 0x80, 0x81, 0x200, 0x201, 0x300, 0x301, 0x3FE, 0x3FF};
// Pages within a table: neighbours, pages 256 apart (one slot of the front), device, ROM, page tables under 4 MB pages.
constexpr u32 kSinglePages[] = {0xA0, 0xA1, 0xF0, 0xFF, 0x64, 0x65, 0x3FE, 0x3FF};
constexpr u32 kRegular = kPtePresent | kPteWritable | kPteUser;

template <class T> Access<u64> widen(Access<T> access) { return {access.value, access.ok}; }

} // namespace

Duel::Duel(u64 seed)
    : random_(seed), memory_(kRamBytes), mmu_(memory_, bus_, tracer_),
      reference_(kRamBytes, kRomStart, kDeviceStart, kDeviceEnd) {
    bus_.map_memory(PhysicalAddress(kDeviceStart), kDeviceEnd - kDeviceStart, *this, 1);
    std::vector<u8> rom(0x10000);
    for (u8& byte : rom)
        byte = static_cast<u8>(random_.next());
    memory_.install_rom(PhysicalAddress(kRomStart), rom);
    std::copy(rom.begin(), rom.end(), reference_.memory.begin() + kRomStart);
    mmu_.set_code_listener(this);
    mmu_.set_watcher([this](LinearAddress linear, PhysicalAddress physical, u32 size, AccessKind kind) {
        watch_reports_ =
            ReferenceMmu::fold(watch_reports_, linear.value, physical.value << 8 | size << 2 | static_cast<u32>(kind));
    });
    rebuild_tables();
    set_cr3(kDirectories << 12, false);
    set_cr4(kCr4Pse | kCr4Pge);
    set_cr0(kCr0Pg | kCr0Pe | kCr0Wp);
    for (u32& page : hot_)
        page = pool_page();
}

std::string Duel::run(u64 accesses) {
    const u64 end = accesses_ + accesses;
    u64 next_tlb = accesses_ + 4096, next_memory = accesses_ + 32768, next_rebuild = accesses_ + 2000000;
    while (accesses_ < end && mismatch_.empty()) {
        step();
        if (accesses_ >= next_tlb) {
            next_tlb += 4096;
            compare_everything();
        }
        if (accesses_ >= next_memory) {
            next_memory += 32768;
            compare_memory();
        }
        if (accesses_ >= next_rebuild) {
            next_rebuild += 2000000;
            rebuild_tables();
        }
    }
    return mismatch_;
}

u64 Duel::front_percent() const {
    const u64 hits = reference_.seen[reference::kHitMostRecent] + reference_.seen[reference::kHitOtherWay];
    const u64 slow = mmu_.counters().tlb_hits[0] + mmu_.counters().tlb_hits[1];
    return hits == 0 ? 0 : 100 - 100 * slow / hits;
}

void Duel::step() {
    const u64 dice = random_.below(4096);
    if (dice < 3700)
        access(random_linear(), random_.chance(2));
    else if (dice < 3980)
        edit_step();
    else if (dice < 4040)
        control_step();
    else if (dice < 4088)
        flag_step();
    else
        mode_step();
}

// --- The guest's accesses

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
        page = random_frame();
    const u32 offset =
        random_.chance(12) ? 0x1000 - static_cast<u32>(1 + random_.below(8)) : static_cast<u32>(random_.below(0x1000));
    return page << 12 | offset;
}

void Duel::access(u32 linear, bool user) {
    const u64 dice = random_.below(64);
    const u32 size = 1u << random_.below(4);
    if (dice < 26)
        load(linear, size, user);
    else if (dice < 44)
        store(linear, size, random_.next(), user);
    else if (dice < 54)
        fetch(linear, user);
    else if (dice < 58)
        update(linear, size, random_.next(), user);
    else if (dice < 60)
        probe(linear, static_cast<u32>(1 + random_.below(64)), user);
    else
        bulk(linear, user, dice < 62);
}

void Duel::load(u32 linear, u32 size, bool user) {
    const LinearAddress at(linear);
    const Privilege privilege = user ? Privilege::User : Privilege::Supervisor;
    const Outcome expected = reference_.load(linear, size, user);
    const Access<u64> is = size == 1   ? widen(mmu_.load<u8>(at, privilege))
                           : size == 2 ? widen(mmu_.load<u16>(at, privilege))
                           : size == 4 ? widen(mmu_.load<u32>(at, privilege))
                                       : mmu_.load<u64>(at, privilege);
    after(expected, is.ok, is.value, linear, user);
}

void Duel::store(u32 linear, u32 size, u64 value, bool user) {
    const LinearAddress at(linear);
    const Privilege privilege = user ? Privilege::User : Privilege::Supervisor;
    const Outcome expected = reference_.store(linear, size, value, user);
    const Access<void> is = size == 1   ? mmu_.store(at, static_cast<u8>(value), privilege)
                            : size == 2 ? mmu_.store(at, static_cast<u16>(value), privilege)
                            : size == 4 ? mmu_.store(at, static_cast<u32>(value), privilege)
                                        : mmu_.store(at, value, privilege);
    after(expected, is.ok, 0, linear, user);
}

void Duel::update(u32 linear, u32 size, u64 value, bool user) {
    const LinearAddress at(linear);
    const Privilege privilege = user ? Privilege::User : Privilege::Supervisor;
    const Outcome expected = reference_.update_begin(linear, size, user);
    const Access<u64> is = size == 1   ? widen(mmu_.load_for_update<u8>(at, privilege))
                           : size == 2 ? widen(mmu_.load_for_update<u16>(at, privilege))
                           : size == 4 ? widen(mmu_.load_for_update<u32>(at, privilege))
                                       : mmu_.load_for_update<u64>(at, privilege);
    if (expected.ok && is.ok) {
        reference_.update_end(value);
        if (size == 1)
            mmu_.finish_update(static_cast<u8>(value));
        else if (size == 2)
            mmu_.finish_update(static_cast<u16>(value));
        else if (size == 4)
            mmu_.finish_update(static_cast<u32>(value));
        else
            mmu_.finish_update(value);
    }
    after(expected, is.ok, is.value, linear, user);
}

void Duel::probe(u32 linear, u32 size, bool user) {
    const Outcome expected = reference_.probe(linear, size, user);
    const Access<void> is =
        mmu_.probe_write(LinearAddress(linear), size, user ? Privilege::User : Privilege::Supervisor);
    after(expected, is.ok, 0, linear, user);
}

void Duel::fetch(u32 linear, bool user) {
    Outcome expected = reference_.fetch(linear, user);
    expected.value = expected.physical;
    const Access<PhysicalAddress> is =
        mmu_.fetch(LinearAddress(linear), user ? Privilege::User : Privilege::Supervisor);
    after(expected, is.ok, is.value.value, linear, user);
}

// Up to four bytes of one page: for the reference as many accesses, for the Mmu one, if it offers a pointer at all.
void Duel::bulk(u32 linear, bool user, bool write) {
    const LinearAddress at(linear);
    const Privilege privilege = user ? Privilege::User : Privilege::Supervisor;
    const Walk look = mmu_.peek_walk(at, privilege, write ? AccessKind::Write : AccessKind::Read);
    const bool may_hit = reference_.plain_hit(linear, user, write);
    u8* place = write ? mmu_.bulk_write(at, privilege) : const_cast<u8*>(mmu_.bulk_read(at, privilege));
    ++modes_[place != nullptr ? kBulkHit : kBulkRefused];
    if (place != nullptr && !may_hit)
        return disagree("a bulk access was granted that would not be a plain hit");
    const u8 flags = memory_.flags(look.physical.page());
    if (place == nullptr && may_hit && fast_ && look.ok && flags == 0 && (reference_.cr0 & kCr0Pg) == 0)
        return disagree("a bulk access to plain memory was refused");
    const u32 count = std::min(1 + (linear & 3), kPageSize - (linear & kPageMask));
    for (u32 i = 0; i < count && place != nullptr; ++i) {
        const u8 value = static_cast<u8>(linear * 7 + i);
        const Outcome expected =
            write ? reference_.store(linear + i, 1, value, user) : reference_.load(linear + i, 1, user);
        if (write)
            place[i] = value;
        else if (place[i] != expected.value)
            return disagree("a bulk pointer leads to other bytes");
    }
    Outcome fine;
    fine.ok = true;
    after(fine, true, 0, linear, user);
}

void Duel::after(const Outcome& expected, bool ok, u64 value, u32 linear, bool) {
    ++accesses_;
    if (ok != expected.ok || (ok && value != expected.value))
        return disagree(fmt::format("access to {:#x}: ok {} value {:#x}, expected {} {:#x}", linear, ok, value,
                                    expected.ok, expected.value));
    compare_sets_of(linear);
    if ((linear & kPageMask) > 0xFB0)
        compare_sets_of(linear + kPageSize);
    const MmuCounters& counters = mmu_.counters();
    if (counters.tlb_misses[0] != reference_.misses[0] || counters.tlb_misses[1] != reference_.misses[1] ||
        counters.dirty_walks != reference_.dirty_walks || counters.permission_walks != reference_.permission_walks ||
        counters.page_faults != reference_.faults || counters.accessed_dirty_writes != reference_.accessed_dirty_writes)
        disagree("the counters");
    for (const u32 physical : reference_.write_log) {
        if (*memory_.host(PhysicalAddress(physical)) != reference_.memory[physical])
            disagree(fmt::format("memory at {:#x}", physical));
    }
    reference_.write_log.clear();
    if (code_reports_ != reference_.code_reports)
        disagree("what the code listener heard");
    if (watch_reports_ != reference_.watch_reports)
        disagree("what the watcher heard");
    if (device_writes_ != reference_.device_writes)
        disagree("what the device heard");
    if (ok)
        return;
    const PageFaultInfo& fault = mmu_.fault();
    if (fault.address.value != expected.fault_address || fault.error_code != expected.fault_code)
        return disagree(fmt::format("fault {:#x} code {}, expected {:#x} code {}", fault.address.value,
                                    fault.error_code, expected.fault_address, expected.fault_code));
    serve_fault(expected.fault_address, expected.fault_code);
}

// --- The kernel

void Duel::serve_fault(u32 linear, u32 code) {
    if (!random_.chance(16)) {
        mmu_.drop_faulting_entry(LinearAddress(linear));
        reference_.page_fault_delivered(linear);
        compare_sets_of(linear);
    }
    if (random_.chance(5) || linear >> 22 == kWindow >> 22)
        return;
    const u32 directory_entry = reference_.peek32(reference_.bus_address(directory_at(linear)));
    const bool large = (directory_entry & kPteLarge) != 0 && (reference_.cr4 & kCr4Pse) != 0;
    if ((directory_entry & kPtePresent) == 0 || (code & kFaultReserved) != 0) {
        kernel_store(directory_at(linear), table_frame_for(linear >> 22) << 12 | kRegular);
    } else if (large) {
        kernel_store(directory_at(linear), directory_entry | kRegular);
    } else {
        const u32 at = table_at(linear);
        const u32 entry = at != 0 ? reference_.peek32(at) : 0;
        if ((directory_entry & kRegular) != kRegular)
            kernel_store(directory_at(linear), directory_entry | kRegular);
        else if (at == 0)
            kernel_store(directory_at(linear), table_frame_for(linear >> 22) << 12 | kRegular);
        else if ((entry & kPtePresent) == 0)
            kernel_store(at, random_frame() << 12 | random_flags() | kPtePresent);
        else
            kernel_store(at, entry | kRegular);
    }
}

u32 Duel::table_frame_for(u32 slot) const { return kTables + (slot * 7 + (reference_.cr3 >> 12) * 5) % kTableCount; }

// Where the table entry of `linear` lies, or 0 if its table is none of the kernel's.
u32 Duel::table_at(u32 linear) const {
    const u32 frame = reference_.peek32(reference_.bus_address(directory_at(linear))) >> 12;
    return frame >= kTables && frame < kTables + kTableCount ? frame << 12 | (linear >> 12 & 0x3FF) * 4 : 0;
}

u32 Duel::random_frame() {
    const u64 dice = random_.below(64);
    if (dice < 1)
        return kDeviceStart >> 12;
    if (dice < 2)
        return 0xF0 + static_cast<u32>(random_.below(16));
    if (dice < 3)
        return 0x300 + static_cast<u32>(random_.below(64));
    if (dice < 5)
        return kTables + static_cast<u32>(random_.below(kTableCount));
    if (dice < 6)
        return 0xFFFF0 + static_cast<u32>(random_.below(16));
    return dice < 34 ? static_cast<u32>(random_.below(0x60)) : 0x180 + static_cast<u32>(random_.below(0x80));
}

u32 Duel::random_flags() {
    u32 flags = kRegular;
    if (random_.chance(4))
        flags &= ~u32{kPteWritable};
    if (random_.chance(4))
        flags &= ~u32{kPteUser};
    if (random_.chance(8))
        flags &= ~u32{kPtePresent};
    if (random_.chance(6))
        flags |= kPteGlobal;
    if (random_.chance(4))
        flags |= kPteAccessed;
    if (random_.chance(4))
        flags |= kPteDirty | kPteAccessed;
    if (random_.chance(16))
        flags |= kPteLarge | 0xE18;
    return flags;
}

// A store into the kernel's tables, as a guest makes it: through the Mmu, which may fault where it was damaged.
bool Duel::kernel_store(u32 physical, u32 value) {
    const bool paging = (reference_.cr0 & kCr0Pg) != 0;
    const u32 linear = paging ? kWindow + (physical - (kDirectories << 12)) : physical;
    const u64 faults = reference_.faults;
    ++reference_.seen[reference::kTableEditedByGuest];
    store(linear, 4, value, false);
    if (reference_.faults == faults && reference_.peek32(physical) == value)
        return true;
    rebuild_tables(); // the window itself was overwritten, or is stale
    return false;
}

void Duel::maybe_invalidate(u32 linear) {
    if (random_.chance(4))
        return; // forgotten
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
    const u32 old_entry = reference_.peek32(reference_.bus_address(directory_at(linear)));
    u32 entry = table_frame_for(linear >> 22) << 12 | kRegular;
    if (dice < 3)
        entry = kPteLarge | random_flags();
    else if (dice < 4)
        entry = kPteLarge | random_flags() | static_cast<u32>(random_.below(4)) << 22;
    else if (dice < 5)
        entry = kPteLarge | kRegular | 0x1000u << random_.below(10);
    else if (dice < 6)
        entry = old_entry ^ (1u << random_.below(3));
    else if (dice < 7)
        entry = old_entry & ~u32{kPteAccessed | kPteDirty};
    else if (dice < 9)
        entry = kPteLarge | kRegular;
    kernel_store(directory_at(linear), entry);
    if (dice < 8)
        return maybe_invalidate(linear);
    // The page changes its size, unflushed, and is then written through the stale entry.
    load(linear, 4, false);
    kernel_store(directory_at(linear),
                 (entry & kPteLarge) != 0 ? table_frame_for(linear >> 22) << 12 | kRegular : kPteLarge | kRegular);
    store(linear, 4, random_.next(), false);
}

void Duel::edit_table(u32 linear) {
    const u32 at = table_at(linear);
    if (at == 0)
        return;
    const u32 entry = reference_.peek32(at);
    switch (random_.below(9)) {
    case 0:
    case 1: // copy-on-write protection
        kernel_store(at, entry & ~u32{kPteWritable});
        return maybe_invalidate(linear);
    case 2: // upgrades and a downgrade without a flush
        kernel_store(at, entry | kPteWritable);
        return;
    case 3:
        kernel_store(at, entry & ~u32{kPteUser});
        return;
    case 4:
        kernel_store(at, entry | kPteUser | kPtePresent);
        return;
    case 5: // the clock algorithm
        kernel_store(at, entry & ~u32{random_.chance(2) ? kPteAccessed : kPteDirty});
        return maybe_invalidate(linear);
    case 6:
        kernel_store(at, entry & ~u32{kPtePresent});
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

void Duel::control_step() {
    const u64 dice = random_.below(64);
    if ((reference_.cr0 & kCr0Pg) == 0 && random_.chance(3)) {
        set_cr0(reference_.cr0 | kCr0Pg | kCr0Pe);
    } else if (dice < 20) {
        const u32 linear = random_linear();
        mmu_.invalidate_page(LinearAddress(linear));
        reference_.invlpg(linear);
    } else if (dice < 30) {
        set_cr3((kDirectories + static_cast<u32>(random_.below(4))) << 12, random_.chance(3));
    } else if (dice < 50) {
        set_cr0(reference_.cr0 ^ kCr0Wp);
    } else if (dice < 53) {
        set_cr4(reference_.cr4 ^ kCr4Pge);
    } else if (dice < 55) {
        set_cr4(reference_.cr4 ^ kCr4Pse);
    } else if (dice < 56) {
        set_cr0(reference_.cr0 & ~u32{kCr0Pg});
    } else if (dice < 58) {
        reference_.a20 = !reference_.a20;
        mmu_.set_a20(reference_.a20);
    } else {
        set_cr4(reference_.cr4 | kCr4Pse | kCr4Pge);
    }
}

// --- The emulator around the Mmu

void Duel::flag_step() {
    const u64 frame = random_.below(kRamBytes >> 12);
    if (!reference_.is_memory(static_cast<u32>(frame << 12)))
        return;
    const bool code = random_.chance(2);
    const bool on = random_.chance(8);
    (code ? reference_.code_frame : reference_.watched_frame)[frame] = on;
    if (on)
        mmu_.flag_frame(frame, code ? kFrameCode : kFrameWatched);
    else
        mmu_.unflag_frame(frame, code ? kFrameCode : kFrameWatched);
}

void Duel::mode_step() {
    const u64 dice = random_.below(512);
    if (dice < 40) {
        ++modes_[kAmnesia];
        mmu_.forget_derived_state();
    } else if (dice < (fast_ ? 44u : 120u)) {
        fast_ = !fast_;
        modes_[kFastOff] += !fast_;
        mmu_.set_fast_table(fast_);
    } else if (dice >= 480 && dice < 511) {
        begin_epoch();
    } else if (dice == 511 && random_.chance(40)) {
        snapshot();
    }
}

void Duel::begin_epoch() {
    ++modes_[kEpoch];
    for (u64 frame = 0; frame < kRamBytes >> 12; ++frame) {
        if (reference_.written_frame[frame] && !memory_.written_since(frame, epoch_))
            disagree(fmt::format("frame {:#x} was written and nobody noticed", frame));
    }
    epoch_ = memory_.begin_epoch();
    std::fill(reference_.written_frame.begin(), reference_.written_frame.end(), u8{0});
}

template <class T> u64 Duel::hash_of(T& object) {
    HashArchive hash;
    object.serialize(hash);
    return hash.digest();
}

// Saves, scribbles, loads: everything must be as before. And the cached frame hashes must be those of a fresh memory.
void Duel::snapshot() {
    begin_epoch();
    ++modes_[kSnapshot];
    PhysicalMemory fresh(kRamBytes);
    fresh.install_rom(PhysicalAddress(kRomStart), {memory_.host(PhysicalAddress(kRomStart)), 0x10000});
    fresh.write(PhysicalAddress(0), {memory_.host(PhysicalAddress(0)), 0xA0000});
    fresh.write(PhysicalAddress(0x100000), {memory_.host(PhysicalAddress(0x100000)), kRamBytes - 0x100000});
    if (hash_of(fresh) != hash_of(memory_))
        disagree("the cached hash of memory");
    epoch_ = memory_.begin_epoch();
    const u64 before = hash_of(mmu_);
    SaveArchive save;
    save.nested("memory", memory_);
    save.nested("mmu", mmu_);
    const std::vector<u8> bytes = save.take();
    const std::vector<u8> noise(kRamBytes - 0x100000, 0xEE);
    memory_.write(PhysicalAddress(0x100000), noise);
    mmu_.tlb().reset();
    LoadArchive load(bytes);
    load.nested("memory", memory_);
    load.nested("mmu", mmu_);
    if (!load.finish().ok())
        disagree(load.finish().error().message);
    if (hash_of(mmu_) != before)
        disagree("the Mmu's hash after saving and loading");
    compare_memory();
    compare_everything();
}

void Duel::set_cr0(u32 value) {
    mmu_.write_cr0(reference_.cr0, value);
    reference_.set_cr0(value);
}
void Duel::set_cr3(u32 value, bool task_switch) {
    mmu_.write_cr3(value, task_switch ? TlbFlushReason::TaskSwitch : TlbFlushReason::Cr3);
    reference_.set_cr3(value, task_switch);
}
void Duel::set_cr4(u32 value) {
    mmu_.write_cr4(reference_.cr4, value);
    reference_.set_cr4(value);
}

void Duel::poke(u32 physical, u32 value) {
    mmu_.poke_physical(PhysicalAddress(physical), {reinterpret_cast<const u8*>(&value), sizeof value});
    reference_.poke32(physical, value);
}

void Duel::rebuild_tables() {
    for (u32 frame = kDirectories; frame <= kWindowTable; ++frame) {
        for (u32 i = 0; i < 1024; ++i)
            poke(frame << 12 | i * 4, 0);
    }
    for (u32 directory = 0; directory < 4; ++directory) {
        const u32 at = (kDirectories + directory) << 12;
        for (const u32 slot : kSlots) {
            const u32 table = kTables + (slot * 7 + (kDirectories + directory) * 5) % kTableCount;
            poke(at | slot * 4, table << 12 | kRegular);
        }
        poke(at | (kWindow >> 22) * 4, kWindowTable << 12 | kPtePresent | kPteWritable);
    }
    for (u32 i = 0; i < 32; ++i)
        poke(kWindowTable << 12 | i * 4, (kDirectories + i) << 12 | kPtePresent | kPteWritable);
    set_cr4(reference_.cr4 ^ kCr4Pge);
    set_cr4(reference_.cr4 ^ kCr4Pge);
}

void Duel::code_written(PhysicalAddress address, u32 size) {
    code_reports_ = ReferenceMmu::fold(code_reports_, address.value, size);
}
u32 Duel::io_read(u32 address, u32) { return ReferenceMmu::device_byte(address); }
void Duel::io_write(u32 address, u32, u32 value) {
    device_writes_ = ReferenceMmu::fold(device_writes_, address, value);
}

} // namespace forkscope
