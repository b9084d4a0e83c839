#include "duel.hpp"

namespace forkscope {

using reference::Outcome;
using reference::ReferenceMmu;

namespace {

constexpr u32 kRamBytes = 2u << 20;
constexpr u32 kDeviceStart = 0xA0000, kDeviceEnd = 0xC0000, kRomStart = 0xF0000;

template <class T> Access<u64> widen(Access<T> access) { return {access.value, access.ok}; }

} // namespace

Duel::Duel(const DuelSetup& setup, u64 seed)
    : random_(seed), memory_(kRamBytes), mmu_(memory_, bus_, tracer_),
      reference_(setup.processor, kRamBytes, kRomStart, kDeviceStart, kDeviceEnd) {
    mmu_.set_tlb_model(setup.tlb);
    mmu_.set_paging_features(setup.features);
    bus_.map_memory(PhysicalAddress(kDeviceStart), kDeviceEnd - kDeviceStart, *this, 1);
    std::vector<u8> rom(0x10000);
    for (u8& byte : rom)
        byte = static_cast<u8>(random_.next());
    memory_.install_rom(PhysicalAddress(kRomStart), rom);
    std::copy(rom.begin(), rom.end(), reference_.memory.begin() + kRomStart);
    mmu_.set_listener(this);
    mmu_.set_watcher([this](LinearAddress linear, PhysicalAddress physical, u32 size, AccessKind kind) {
        watch_reports_ =
            ReferenceMmu::fold(watch_reports_, linear.value, physical.value << 8 | size << 2 | static_cast<u32>(kind));
    });
    rebuild_tables();
    set_cr3(root_of(0), false);
    set_cr4((has(reference::kNeedsLarge) ? u32{kCr4Pse} : 0) | (has(reference::kNeedsGlobal) ? u32{kCr4Pge} : 0));
    set_cr0(kCr0Pg | kCr0Pe | (has(reference::kNeedsProtect) ? u32{kCr0Wp} : 0));
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

void Duel::access(u32 linear, bool user) {
    const u64 dice = random_.below(64);
    const u32 size = 1u << random_.below(4);
    if (dice < 2)
        plain(linear, static_cast<u32>(1 + random_.below(64)), user, dice == 1);
    else if (dice < 26)
        load(linear, size, user);
    else if (dice < 44)
        store(linear, size, random_.next(), user);
    else if (dice < 54)
        fetch(linear, user);
    else if (dice < 58)
        update(linear, size, random_.next(), user);
    else if (dice < 60)
        probe(linear, static_cast<u32>(1 + random_.below(64)), user);
    else if (dice < 63)
        bulk(linear, user, dice < 62);
    else
        repeat(user);
}

void Duel::load(u32 linear, u32 size, bool user) {
    const LinearAddress at(linear);
    const Privilege privilege = user ? Privilege::User : Privilege::Supervisor;
    const Outcome expected = reference_.load(linear, size, user);
    bool stored = false;
    const u8* const way = random_.chance(4) ? fill_way(linear, size, user, AccessKind::Read, 0, stored) : nullptr;
    Access<u64> read;
    if (way != nullptr)
        std::memcpy(&read.value, way, size);
    const Access<u64> is = way != nullptr ? read
                           : size == 1    ? widen(mmu_.load<u8>(at, privilege))
                           : size == 2    ? widen(mmu_.load<u16>(at, privilege))
                           : size == 4    ? widen(mmu_.load<u32>(at, privilege))
                                          : mmu_.load<u64>(at, privilege);
    after(expected, is.ok, is.value, linear, user);
}

void Duel::store(u32 linear, u32 size, u64 value, bool user) {
    const LinearAddress at(linear);
    const Privilege privilege = user ? Privilege::User : Privilege::Supervisor;
    const Outcome expected = reference_.store(linear, size, value, user);
    bool stored = false;
    u8* const way = random_.chance(4) ? fill_way(linear, size, user, AccessKind::Write, value, stored) : nullptr;
    if (way != nullptr)
        std::memcpy(way, &value, size);
    const Access<void> is = way != nullptr || stored ? Access<void>{}
                            : size == 1              ? mmu_.store(at, static_cast<u8>(value), privilege)
                            : size == 2              ? mmu_.store(at, static_cast<u16>(value), privilege)
                            : size == 4              ? mmu_.store(at, static_cast<u32>(value), privilege)
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

PhysicalAddress Duel::fetch(u32 linear, bool user) {
    Outcome expected = reference_.fetch(linear, user);
    expected.value = expected.physical;
    const Access<PhysicalAddress> is =
        mmu_.fetch(LinearAddress(linear), user ? Privilege::User : Privilege::Supervisor);
    after(expected, is.ok, is.value.value, linear, user);
    return is.value;
}

// Up to four bytes of one page: for the reference as many accesses, for the Mmu one, if it offers a pointer at all.
void Duel::bulk(u32 linear, bool user, bool write) {
    const LinearAddress at(linear);
    const Privilege privilege = user ? Privilege::User : Privilege::Supervisor;
    const Walk look = mmu_.paging().look(at, privilege, write ? AccessKind::Write : AccessKind::Read);
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

// As translated code asks where its own tables say nothing; where it gets no answer the access follows.
u8* Duel::fill_way(u32 linear, u32 size, bool user, AccessKind kind, u64 value, bool& stored) {
    const Mmu::Way way = mmu_.fill_way(linear, size, user ? Privilege::User : Privilege::Supervisor, kind);
    stored = way.host == nullptr && kind == AccessKind::Write && mmu_.store_into_table(way, size, value);
    modes_[kFilled] += way.host != nullptr;
    modes_[kTableStore] += stored;
    return way.host;
}

// Several values at once: for the reference a byte each, for the Mmu none at all, if it offers a pointer.
void Duel::plain(u32 linear, u32 size, bool user, bool write) {
    const Privilege privilege = user ? Privilege::User : Privilege::Supervisor;
    const AccessKind kind = write ? AccessKind::Write : AccessKind::Read;
    u8* const bytes = mmu_.plain_bytes(LinearAddress(linear), size, privilege, kind);
    modes_[kPlain] += bytes != nullptr;
    for (u32 i = 0; i < size && bytes != nullptr; ++i) {
        const u8 value = static_cast<u8>(linear * 5 + i);
        const Outcome expected =
            write ? reference_.store(linear + i, 1, value, user) : reference_.load(linear + i, 1, user);
        if (write)
            bytes[i] = value;
        if (!expected.ok || (!write && bytes[i] != expected.value))
            return disagree("plain bytes are none, or others");
    }
    Outcome fine;
    fine.ok = true;
    after(fine, true, 0, linear, user);
}

// REP MOVSB as the Cpu does it when each iteration is a fetch: one element alone, then several at once.
void Duel::repeat(bool user) {
    const u64 faults = reference_.faults;
    const Privilege privilege = user ? Privilege::User : Privilege::Supervisor;
    const u32 code = random_linear(), source = random_linear(), target = random_linear();
    const PhysicalAddress running = fetch(code, user);
    if (reference_.faults == faults)
        load(source, 1, user);
    if (reference_.faults == faults)
        store(target, 1, source, user);
    const u32 count = std::min({4u, kPageSize - (source & kPageMask), kPageSize - (target & kPageMask)});
    Outcome fine;
    fine.ok = true;
    if (reference_.faults != faults || !mmu_.bulk_fetch(LinearAddress(code), privilege, running))
        return;
    reference_.fetch(code, user);
    const u8* from = mmu_.bulk_read(LinearAddress(source), privilege);
    u8* to = from != nullptr ? mmu_.bulk_write(LinearAddress(target), privilege) : nullptr;
    if (from != nullptr)
        reference_.load(source, 1, user);
    for (u32 i = 0; i < count && to != nullptr; ++i) {
        if (i != 0)
            reference_.fetch(code, user);
        to[i] = from[i];
        reference_.store(target + i, 1, reference_.load(source + i, 1, user).value, user);
    }
    reference_.seen[reference::kRepeated] += to != nullptr;
    after(fine, true, 0, code, user);
    compare_sets_of(source);
    compare_sets_of(target);
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
    mmu_.reset();
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

void Duel::code_changed(PhysicalAddress address, u32 size) {
    code_reports_ = ReferenceMmu::fold(code_reports_, address.value, size);
}
u32 Duel::io_read(u32 address, u32) { return ReferenceMmu::device_byte(address); }
void Duel::io_write(u32 address, u32, u32 value) {
    device_writes_ = ReferenceMmu::fold(device_writes_, address, value);
}

} // namespace forkscope
