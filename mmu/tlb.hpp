// Owns: the modelled TLB: arrays of sets and ways with their replacement bits, as the real chip has them.
// Callers: the Mmu changes it; windows, reports and tests look. Promises: entries go stale exactly as on silicon: only
// the Mmu's flush rules and fills change them; contents and replacement bits are part of the machine's hash.
#pragma once

#include <array>
#include <vector>

#include "emu/base/archive.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "emu/base/types.hpp"
#include "mmu/paging.hpp"

namespace forkscope {

struct TlbEntry {
    u32 tag = 0; // linear address of the page's first byte
    // Frame address | kPtePresent (valid) | kPteWritable, kPteUser (as both levels grant) | kPteAccessed | kPteDirty |
    // kPteLarge (the page is 4 MB; on the I side: a piece of one) | kPteGlobal. 0 = invalid.
    u32 entry = 0;
    // Who filled it, for people. Not part of the hash.
    u32 filled_by = 0; // linear address of the instruction
    Cycles filled_at = 0;

    bool valid() const { return (entry & kPtePresent) != 0; }
    bool operator==(const TlbEntry& other) const { return tag == other.tag && entry == other.entry; }
    void serialize(Archive& ar);
};

struct TlbGeometry {
    u8 sets;
    u8 ways; // a power of two up to 8
    u8 page_shift;
};

// Pentium (P5): facts in mmu/README.md.
struct TlbModel {
    TlbGeometry data_4k{16, 4, 12};
    TlbGeometry data_4m{2, 4, 22};
    TlbGeometry instruction{8, 4, 12};
};

// Tree pseudo-LRU: bit n of the set's byte is node n of a heap-ordered tree and points to the half to replace next:
// 0 = lower ways, 1 = upper ways. Touching a way makes the nodes above it point away: bits = (bits & keep) | point.
struct PlruTouch {
    u8 keep = 0xFF;
    u8 point = 0;
};
constexpr PlruTouch plru_touch(u32 way, u32 ways) {
    PlruTouch touch;
    u32 node = 0;
    for (u32 half = ways / 2; half != 0; half /= 2) {
        const bool upper = (way & half) != 0;
        touch.keep = static_cast<u8>(touch.keep & ~(1u << node));
        touch.point = static_cast<u8>(touch.point | (upper ? 0u : 1u << node));
        node = 2 * node + (upper ? 2 : 1);
    }
    return touch;
}
constexpr u32 plru_victim(u8 bits, u32 ways) {
    u32 way = 0;
    u32 node = 0;
    for (u32 half = ways / 2; half != 0; half /= 2) {
        const bool upper = (bits >> node & 1) != 0;
        way += upper ? half : 0;
        node = 2 * node + (upper ? 2 : 1);
    }
    return way;
}

// A place in the Tlb.
struct TlbPlace {
    TlbSide side = TlbSide::Data4K;
    u8 set = 0;
    u8 way = 0;
    bool found = false;
};

class Tlb {
  public:
    explicit Tlb(const TlbModel& model = {});

    const TlbGeometry& geometry(TlbSide side) const { return array(side).geometry; }
    const TlbEntry& entry(TlbSide side, u32 set, u32 way) const {
        return array(side).entries[set * array(side).geometry.ways + way];
    }
    const TlbEntry& entry(const TlbPlace& place) const { return entry(place.side, place.set, place.way); }
    u8 plru(TlbSide side, u32 set) const { return plru_[array(side).first_plru + set]; }

    u32 set_of(TlbSide side, u32 linear) const {
        const TlbGeometry& g = array(side).geometry;
        return (linear >> g.page_shift) & (g.sets - 1u);
    }
    // Where the page of `linear` is in one array.
    TlbPlace find(TlbSide side, u32 linear) const;
    // What an access would hit: 4 KB entries come before 4 MB ones.
    TlbPlace find(AccessKind kind, u32 linear) const;
    // Where a new entry for `linear` goes: over an entry of the same page, else the first invalid way, else the victim.
    TlbPlace place_for(TlbSide side, u32 linear) const;

    void touch(const TlbPlace& place);
    void set_entry(const TlbPlace& place, const TlbEntry& entry);
    // Everything invalid and the replacement bits 0: the state after RESET.
    void reset();

    // For the fast table's inline update: the byte of a set, by number over all arrays. The last one belongs to no set.
    u8& plru_byte(u32 number) { return plru_[number]; }
    u32 plru_number(const TlbPlace& place) const { return array(place.side).first_plru + place.set; }
    static constexpr u32 kNoSet = 63;

    void serialize(Archive& ar);

  private:
    struct Array {
        TlbGeometry geometry;
        u32 first_plru = 0;
        std::vector<TlbEntry> entries; // set-major
    };
    const Array& array(TlbSide side) const { return arrays_[static_cast<u32>(side)]; }
    Array& array(TlbSide side) { return arrays_[static_cast<u32>(side)]; }

    std::array<Array, 3> arrays_;
    std::array<u8, kNoSet + 1> plru_{};
};

} // namespace forkscope
