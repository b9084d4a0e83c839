// Owns: the translation of linear addresses: control registers, modelled TLB with its front, walks, marks of page-table
// frames. Callers: the Mmu alone. Promises: the modelled TLB's contents, order, hits and misses are exact
// (mmu/README.md); a translation that faults changes no memory.
#pragma once

#include "emu/base/access.hpp"
#include "emu/base/trace.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "mmu/paging_state.hpp"
#include "mmu/table_marks.hpp"
#include "mmu/tlb/front.hpp"
#include "mmu/tlb/tlb.hpp"

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

class PagingUnit {
  public:
    PagingUnit(PhysicalMemory& memory, Tracer& tracer);

    // One access to one page: what the chip does, in its order. The address is on the bus, after A20. If !ok, fault()
    // says why, and nothing of the TLB was touched.
    Access<PhysicalAddress> translate(LinearAddress address, Privilege privilege, AccessKind kind);
    // The same but for what would fault, change code or is kept out of the front: !ok. Then nothing has happened that
    // translate(), called next, does not go on from to the same end.
    Access<PhysicalAddress> try_translate(LinearAddress address, Privilege privilege, AccessKind kind);
    // Where translate() would find the page in the TLB, with the right, and D set if writing; !ok where it would not,
    // or where the front keeps such accesses out. Nothing changes.
    Access<PhysicalAddress> find_plain_hit(LinearAddress address, Privilege privilege, AccessKind kind) const;

    // Writes of control registers: they apply the flush rules of SDM 3A 4.10.4 and 11.9 and emit ControlRegister or
    // Cr3Load, and TlbFlush. A task switch to the same CR3 flushes nothing.
    void write_cr0(u32 old_value, u32 new_value);
    void write_cr3(u32 new_value, TlbFlushReason reason);
    void write_cr4(u32 old_value, u32 new_value);
    bool invalidate_page(LinearAddress address);
    void drop_faulting_entry(LinearAddress address);
    void test_tlb(u32& command, u32& data);
    void set_tlb_model(const TlbModel& model);
    void set_a20(bool enabled);
    void reset();

    void flag_frame(u64 frame, u8 bits);
    void unflag_frame(u64 frame, u8 bits);
    void set_listener(AccessListener* listener) { listener_ = listener; }
    void set_count_hits(bool enabled);
    bool count_hits() const { return count_hits_; }

    const PageFaultInfo& fault() const { return fault_; }
    // The access was translated but is not aligned as it must be.
    void take_alignment_fault(LinearAddress address) { fault_ = {address, 0, true}; }

    PagingState& state() { return state_; }
    const PagingState& state() const { return state_; }
    const Tlb& tlb() const { return tlb_; }
    Tlb& tlb() { return tlb_; }
    TlbFront& front() { return front_; }
    const TlbFront& front() const { return front_; }
    TableMarks& marks() { return marks_; }
    const TableMarks& marks() const { return marks_; }
    const MmuCounters& counters() const { return counters_; }

    void serialize(Archive& ar);

  private:
    void serialize_hits(Archive& ar);
    struct GuestWalk;

    PhysicalAddress physical_of(const TlbPlace& place, LinearAddress address) const;
    // A page that is translated without the tables, or what the TLB lacks for that.
    struct Lookup {
        TlbPlace place; // `found`: though it may not suffice
        bool permitted = false;
        bool suffices = false;
    };
    Lookup look_up(u32 linear, Privilege privilege, AccessKind kind) const;
    void count_walk(const Lookup& lookup, AccessKind kind);
    PhysicalAddress enter(LinearAddress address, Privilege privilege, AccessKind kind, const Walk& walk,
                          const Lookup& lookup);
    void touch(LinearAddress address, Privilege privilege, AccessKind kind, const TlbPlace& place,
               PhysicalAddress physical);
    // Bits that a walk sets in code, and events at which somebody looks at registers.
    enum class Trouble : u8 { IsTaken, StopsWalk };
    Walk walk(LinearAddress address, Privilege privilege, AccessKind kind, Trouble trouble = Trouble::IsTaken);
    void take_fault(LinearAddress address, const Walk& walk);
    void note_write(PhysicalAddress physical, AccessKind kind);

    // Fills
    TlbPlace refill(LinearAddress address, AccessKind kind, const Walk& walk, const TlbPlace& old);
    TlbPlace place_for(TlbArray array, u32 linear, const TlbPlace& old);
    void drop_outgrown(const TlbPlace& old);
    void unmark_user_page(const Walk& walk);
    void clear_place(const TlbPlace& place);
    TlbEntry entry_of(LinearAddress address, const Walk& walk, u32 page_mask) const;
    void emit_entry(TraceKind kind, const TlbPlace& place, const TlbEntry& entry);

    // Flushes
    enum class Globals : u8 { Drop, Keep };
    void flush(TlbFlushReason reason, Globals globals);
    void finish_flush(TlbFlushReason reason, LinearAddress address, u32 dropped);
    u32 drop_page(LinearAddress address);
    u32 drop_page_of(TlbArray array, u32 linear);

    // test_registers.cpp
    void look_up_for_test(u32& command, u32& data);
    void write_for_test(u32 command, u32 data);

    PhysicalMemory& memory_;
    Tracer& tracer_;
    PagingState state_;
    Tlb tlb_;
    TlbFront front_;
    TableMarks marks_;
    PageFaultInfo fault_;
    MmuCounters counters_;
    bool count_hits_ = false;
    AccessListener* listener_ = nullptr;
};

} // namespace forkscope
