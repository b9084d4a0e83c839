// Owns: the way from a linear address to a byte: fast table, modelled TLB, page walk, physical memory, device memory.
// Callers: the Cpu for the guest's accesses; everybody else only through peek(). Promises: the modelled TLB's contents,
// order, hits and misses are exact (facts: mmu/README.md); a faulting access changes no memory; peek changes nothing.
#pragma once

#include <cstring>
#include <functional>
#include <vector>

#include "emu/base/access.hpp"
#include "emu/base/trace.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "mmu/bus.hpp"
#include "mmu/fast_tlb.hpp"
#include "mmu/listeners.hpp"
#include "mmu/paging.hpp"
#include "mmu/physical_memory.hpp"
#include "mmu/tlb.hpp"

namespace forkscope {

struct PageFaultInfo {
    LinearAddress address; // goes to CR2
    u32 error_code = 0;
    bool misaligned = false; // no page fault: an alignment check
};

struct MmuCounters {
    // [0] data, [1] instruction. Hits on the slow path only: they depend on the fast table and are not part of the
    // hash. The true number is accesses - misses - dirty walks - permission walks, with accesses known to the Cpu.
    u64 tlb_hits[2] = {};
    u64 tlb_misses[2] = {};
    u64 dirty_walks = 0;      // hit, but D was 0 on a write
    u64 permission_walks = 0; // hit without the right: walked again before faulting
    u64 page_faults = 0;
    u64 flushes[8] = {}; // by TlbFlushReason; PageFault only counts drops of an entry that was there
    u64 accessed_dirty_writes = 0;
    void serialize(Archive& ar);
};

class Mmu {
  public:
    Mmu(PhysicalMemory& memory, Bus& bus, Tracer& tracer);
    ~Mmu();
    Mmu(const Mmu&) = delete;
    Mmu& operator=(const Mmu&) = delete;

    // --- The guest's own accesses. T is u8, u16, u32 or u64. They may span two pages: then both are translated (low
    // page first) before anything is read or written. On !ok, fault() holds the details and nothing has changed but
    // the TLB, as on hardware.
    template <class T> Access<T> load(LinearAddress address, Privilege privilege);
    template <class T> Access<void> store(LinearAddress address, T value, Privilege privilege);

    // Read-modify-write: one translation for writing, then load, then finish_update with the new value, which cannot
    // fault. Nothing else may be accessed in between.
    template <class T> Access<T> load_for_update(LinearAddress address, Privilege privilege);
    template <class T> void finish_update(T value);

    // Checks that [address, address + size) could be written (size <= 4096, may span two pages), setting A and D as a
    // store would, so that a following store cannot fault. For PUSHA, ENTER, far calls, task switches.
    Access<void> probe_write(LinearAddress address, u32 size, Privilege privilege);

    // Instruction fetch: the physical address of the byte at `address`. The fetch is an access of the I side.
    Access<PhysicalAddress> fetch(LinearAddress address, Privilege privilege);

    // For string instructions: a host pointer to plain memory for [address, end of its page), counting as ONE access of
    // the kind, or nullptr, having changed nothing, where it would not be a plain hit (TLB miss, missing right, device,
    // flags): then do one element by load or store and ask again. Read: flags may hold kFrameCode, kFramePageTable,
    // kFrameClean, kFrameReadOnly. Write: flags must be 0 after marking clean frames. Use the pointer at once.
    // Exactness: repeated accesses to one page with none between them to another page of the same set leave the
    // TLB as one access does; with two alternating pages the caller must first run one element of each (mmu/README.md).
    const u8* bulk_read(LinearAddress address, Privilege privilege);
    u8* bulk_write(LinearAddress address, Privilege privilege);
    // The same for the instruction that repeats, whose bytes were last fetched from `expected`; asked before the
    // others.
    bool bulk_fetch(LinearAddress address, Privilege privilege, PhysicalAddress expected);

    const PageFaultInfo& fault() const { return fault_; }

    // --- Control. Each applies the flush rules of SDM 3A 4.10.4 and 11.9 and emits ControlRegister or Cr3Load, and
    // TlbFlush. A task switch to the same CR3 flushes nothing.
    // Where PAE paging is in use afterwards they load the PDPTE registers if the manual says so (4.4.1). The caller
    // asks first whether those may be loaded, and raises #GP(0) instead if not.
    void write_cr0(u32 old_value, u32 new_value);
    void write_cr3(u32 new_value, TlbFlushReason reason);
    void write_cr4(u32 old_value, u32 new_value);
    bool accepts_cr0(u32 value) const;
    bool accepts_cr3(u32 value) const;
    bool accepts_cr4(u32 value) const;
    void write_efer(u32 value); // flushes nothing: NX counts as it did when loaded
    void set_paging_features(const PagingFeatures& features) { control_.features = features; }
    // Another processor's TLB, empty.
    void set_tlb_model(const TlbModel& model);
    bool invalidate_page(LinearAddress address); // INVLPG; was there anything to drop?
    const PagingControl& control() const { return control_; }
    // The #PF entry drop of SDM 3A 4.10.4.1, called by fault delivery.
    void drop_faulting_entry(LinearAddress address);
    // RESET: paging off, TLB empty. The A20 gate belongs to the keyboard controller and stays.
    void reset();

