// Owns: the interface to guest memory, and behind it translation, page-table marks and the data path.
// Callers: the Cpu for the guest's accesses; everybody else only looks. Promises: a faulting access changes no memory;
// looking changes nothing; results depend on the modelled TLB alone, never on the fast table.
#pragma once

#include <cstring>
#include <functional>
#include <vector>

#include "emu/base/access.hpp"
#include "mmu/data_path.hpp"
#include "mmu/mutant.hpp"
#include "mmu/paging_unit.hpp"

namespace forkscope {

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

    // Instruction fetch: the physical address of the byte at `address`. It uses the instruction arrays of the TLB.
    Access<PhysicalAddress> fetch(LinearAddress address, Privilege privilege);

    // For string instructions: a host pointer to plain memory, or to a stand-in where nothing answers and nobody
    // listens, for [address, end of its page), counting as ONE access of the kind, or nullptr, having changed nothing,
    // where it would not be a plain hit (TLB miss, missing right, device, flags): then do one element by load or store
    // and ask again. Read: flags may hold kFrameCode, kFramePageTable, kFrameClean, kFrameReadOnly. Write: flags must
    // be 0 after marking clean frames. Use the pointer at once. Exactness: repeated accesses to one page with none
    // between them to another page of the same set leave the TLB as one access does; with two alternating pages the
    // caller must first run one element of each (mmu/README.md).
    const u8* bulk_read(LinearAddress address, Privilege privilege);
    u8* bulk_write(LinearAddress address, Privilege privilege);
    // The same for the instruction that repeats, whose bytes were last fetched from `expected`; asked before the
    // others.
    bool bulk_fetch(LinearAddress address, Privilege privilege, PhysicalAddress expected);

    // For what reads or writes several values that lie together: where they are in the host if each of these accesses
    // would change nothing in the TLB and nobody is told of them, else nullptr.
    u8* plain_bytes(LinearAddress address, u32 size, Privilege privilege, AccessKind kind) {
        const u32 linear = static_cast<u32>(address.value);
        const RecentSlot& recent = unit_.front().data().recent(privilege, linear);
        const u32 tag = kind == AccessKind::Write ? recent.write_tag : recent.read_tag;
        const u32 last = MMU_MUTANT(PlainBytesIgnoreTheirEnd) ? linear : linear + size - 1;
        const bool plain = tag == (last & ~kPageMask) && !reports_misaligned();
        return plain ? recent.host(linear) : nullptr;
    }

    const PageFaultInfo& fault() const { return unit_.fault(); }

    // --- For generated code, which reads the recent slots without a call. Where a recent slot refuses an access, the
    // code asks other_way(): if another way of the set holds the page and grants the access, that way is touched and
    // the host address returned; if not, the answer is nullptr and nothing has changed.
    const FastTlb& data_front() const { return unit_.front().data(); }
    const FastTlb& fetch_front() const { return unit_.front().fetches(); }
    u8* other_way(u32 linear, u32 size, Privilege privilege, AccessKind kind) {
        const FastSlot* const slot =
            touch_slot(unit_.front().data(), linear, wanted_tag(linear, size), privilege, kind);
        return slot != nullptr ? slot->host(linear) : nullptr;
    }

    // What neither grants, by the TLB and the tables. Not translated: the access would fault, spans two pages, changes
    // code by a walk, has a walk heard by who looks at registers (but of fills and evictions that is the caller's to
    // know), or is told of as a whole. Then, and without a host address, the access itself does the rest.
    struct Way {
        u8* host = nullptr;
        PhysicalAddress physical;
        bool translated = false;
    };
    Way fill_way(u32 linear, u32 size, Privilege privilege, AccessKind kind);
    // The store of such an access, if that is all that keeps it from its host address: the frame is a page table.
    bool store_into_table(const Way& way, u32 size, u64 value) {
        return way.translated && data_.write_table(way.physical, size, value);
    }

    // --- Control. Writes of control registers apply the flush rules of SDM 3A 4.10.4 and 11.9 and emit ControlRegister
    // or Cr3Load, and TlbFlush. A task switch to the same CR3 flushes nothing. Where PAE paging is in use afterwards
    // they load the PDPTE registers if the manual says so (4.4.1): the caller first asks paging() whether those may be
    // loaded, and raises #GP(0) instead if not.
    void write_cr0(u32 old_value, u32 new_value);
    void write_cr3(u32 new_value, TlbFlushReason reason);
    void write_cr4(u32 old_value, u32 new_value);
    void write_efer(u32 value);                  // flushes nothing
    bool invalidate_page(LinearAddress address); // INVLPG; was there anything to drop?
    // The #PF entry drop of SDM 3A 4.10.4.1, called by fault delivery.
    void drop_faulting_entry(LinearAddress address);
    // A write into TR6: the command, with the data of TR7. Both are changed by a lookup.
    void test_tlb(u32& command, u32& data) { unit_.test_tlb(command, data); }
    // RESET: paging off, TLB empty. The A20 gate belongs to the keyboard controller and stays.
    void reset() { unit_.reset(); }
    void set_a20(bool enabled);
    // Another processor: what its entries may hold; its TLB, empty.
    void set_paging_features(const PagingFeatures& features) { unit_.state().set_features(features); }
    void set_tlb_model(const TlbModel& model) { unit_.set_tlb_model(model); }

