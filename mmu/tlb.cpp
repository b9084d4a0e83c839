#include "mmu/tlb.hpp"

#include "emu/base/assert.hpp"
#include "mmu/mutant.hpp"

namespace forkscope {

void TlbEntry::serialize(Archive& ar) {
    ar.field("tag", tag);
    ar.field("entry", entry);
    if (ar.hashing())
        return;
    ar.field("filled_by", filled_by);
    ar.field("filled_at", filled_at);
}

Tlb::Tlb(const TlbModel& model) {
    const TlbGeometry geometries[] = {model.data_4k, model.data_4m, model.instruction};
    u32 sets = 0;
    for (u32 i = 0; i < arrays_.size(); ++i) {
        const TlbGeometry& g = geometries[i];
        EMU_ASSERT((g.ways & (g.ways - 1)) == 0 && g.ways <= 8 && (g.sets & (g.sets - 1)) == 0,
                   "a TLB of {} sets and {} ways cannot be indexed by address bits", g.sets, g.ways);
        arrays_[i] = {g, sets, std::vector<TlbEntry>(std::size_t{g.sets} * g.ways)};
        sets += g.sets;
    }
    EMU_ASSERT(sets <= kNoSet, "{} sets have no room for their replacement bits", sets);
}

TlbPlace Tlb::find(TlbSide side, u32 linear) const {
    const Array& a = array(side);
    const u32 set = set_of(side, linear);
    const u32 tag = linear >> a.geometry.page_shift << a.geometry.page_shift;
    for (u32 way = 0; way < a.geometry.ways; ++way) {
        const TlbEntry& candidate = a.entries[set * a.geometry.ways + way];
        if (candidate.tag == tag && candidate.valid())
            return {side, static_cast<u8>(set), static_cast<u8>(way), true};
    }
    return {side, static_cast<u8>(set), 0, false};
}

TlbPlace Tlb::find(AccessKind kind, u32 linear) const {
    if (kind == AccessKind::Fetch)
        return find(TlbSide::Instruction, linear);
    const TlbPlace small = find(TlbSide::Data4K, linear);
    return small.found ? small : find(TlbSide::Data4M, linear);
}

TlbPlace Tlb::place_for(TlbSide side, u32 linear) const {
    TlbPlace place = find(side, linear);
    if (place.found)
        return place;
    const Array& a = array(side);
    for (u8 way = 0; way < a.geometry.ways && !MMU_MUTANT(PlruEvenIfInvalidWay); ++way) {
        if (!a.entries[u32{place.set} * a.geometry.ways + way].valid()) {
            place.way = way;
            return place;
        }
    }
    place.way = static_cast<u8>(plru_victim(plru_[a.first_plru + place.set], a.geometry.ways));
    return place;
}

void Tlb::touch(const TlbPlace& place) {
    u8& bits = plru_[plru_number(place)];
    const PlruTouch touched = plru_touch(place.way, array(place.side).geometry.ways);
    bits = static_cast<u8>((bits & touched.keep) | touched.point);
}

void Tlb::set_entry(const TlbPlace& place, const TlbEntry& entry) {
    Array& a = array(place.side);
    a.entries[u32{place.set} * a.geometry.ways + place.way] = entry;
}

void Tlb::reset() {
    for (Array& a : arrays_)
        a.entries.assign(a.entries.size(), {});
    plru_ = {};
}

void Tlb::serialize(Archive& ar) {
    constexpr std::string_view kNames[] = {"data_4k", "data_4m", "instruction"};
    for (u32 i = 0; i < arrays_.size(); ++i) {
        ar.begin(kNames[i]);
        for (TlbEntry& entry : arrays_[i].entries)
            ar.nested("entry", entry);
        ar.raw("plru", plru_.data() + arrays_[i].first_plru, arrays_[i].geometry.sets);
        ar.end();
    }
}

} // namespace forkscope