    // A20 gate: when off, bit 20 of every physical address is 0. The firmware's alias below 4 GiB (the last 128 KiB
    // repeat ROM below 1 MiB) is decoded before the gate.
    void set_a20(bool enabled);
    bool a20() const { return a20_; }

    // Data breakpoints, at most four: their pages stay out of the fast table, and breakpoint_hit() tells of each
    // access.
    void set_watches(std::span<const LinearWatch> watches);
    // Accesses of 2, 4 and 8 bytes at user privilege must be aligned, or fail with fault().misaligned. While it is on,
    // user accesses stay out of the fast table.
    void set_alignment_check(bool enabled);
    // Accesses that are not aligned leave the fast path, so that the listener hears of them.
    // `mask`: address bits that 8 bytes need clear, 7 or 3; 0 for no reports at all. A bus of two bytes makes it any
    // access from an odd address.
    void report_misaligned(u32 mask, u32 bus_bytes = 4) {
        misaligned_mask_ = mask;
        narrow_bus_ = bus_bytes == 2;
    }
    // Every load and store leaves the fast path, for a listener that keeps a cache.
    void report_accesses(bool enabled);
    bool reports_misaligned() const { return misaligned_mask_ != 0; }

    // --- Looking. Never changes anything: no A/D, no TLB, no counters, no device reads (device memory reads as !ok).
    Walk peek_walk(LinearAddress address, Privilege privilege, AccessKind kind) const;
    Walk peek_walk_in(u32 cr3, LinearAddress address, Privilege privilege, AccessKind kind) const;
    Access<PhysicalAddress> peek_translate(LinearAddress address) const; // as supervisor read
    bool peek(LinearAddress address, std::span<u8> bytes) const;         // as supervisor; false if any byte is absent
    bool peek_physical(PhysicalAddress address, std::span<u8> bytes) const { return memory_.read(address, bytes); }

    // A debugger's or input event's write of physical memory: kills decoded code, but is no guest access. False if
    // outside RAM and ROM.
    bool poke_physical(PhysicalAddress address, std::span<const u8> bytes);

    // A write into TR6: the command, with the data of TR7. Both are changed by a lookup. `shows_lru`: as the 486 does.
    void test_tlb(u32& command, u32& data, bool shows_lru);

    // --- The modelled TLB and the machinery around it.
    const Tlb& tlb() const { return tlb_; }
    Tlb& tlb() { return tlb_; }
    PhysicalMemory& memory() { return memory_; }
    const PhysicalMemory& memory() const { return memory_; }
    Bus& bus() { return bus_; }
    const MmuCounters& counters() const { return counters_; }
    void set_listener(AccessListener* listener) { listener_ = listener; }
    // Somebody wants to see loads and stores of frames flagged kFrameWatched (debugger, sanitizer).
    using Watcher = std::function<void(LinearAddress, PhysicalAddress, u32 size, AccessKind)>;
    void set_watcher(Watcher watcher) { watcher_ = std::move(watcher); }

    // Marks a frame as holding code / watched / used as page table, and takes it out of the fast table accordingly.
    void flag_frame(u64 frame, u8 bits);
    void unflag_frame(u64 frame, u8 bits);
    // The marks of page-table frames: 0 = none, else bit 0: used as page table, bit 1: used as page directory. A frame
    // is marked when the walker uses it, when a directory in use points to it, or by flag_frame (as page table); it
    // loses the mark when a user may write it, or after kTableStores stores without a walk: then it is data again.
    // mark_table: somebody knows better; level 1 or 2 (of a directory, its tables too). mark_space: all directories of
    // an address space, by its CR3.
    void mark_table(u64 frame, u8 level);
    void mark_space(u32 cr3);
    u8 table_levels(u64 frame) const { return frame < tables_.size() ? tables_[frame].levels : u8{0}; }
    static constexpr u16 kTableStores = 2049;

    // Drops everything derived, which is the fast table. The amnesia test calls it at random moments; no hash may
    // change. The page_table marks stay: they are what observers see, are saved, and are no part of the hash.
    void forget_derived_state();
    // Off: every access takes the model's full path. No hash may change.
    void set_fast_table(bool enabled);
    // On: every access is counted at the TLB entry that it hits (TlbEntry::hits). Slow, and no hash changes.
    void set_count_hits(bool enabled);
    bool count_hits() const { return count_hits_; }
    // All accesses leave the fast path for it. nullptr: nobody.
    void set_recorder(MmuRecorder* recorder);
    // Whether each instruction, and each iteration of a repeated one, is to be fetched: code and data share their
    // replacement state, or hits are counted. Else one fetch for a run of instructions within a page leaves the same.
    bool fetches_each_instruction() const { return tlb_.model().unified() || count_hits_; }
    // After PhysicalMemory::begin_epoch(), which calls it.
    void drop_write_tags();