    // --- Who is told of accesses.
    void set_listener(AccessListener* listener);
    // Data breakpoints, at most four: their pages stay out of the fast table, and the listener is told of each access.
    void set_watches(std::span<const LinearWatch> watches);
    // A debugger's: the watcher is told of each access that is about to reach one of the ranges, in whatever space; of
    // an update twice, as a read and as a write. Their pages stay out of the fast table, and no hash changes.
    using RangeWatcher = std::function<void(LinearAddress, u32 size, AccessKind)>;
    void watch_ranges(std::span<const WatchedRange> ranges, RangeWatcher watcher);
    // Accesses of 2, 4 and 8 bytes at user privilege must be aligned, or fail with fault().misaligned. While it is on,
    // user accesses stay out of the fast table.
    void set_alignment_check(bool enabled);
    // Accesses that are not aligned leave the fast path, so that the listener is told of them. `mask`: address bits
    // that 8 bytes need clear, 7 or 3; 0 for no reports at all. A bus of two bytes makes it any access from an odd
    // address.
    void report_misaligned(u32 mask, u32 bus_bytes = 4) { data_.report_misaligned(mask, bus_bytes); }
    bool reports_misaligned() const { return data_.misaligned_mask() != 0; }
    // Every load and store leaves the fast path, for a listener that keeps a cache.
    void report_accesses(bool enabled);
    // Gets the loads and stores of frames flagged kFrameWatched, once they are done.
    void set_watcher(DataPath::Watcher watcher) { data_.set_watcher(std::move(watcher)); }
    // Gets every request. All accesses leave the fast path for it. nullptr: none.
    void set_recorder(MmuRecorder* recorder);

    // --- Looking. Never changes anything: no A/D, no TLB, no counters, no device reads (device memory reads as !ok).
    const PagingState& paging() const { return unit_.state(); }
    const PagingControl& control() const { return unit_.state().control(); }
    const Tlb& tlb() const { return unit_.tlb(); }
    const MmuCounters& counters() const { return unit_.counters(); }
    const PhysicalMemory& memory() const { return memory_; }
    bool peek(LinearAddress address, std::span<u8> bytes) const; // as supervisor; false if any byte is absent

    // --- Frames.
    PhysicalMemory& memory() { return memory_; }
    // A debugger's or input event's write of physical memory: kills decoded code, but is no guest access. False if
    // outside RAM and ROM.
    bool poke_physical(PhysicalAddress address, std::span<const u8> bytes) { return data_.poke(address, bytes); }
    // Marks a frame as holding code / watched / used as page table, and takes it out of the fast table accordingly.
    void flag_frame(u64 frame, u8 bits) { unit_.flag_frame(frame, bits); }
    void unflag_frame(u64 frame, u8 bits) { unit_.unflag_frame(frame, bits); }
    TableMarks& table_marks() { return unit_.marks(); }

    // --- Derived state, which is the fast table.
    // Drops it. The amnesia test calls it at random moments; no hash may change. The marks of page-table frames stay:
    // they are what observers see, are saved, and are no part of the hash.
    void forget_derived_state() { unit_.front().drop_all(); }
    // Off: every access takes the model's full path. No hash may change.
    void set_fast_table(bool enabled) { unit_.front().keep_out(TlbFront::kSwitchedOff, !enabled); }
    // On: every access is counted at the TLB entry that it hits (TlbEntry::hits). Slow, and no hash changes.
    void set_count_hits(bool enabled) { unit_.set_count_hits(enabled); }
    bool count_hits() const { return unit_.count_hits(); }
    // Whether each instruction, and each iteration of a repeated one, is to be fetched: code and data share their
    // replacement state, or hits are counted. Else one fetch for a run of instructions within a page leaves the same.
    bool fetches_each_instruction() const { return tlb().model().unified() || count_hits(); }

    void serialize(Archive& ar) { unit_.serialize(ar); }

  private:
    // The tag that an access of `size` bytes must find: that of its last byte's page, in the slot of its first byte's
    // page. An access that spans two pages therefore never matches.
    u32 wanted_tag(u32 linear, u32 size) const {
        return ((linear + size - 1) & ~kPageMask) | (linear & (size - 1) & data_.misaligned_mask());
    }

    // The slot of an access that found its page not to be its set's recent one: touched, and made recent. nullptr if it
    // does not have the tag that the access wants.
    const FastSlot* touch_slot(FastTlb& table, u32 linear, u32 wanted, Privilege privilege, AccessKind kind);
    Access<u64> load_other_way(LinearAddress address, u32 size, Privilege privilege);
    bool store_other_way(LinearAddress address, u32 size, u64 value, Privilege privilege);
    Access<u64> load_for_update_other_way(LinearAddress address, u32 size, Privilege privilege);
    Access<PhysicalAddress> fetch_other_way(LinearAddress address, Privilege privilege);

