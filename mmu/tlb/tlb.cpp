#include "mmu/tlb/tlb.hpp"

#include <cstdlib>
#include <new>

#include "emu/base/assert.hpp"
#include "mmu/mutant.hpp"

namespace forkscope {

namespace {

constexpr u32 kMostScanned = 1024; // entries of an array that is scanned
constexpr u32 kSmallPages = 1u << 20, kLargePages = 1u << 11;

// splitmix64: any seed will do, 0 too.
u64 next_random(u64& state) {
    state += 0x9E3779B97F4A7C15ull;
    u64 z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

} // namespace

TlbModel studied(TlbModel model, TlbStudy study, u64 seed) {
    TlbGeometry* const arrays[] = {&model.data_4k, &model.data_4m, &model.instruction, &model.instruction_4m};
    for (TlbGeometry* geometry : arrays) {
        if (geometry->sets == 0)
            continue;
        const bool large = geometry == &model.data_4m || geometry == &model.instruction_4m;
        if (study == TlbStudy::Infinite)
            *geometry = {large ? kLargePages : kSmallPages, 1};
        else if (study == TlbStudy::Tiny)
            *geometry = {1, 2};
    }
    if (study == TlbStudy::Random)
        model.policy = TlbPolicy::Random;
    else if (study == TlbStudy::Fifo)
        model.policy = TlbPolicy::Fifo;
    model.seed = seed;
    return model;
}

namespace {
constexpr std::string_view kStudyNames[] = {"model", "infinite", "tiny", "random", "fifo"};
} // namespace

std::string study_text(TlbStudy study, u64 seed) {
    const std::string name(kStudyNames[static_cast<u32>(study)]);
    return study == TlbStudy::Random ? name + ":" + std::to_string(seed) : name;
}

bool parse_study(const std::string& text, TlbStudy& study, u64& seed) {
    const std::string name = text.substr(0, text.find(':'));
    const std::string rest = name.size() == text.size() ? "" : text.substr(name.size() + 1);
    const auto found = std::find(std::begin(kStudyNames), std::end(kStudyNames), name);
    if (found == std::end(kStudyNames))
        return false;
    study = static_cast<TlbStudy>(found - std::begin(kStudyNames));
    const bool digits = !rest.empty() && rest.size() < 20 && rest.find_first_not_of("0123456789") == std::string::npos;
    if (name.size() != text.size() && (study != TlbStudy::Random || !digits))
        return false;
    seed = digits ? std::stoull(rest) : 0;
    return true;
}

void TlbEntry::serialize(Archive& ar) {
    ar.field("tag", tag);
    ar.field("entry", entry);
    if (ar.hashing())
        return;
    ar.field("filled_by", filled_by);
    ar.field("filled_at", filled_at);
    ar.field("hits", hits);
}

Tlb::Tlb(const TlbModel& model) : model_(model), generator_(model.seed) {
    const TlbGeometry geometries[] = {model.data_4k, model.data_4m, model.instruction, model.instruction_4m};
    u32 sets = 0;
    for (u32 i = 0; i < arrays_.size(); ++i) {
        const TlbGeometry& g = geometries[i];
        EMU_ASSERT((g.ways & (g.ways - 1)) == 0 && g.ways <= kMostWays && (g.sets & (g.sets - 1)) == 0,
                   "a TLB of {} sets and {} ways cannot be indexed by address bits", g.sets, g.ways);
        Storage& a = arrays_[i];
        a.geometry = g;
        a.first_plru = sets;
        for (u32 way = 0; way < g.ways && model.policy == TlbPolicy::TreePlru; ++way)
            a.touches[way] = plru_touch(way, g.ways);
        a.sparse = a.places() > kMostScanned;
        // Zero bytes are an invalid entry; of a large array the host keeps only the pages that are used.
        a.entries = {static_cast<TlbEntry*>(std::calloc(a.places() + 1, sizeof(TlbEntry))), std::free};
        if (a.entries == nullptr)
            throw std::bad_alloc();
        a.is_listed.assign(a.sparse ? a.places() : 0, false);
        sets += g.ways > 1 ? g.sets : 0;
    }
    EMU_ASSERT(sets <= kNoSet, "{} sets have no room for their replacement bits", sets);
}

TlbPlace Tlb::take_place(TlbArray array, u32 linear) {
    const TlbPlace place = find(array, linear);
    return place.found ? place : take_other_place(array, linear);
}

u32 Tlb::take_victim(const TlbPlace& place) {
    const u32 ways = storage(place.array).geometry.ways;
    u8& state = plru_[plru_number(place)];
    switch (model_.policy) {
    case TlbPolicy::TreePlru:
        return plru_victim(state, ways);
    case TlbPolicy::Fifo: {
        const u32 victim = state & (ways - 1);
        if (!MMU_MUTANT(FifoStands))
            state = static_cast<u8>((victim + 1) & (ways - 1));
        return victim;
    }
    case TlbPolicy::Random:
        break;
    }
    return static_cast<u32>(next_random(generator_) & (ways - 1));
}

void Tlb::compact() {
    for (Storage& a : arrays_) {
        if (!a.sparse)
            continue;
        const auto gone = [&a](u32 index) {
            const bool dead = !a.entries[index].valid();
            if (dead && !MMU_MUTANT(SparseFlushForgets))
                a.is_listed[index] = false;
            return dead;
        };
        a.listed.erase(std::remove_if(a.listed.begin(), a.listed.end(), gone), a.listed.end());
    }
}

void Tlb::reset() {
    for_each_valid([this](const TlbPlace& place) { set_entry(place, {}); });
    compact();
    plru_ = {};
    generator_ = model_.seed;
}

void Tlb::serialize(Archive& ar) {
    constexpr std::string_view kNames[] = {"data_4k", "data_4m", "instruction", "instruction_4m"};
    for (u32 i = 0; i < arrays_.size(); ++i) {
        Storage& a = arrays_[i];
        ar.begin(kNames[i]);
        if (a.sparse) {
            serialize_sparse(ar, a);
        } else {
            for (u32 index = 0; index < a.places(); ++index)
                ar.nested("entry", a.entries[index]);
        }
        if (ar.loading())
            count_valid(a);
        if (a.geometry.ways > 1)
            ar.raw("plru", plru_.data() + a.first_plru, a.geometry.sets);
        ar.end();
    }
    if (!MMU_MUTANT(RandomNotSaved))
        ar.field("generator", generator_);
}

void Tlb::count_valid(Storage& a) {
    a.valid = 0;
    for (u32 i = 0, count = a.sparse ? static_cast<u32>(a.listed.size()) : a.places(); i < count; ++i)
        a.valid += a.entries[a.sparse ? a.listed[i] : i].valid() ? 1 : 0;
}

// The valid entries alone, each after its place, in order.
void Tlb::serialize_sparse(Archive& ar, Storage& a) {
    std::vector<u32> places;
    for (const u32 index : a.listed)
        if (a.entries[index].valid())
            places.push_back(index);
    std::sort(places.begin(), places.end());
    ar.sequence("places", places, a.places());
    if (ar.loading() && ar.good()) {
        for (const u32 index : a.listed)
            a.entries[index] = {};
        for (const u32 index : places)
            if (index >= a.places())
                return ar.fail("a TLB entry lies outside its array");
        a.listed = places;
        a.is_listed.assign(a.places(), false);
        for (const u32 index : places)
            a.is_listed[index] = true;
    }
    for (const u32 index : places)
        if (index < a.places())
            ar.nested("entry", a.entries[index]);
}

} // namespace forkscope