    void serialize(Archive& ar);

  private:
    struct SetBitsPolicy;
    struct LookPolicy;
    struct Translation {
        bool ok = false;
        PhysicalAddress physical; // as on the bus: after A20
    };
    // One access that may lie in two pages.
    struct Span {
        u32 linear = 0;
        u32 size = 0;
        u32 low_size = 0; // bytes in the first page
        Translation low, high;
    };
    struct TableMark {
        u8 levels = 0;
        u16 stores = 0; // since the last walk through the frame
    };

    FastTlb& front(AccessKind kind) { return kind == AccessKind::Fetch ? fetch_front_ : data_front_; }
    void touch(const FastSlot& slot) {
        u8& bits = tlb_.plru_byte(slot.set);
        bits = static_cast<u8>((bits & slot.touch.keep) | slot.touch.point);
    }
    // The tag that an access of `size` bytes must find: that of its last byte's page, in the slot of its first byte's
    // page. An access that spans two pages therefore never matches.
    u32 wanted_tag(u32 linear, u32 size) const {
        return ((linear + size - 1) & ~kPageMask) | (linear & (size - 1) & misaligned_mask_);
    }
    static u8* host_of(const FastSlot& slot, u32 linear) { return reinterpret_cast<u8*>(slot.addend + linear); }

    Access<u64> load_slow(u32 linear, u32 size, Privilege privilege);
    bool store_slow(u32 linear, u32 size, u64 value, Privilege privilege);
    Access<u64> load_for_update_slow(u32 linear, u32 size, Privilege privilege);
    void finish_update_slow(u64 value);
    Access<PhysicalAddress> fetch_slow(u32 linear, Privilege privilege);
    bool probe_write_slow(u32 linear, u32 size, Privilege privilege);
    u8* bulk_slow(u32 linear, Privilege privilege, AccessKind kind);

    PhysicalAddress on_bus(u64 physical) const;
    PhysicalAddress physical_of(const TlbPlace& place, u32 linear) const;
    std::array<u64, 4> read_pdptes(u32 cr3) const;
    void load_pdptes();
    bool pdptes_valid(u32 cr3) const;
    template <class Policy>
    static Walk walk_in_mode(Policy& policy, const PagingControl& control, u32 linear, Privilege privilege,
                             AccessKind kind);
    Translation translate(u32 linear, Privilege privilege, AccessKind kind);
    bool translate_span(Span& span, Privilege privilege, AccessKind kind);
    bool may(const TlbEntry& entry, Privilege privilege, AccessKind kind) const;
    Walk walk(u32 linear, Privilege privilege, AccessKind kind);
    void take_fault(u32 linear, const Walk& walk);
    TlbPlace refill(u32 linear, AccessKind kind, const Walk& walk, const TlbPlace& old);
    void drop_outgrown(const TlbPlace& old);
    void unmark_user_page(const Walk& walk);
    void clear_place(const TlbPlace& place);
    TlbEntry entry_of(u32 linear, const Walk& walk, u32 page_mask) const;
    void emit_entry(TraceKind kind, const TlbPlace& place, const TlbEntry& entry);
    void unpublish(const TlbPlace& place);
    void note_write(PhysicalAddress physical, AccessKind kind);
    bool store_ready(const TlbPlace& place, Privilege privilege, u8 flags) const;
    void publish(u32 linear, Privilege privilege, AccessKind kind, const TlbPlace& place, PhysicalAddress physical);
    u32 drop_page(u32 linear);
    void record(MmuRecorder::Act act, u32 linear, u32 size = 0, u64 value = 0,
                Privilege privilege = Privilege::Supervisor) const {
        if (recorder_ != nullptr) [[unlikely]]
            recorder_->asked(act, linear, size, value, privilege);
    }
    bool sees_every_access() const { return count_hits_ || recorder_ != nullptr; }
    bool withheld(u32 linear, Privilege privilege, AccessKind kind) const;
    bool begin_access(Span& span, Privilege privilege, AccessKind kind);
    void report_transfer(const Span& span, AccessKind kind);
    bool is_misaligned(u32 linear, u32 size) const;
    void flush(TlbFlushReason reason, bool keep_global);
    void drop_fronts();