    Access<u64> load_slow(LinearAddress address, u32 size, Privilege privilege);
    bool store_slow(LinearAddress address, u32 size, u64 value, Privilege privilege);
    Access<u64> load_for_update_slow(LinearAddress address, u32 size, Privilege privilege);
    void finish_update_slow(u64 value);
    Access<PhysicalAddress> fetch_slow(LinearAddress address, Privilege privilege);
    bool probe_write_slow(LinearAddress address, u32 size, Privilege privilege);
    u8* bulk_slow(LinearAddress address, Privilege privilege, AccessKind kind);

    bool translate(Span& span, Privilege privilege, AccessKind kind);
    bool begin(Span& span, Privilege privilege, AccessKind kind);
    void tell_of_range(const Span& span, AccessKind kind) const;
    void record(MmuRecorder::Act act, LinearAddress address, u32 size = 0, u64 value = 0,
                Privilege privilege = Privilege::Supervisor) const {
        if (recorder_ != nullptr) [[unlikely]]
            recorder_->asked(act, static_cast<u32>(address.value), size, value, privilege);
    }

    PhysicalMemory& memory_;
    PagingUnit unit_;
    DataPath data_;
    u8* update_host_ = nullptr; // where finish_update stores; null: update_span_ says where
    Span update_span_;
    RangeWatcher range_watcher_;
    bool alignment_check_ = false;
    MmuRecorder* recorder_ = nullptr;
};

template <class T> inline Access<T> Mmu::load(LinearAddress address, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const RecentSlot& recent = unit_.front().data().recent(privilege, linear);
    if (recent.read_tag == wanted_tag(linear, sizeof(T))) [[likely]] {
        T value;
        std::memcpy(&value, recent.host(linear), sizeof value);
        return {value, true};
    }
    const Access<u64> result = load_other_way(LinearAddress(linear), sizeof(T), privilege);
    return {static_cast<T>(result.value), result.ok};
}

template <class T> inline Access<void> Mmu::store(LinearAddress address, T value, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const RecentSlot& recent = unit_.front().data().recent(privilege, linear);
    if (recent.write_tag == wanted_tag(linear, sizeof(T))) [[likely]] {
        std::memcpy(recent.host(linear), &value, sizeof value);
        return {true};
    }
    return {store_other_way(LinearAddress(linear), sizeof(T), value, privilege)};
}

template <class T> inline Access<T> Mmu::load_for_update(LinearAddress address, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const RecentSlot& recent = unit_.front().data().recent(privilege, linear);
    if (recent.write_tag == wanted_tag(linear, sizeof(T))) [[likely]] {
        update_host_ = recent.host(linear);
        T value;
        std::memcpy(&value, update_host_, sizeof value);
        return {value, true};
    }
    const Access<u64> result = load_for_update_other_way(LinearAddress(linear), sizeof(T), privilege);
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
    if (unit_.front().data().recent(privilege, linear).write_tag == ((linear + size - 1) & ~kPageMask)) [[likely]]
        return {true};
    return {probe_write_slow(LinearAddress(linear), size, privilege)};
}

inline Access<PhysicalAddress> Mmu::fetch(LinearAddress address, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const RecentSlot& recent = unit_.front().fetches().recent(privilege, linear);
    if (recent.read_tag == (linear & ~kPageMask)) [[likely]]
        return {PhysicalAddress(recent.physical | (linear & kPageMask)), true};
    return fetch_other_way(LinearAddress(linear), privilege);
}

inline const u8* Mmu::bulk_read(LinearAddress address, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const RecentSlot& recent = unit_.front().data().recent(privilege, linear);
    if (recent.read_tag == (linear & ~kPageMask)) [[likely]]
        return recent.host(linear);
    return bulk_slow(LinearAddress(linear), privilege, AccessKind::Read);
}

inline bool Mmu::bulk_fetch(LinearAddress address, Privilege privilege, PhysicalAddress expected) {
    const u32 linear = static_cast<u32>(address.value);
    FastTlb& table = unit_.front().fetches();
    const FastSlot& slot = table.slot(privilege, linear);
    if (slot.read_tag != (linear & ~kPageMask) || (slot.physical | (linear & kPageMask)) != expected.value)
        return false;
    unit_.tlb().touch(slot.set, slot.touch);
    table.touched(slot.set, slot.touch);
    return true;
}

inline u8* Mmu::bulk_write(LinearAddress address, Privilege privilege) {
    const u32 linear = static_cast<u32>(address.value);
    const RecentSlot& recent = unit_.front().data().recent(privilege, linear);
    if (recent.write_tag == (linear & ~kPageMask)) [[likely]]
        return recent.host(linear);
    return bulk_slow(LinearAddress(linear), privilege, AccessKind::Write);
}

} // namespace forkscope
