// Owns: the front of the TLB: where a page's bytes lie in the host, for pages that the modelled TLB holds just now.
// Callers: only the Mmu. Promises: a slot that matches means: the modelled TLB would hit, with the right, with D set if
// writing, on plain memory; all that the hit changes are the set's replacement bits, and the slot says how.
#pragma once

#include <array>

#include "mmu/paging.hpp"
#include "mmu/tlb/tlb.hpp"

namespace forkscope {

struct alignas(32) FastSlot {
    static constexpr u32 kNone = 0x800; // never what an access looks for: a page's address, with bits 2:0 if misaligned

    u32 read_tag = kNone;      // linear address of the page if loads, or fetches in their table, may use the slot
    u32 write_tag = kNone;     // the same for stores
    std::uintptr_t addend = 0; // host address = addend + linear address
    u32 physical = 0;          // of the page's first byte
    u8 set = 0;                // Tlb::plru_number
    PlruTouch touch;

    u8* host(u32 linear) const { return reinterpret_cast<u8*>(addend + linear); }
};

// One of two, for data and for fetches: 256 slots for each privilege, chosen by the low bits of the page number.
class FastTlb {
  public:
    static constexpr u32 kSlots = 256;

    FastSlot& slot(Privilege privilege, u32 linear) {
        return slots_[static_cast<u32>(privilege)][(linear >> kPageShift) & (kSlots - 1)];
    }

    void drop_all() {
        for (auto& half : slots_)
            half.fill({});
    }
    // Forgets the page of `linear`, whichever privilege published it.
    void drop_page(u32 linear) {
        const u32 page = linear & ~kPageMask;
        for (const Privilege privilege : {Privilege::Supervisor, Privilege::User}) {
            FastSlot& candidate = slot(privilege, linear);
            if (candidate.read_tag == page || candidate.write_tag == page)
                drop(candidate);
        }
    }
    // Forgets every page of the large page around `linear`; `mask` covers the offset within it.
    void drop_large_page(u32 linear, u32 mask) {
        for_each([=](FastSlot& candidate) {
            if (((candidate.read_tag ^ linear) & ~mask) == 0)
                drop(candidate);
        });
    }
    void drop_frame(u64 frame) {
        for_each([=](FastSlot& candidate) {
            if (candidate.physical >> kPageShift == frame)
                drop(candidate);
        });
    }
    void drop_write_tags() {
        for_each([](FastSlot& candidate) { candidate.write_tag = FastSlot::kNone; });
    }
    void drop_write_tags_of_frame(u64 frame) {
        for_each([=](FastSlot& candidate) {
            if (candidate.physical >> kPageShift == frame)
                candidate.write_tag = FastSlot::kNone;
        });
    }

  private:
    static void drop(FastSlot& slot) { slot.read_tag = slot.write_tag = FastSlot::kNone; }
    template <class Function> void for_each(Function function) {
        for (auto& half : slots_) {
            for (FastSlot& candidate : half)
                function(candidate);
        }
    }

    std::array<std::array<FastSlot, kSlots>, 2> slots_;
};

} // namespace forkscope