    u64 read_piece(u32 linear, PhysicalAddress physical, u32 size);
    void write_piece(u32 linear, PhysicalAddress physical, u32 size, u64 value);
    void write_table_frame(PhysicalAddress physical, u32 size, const u8* bytes);
    u64 read_span(const Span& span);
    void write_span(const Span& span, u64 value);
    void note_table_store(u64 frame);
    void mark_table_of(u64 entry);
    void look_up_for_test(u32& command, u32& data, bool shows_lru);
    void write_for_test(u32 command, u32 data);
    void serialize_marks(Archive& ar);

    PhysicalMemory& memory_;
    Bus& bus_;
    Tracer& tracer_;
    PagingControl control_;
    Tlb tlb_;
    FastTlb data_front_;
    FastTlb fetch_front_;
    u8* update_host_ = nullptr; // where finish_update stores; null: update_span_ says where
    Span update_span_;
    PageFaultInfo fault_;
    MmuCounters counters_;
    bool a20_ = true;
    bool fast_enabled_ = true;
    bool count_hits_ = false;
    MmuRecorder* recorder_ = nullptr;
    bool alignment_check_ = false;
    bool reports_accesses_ = false;
    bool narrow_bus_ = false;
    u32 misaligned_mask_ = 0; // low address bits that keep an access off the fast path
    std::vector<LinearWatch> watches_;
    AccessListener* listener_ = nullptr;
    Watcher watcher_;
    std::vector<TableMark> tables_;
};

template <class T> inline Access<T> Mmu::load(LinearAddress address, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const FastSlot& slot = data_front_.slot(privilege, linear);
    if (slot.read_tag == wanted_tag(linear, sizeof(T))) [[likely]] {
        touch(slot);
        T value;
        std::memcpy(&value, host_of(slot, linear), sizeof value);
        return {value, true};
    }
    const Access<u64> result = load_slow(linear, sizeof(T), privilege);
    return {static_cast<T>(result.value), result.ok};
}

template <class T> inline Access<void> Mmu::store(LinearAddress address, T value, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const FastSlot& slot = data_front_.slot(privilege, linear);
    if (slot.write_tag == wanted_tag(linear, sizeof(T))) [[likely]] {
        touch(slot);
        std::memcpy(host_of(slot, linear), &value, sizeof value);
        return {true};
    }
    return {store_slow(linear, sizeof(T), value, privilege)};
}

template <class T> inline Access<T> Mmu::load_for_update(LinearAddress address, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const FastSlot& slot = data_front_.slot(privilege, linear);
    if (slot.write_tag == wanted_tag(linear, sizeof(T))) [[likely]] {
        touch(slot);
        update_host_ = host_of(slot, linear);
        T value;
        std::memcpy(&value, update_host_, sizeof value);
        return {value, true};
    }
    const Access<u64> result = load_for_update_slow(linear, sizeof(T), privilege);
    return {static_cast<T>(result.value), result.ok};
}

template <class T> inline void Mmu::finish_update(T value) {
    if (update_host_ != nullptr) [[likely]]
        std::memcpy(update_host_, &value, sizeof value);
    else
        finish_update_slow(value);
}

inline Access<void> Mmu::probe_write(LinearAddress address, u32 size, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const FastSlot& slot = data_front_.slot(privilege, linear);
    if (slot.write_tag == ((linear + size - 1) & ~kPageMask)) [[likely]] {
        touch(slot);
        return {true};
    }
    return {probe_write_slow(linear, size, privilege)};
}

inline Access<PhysicalAddress> Mmu::fetch(LinearAddress address, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const FastSlot& slot = fetch_front_.slot(privilege, linear);
    if (slot.read_tag == (linear & ~kPageMask)) [[likely]] {
        touch(slot);
        return {PhysicalAddress(slot.physical | (linear & kPageMask)), true};
    }
    return fetch_slow(linear, privilege);
}

inline const u8* Mmu::bulk_read(LinearAddress address, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const FastSlot& slot = data_front_.slot(privilege, linear);
    if (slot.read_tag == (linear & ~kPageMask)) [[likely]] {
        touch(slot);
        return host_of(slot, linear);
    }
    return bulk_slow(linear, privilege, AccessKind::Read);
}

inline bool Mmu::bulk_fetch(LinearAddress address, Privilege privilege, PhysicalAddress expected) {
    const u32 linear = static_cast<u32>(address.value);
    const FastSlot& slot = fetch_front_.slot(privilege, linear);
    if (slot.read_tag != (linear & ~kPageMask) || (slot.physical | (linear & kPageMask)) != expected.value)
        return false;
    touch(slot);
    return true;
}

inline u8* Mmu::bulk_write(LinearAddress address, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const FastSlot& slot = data_front_.slot(privilege, linear);
    if (slot.write_tag == (linear & ~kPageMask)) [[likely]] {
        touch(slot);
        return host_of(slot, linear);
    }
    return bulk_slow(linear, privilege, AccessKind::Write);
}

} // namespace forkscope
