// Owns: the way from a linear address to a byte: fast table, modelled TLB, page walk, physical memory, device memory.
// Callers: the Cpu for the guest's accesses; everybody else only through peek(). Promises: the modelled TLB's contents,
// order, hits and misses are exact (facts: mmu/README.md); a faulting access changes no memory; peek changes nothing.
#pragma once

#include <cstring>
#include <functional>

#include "emu/base/access.hpp"
#include "emu/base/trace.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "mmu/bus.hpp"
#include "mmu/fast_tlb.hpp"
#include "mmu/paging.hpp"
#include "mmu/physical_memory.hpp"
#include "mmu/tlb.hpp"

namespace forkscope {

struct PageFaultInfo {
    LinearAddress address; // goes to CR2
    u32 error_code = 0;
};

struct MmuCounters {
    u64 tlb_hits[2] = {}; // [0] data, [1] instruction; hits on the slow path only, see Mmu::counters()
    u64 tlb_misses[2] = {};
    u64 dirty_walks = 0;      // hit, but D was 0 on a write
    u64 permission_walks = 0; // hit without the right: walked again before faulting
    u64 page_faults = 0;
    u64 flushes[8] = {}; // by TlbFlushReason
    u64 accessed_dirty_writes = 0;
    void serialize(Archive& ar);
};

// The Cpu's block cache hears of stores into frames flagged kFrameCode through this.
class CodeListener {
  public:
    virtual ~CodeListener() = default;
    virtual void code_written(PhysicalAddress address, u32 size) = 0;
};

class Mmu {
  public:
    Mmu(PhysicalMemory& memory, Bus& bus, Tracer& tracer);

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
    // the kind, or nullptr where the frame must take the slow path (device, flags, fault). Read: flags may hold
    // kFrameCode, kFramePageTable, kFrameClean, kFrameReadOnly. Write: flags must be 0 after marking clean frames.
    // Exactness: repeated accesses to one page with none between them to another page of the same set leave the
    // TLB as one access does; with two alternating pages the caller must first run one element of each (mmu/README.md).
    const u8* bulk_read(LinearAddress address, Privilege privilege);
    u8* bulk_write(LinearAddress address, Privilege privilege);

    const PageFaultInfo& fault() const { return fault_; }

    // --- Control. Each applies the flush rules of SDM 3A 4.10.4 and tells the tracer.
    void write_cr0(u32 old_value, u32 new_value);
    void write_cr3(u32 new_value, TlbFlushReason reason);
    void write_cr4(u32 old_value, u32 new_value);
    void invalidate_page(LinearAddress address); // INVLPG
    const PagingControl& control() const { return control_; }
    // The #PF entry drop of SDM 3A 4.10.4.1, called by fault delivery.
    void drop_faulting_entry(LinearAddress address);
    void reset();

    // A20 gate: when off, bit 20 of every physical address is 0.
    void set_a20(bool enabled);
    bool a20() const { return a20_; }

    // --- Looking. Never changes anything: no A/D, no TLB, no counters, no device reads (device memory reads as !ok).
    Walk peek_walk(LinearAddress address, Privilege privilege, AccessKind kind) const;
    Walk peek_walk_in(u32 cr3, LinearAddress address, Privilege privilege, AccessKind kind) const;
    Access<PhysicalAddress> peek_translate(LinearAddress address) const; // as supervisor read
    bool peek(LinearAddress address, std::span<u8> bytes) const;         // as supervisor; false if any byte is absent
    bool peek_physical(PhysicalAddress address, std::span<u8> bytes) const { return memory_.read(address, bytes); }

    // --- The modelled TLB and the machinery around it.
    const Tlb& tlb() const { return tlb_; }
    Tlb& tlb() { return tlb_; }
    PhysicalMemory& memory() { return memory_; }
    const PhysicalMemory& memory() const { return memory_; }
    Bus& bus() { return bus_; }
    const MmuCounters& counters() const { return counters_; }
    void set_code_listener(CodeListener* listener) { code_listener_ = listener; }
    // Somebody wants to see loads and stores of frames flagged kFrameWatched (debugger, sanitizer).
    using Watcher = std::function<void(LinearAddress, PhysicalAddress, u32 size, AccessKind)>;
    void set_watcher(Watcher watcher) { watcher_ = std::move(watcher); }

    // Marks a frame as holding code / watched and takes it out of the fast table.
    void flag_frame(u64 frame, u8 bits);
    // Drops everything derived: the fast table and the page_table flags. The amnesia test calls it at random moments;
    // no hash may change.
    void forget_derived_state();
    // Off: every access takes the model's full path. No hash may change.
    void set_fast_table(bool enabled);
    // After PhysicalMemory::begin_epoch().
    void drop_write_tags();

    void serialize(Archive& ar);

  private:
    // Implementation to be completed by the room's author.
};

} // namespace forkscope
