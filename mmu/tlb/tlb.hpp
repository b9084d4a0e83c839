// Owns: the modelled TLB: arrays of sets and ways with their replacement bits, as the real chip has them, and the
// study modes. Callers: the Mmu changes it; windows, reports and tests look. Promises: entries go stale exactly as on
// silicon: only the Mmu's flush rules and fills change them; contents and replacement bits are part of the machine's
// hash.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "emu/base/archive.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "emu/base/types.hpp"
#include "mmu/mutant.hpp"
#include "mmu/paging.hpp"

namespace forkscope {

struct TlbEntry {
    u32 tag = 0; // linear address of the page's first byte
    // For display: who filled it, and how often it was hit since, while hits are counted. Not part of the hash.
    u32 filled_by = 0; // linear address of the instruction
    // Frame address | kPtePresent (valid) | kPteWritable, kPteUser (as all levels grant them) | kPteAccessed |
    // kPteDirty | kPteLarge (the page is large, or a piece of a large one) | kPteGlobal | kPteNoExecute. 0 = invalid.
    u64 entry = 0;
    Cycles filled_at = 0;
    u64 hits = 0;

    bool valid() const { return (entry & kPtePresent) != 0; }
    bool operator==(const TlbEntry& other) const { return tag == other.tag && entry == other.entry; }
    void serialize(Archive& ar);
};

struct TlbGeometry {
    u32 sets = 0; // a power of two; 0: there is no such array
    u32 ways = 0; // a power of two up to Tlb::kMostWays
};

enum class TlbPolicy : u8 {
    TreePlru,
    Fifo,   // a pointer for each set
    Random, // a generator whose state is saved
};

// One processor's TLB (sources: mmu/README.md). Without an instruction array, data and code share the data arrays;
// without an array for large pages they enter as 4 KB pieces.
struct TlbModel {
    TlbGeometry data_4k{16, 4};
    TlbGeometry data_4m{2, 4};
    TlbGeometry instruction{8, 4};
    TlbGeometry instruction_4m{};
    TlbPolicy policy = TlbPolicy::TreePlru;
    u64 seed = 0;           // of the generator
    bool shows_lru = false; // a lookup by test register shows the set's replacement state in TR7

    bool unified() const { return instruction.sets == 0; }
};
inline constexpr TlbModel kTlbOfI386{{8, 4}, {}, {}, {}};
inline constexpr TlbModel kTlbOfI486{{8, 4}, {}, {}, {}, TlbPolicy::TreePlru, 0, true};
inline constexpr TlbModel kTlbOfPentium{};
inline constexpr TlbModel kTlbOfP6{{16, 4}, {2, 4}, {8, 4}, {1, 2}};

// Changes to a processor's TLB, to study their effect.
enum class TlbStudy : u8 {
    Model,
    Infinite, // every page has its own place
    Tiny,     // each array is one set of two ways
    Random,
    Fifo,
};
TlbModel studied(TlbModel model, TlbStudy study, u64 seed);
// As --tlb takes it: "model", "infinite", "tiny", "random:5", "fifo". False: there is none of that name.
std::string study_text(TlbStudy study, u64 seed);
bool parse_study(const std::string& text, TlbStudy& study, u64& seed);

// Tree pseudo-LRU: bit n of the set's byte is node n of a heap-ordered tree and points to the half to replace next:
// 0 = lower ways, 1 = upper ways. Touching a way makes the nodes above it point away: bits = (bits & keep) | point.
struct PlruTouch {
    u8 keep = 0xFF;
    u8 point = 0;
    bool operator==(const PlruTouch&) const = default;
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
    TlbArray array = TlbArray::Data4K;
    u8 way = 0;
    bool found = false;
    u32 set = 0;
};

class Tlb {
  public:
    static constexpr u32 kArrays = 4;
    static constexpr u32 kMostWays = 8;

    explicit Tlb(const TlbModel& model = {});

    const TlbModel& model() const { return model_; }
    const TlbGeometry& geometry(TlbArray array) const { return storage(array).geometry; }
    bool has(TlbArray array) const { return geometry(array).sets != 0; }
    bool empty(TlbArray array) const { return storage(array).valid == 0; }
    const TlbEntry& entry(TlbArray array, u32 set, u32 way) const {
        return storage(array).entries[set * storage(array).geometry.ways + way];
    }
    const TlbEntry& entry(const TlbPlace& place) const { return entry(place.array, place.set, place.way); }
    // The replacement state of a set: tree bits, or the FIFO's pointer.
    u8 plru(TlbArray array, u32 set) const { return plru_[plru_number({.array = array, .set = set})]; }

    // Large pages are 4 MB, or 2 MB: the Mmu flushes when that changes.
    void set_large_shift(u32 shift) { large_shift_ = shift; }
    u32 page_shift(TlbArray array) const { return is_large(array) ? large_shift_ : kPageShift; }
    u32 page_mask(TlbArray array) const { return (1u << page_shift(array)) - 1; }
    u32 large_mask() const { return (1u << large_shift_) - 1; }
    static bool is_large(TlbArray array) { return array == TlbArray::Data4M || array == TlbArray::Instruction4M; }
    // The arrays that an access uses.
    TlbArray small_array(AccessKind kind) const {
        return kind == AccessKind::Fetch && !model_.unified() ? TlbArray::Instruction4K : TlbArray::Data4K;
    }
    TlbArray large_array(AccessKind kind) const {
        const TlbArray small = small_array(kind);
        const TlbArray large = small == TlbArray::Instruction4K ? TlbArray::Instruction4M : TlbArray::Data4M;
        return has(large) ? large : small;
    }

    u32 set_of(TlbArray array, u32 linear) const { return (linear >> page_shift(array)) & (geometry(array).sets - 1); }
    // Where the page of `linear` is in one array, or its set if it is not there.
    TlbPlace find(TlbArray array, u32 linear) const;
    // What an access would hit: 4 KB entries come before large ones.
    TlbPlace find(AccessKind kind, u32 linear) const;
    // Where a new entry for `linear` goes: over an entry of the same page, else as take_other_place().
    TlbPlace take_place(TlbArray array, u32 linear);
    // Where it goes if the array holds no entry of the page: the first invalid way, else the victim, which moves a
    // FIFO's pointer or the generator.
    TlbPlace take_other_place(TlbArray array, u32 linear);

    void touch(const TlbPlace& place);
    PlruTouch touch_of(const TlbPlace& place) const { return storage(place.array).touches[place.way]; }
    void set_entry(const TlbPlace& place, const TlbEntry& entry);
    void count_hit(const TlbPlace& place) { ++entry_at(place).hits; }
    // Everything invalid and the replacement state 0, the generator at its seed: the state after RESET.
    void reset();
    // In no promised order. `act` may invalidate the entry.
    template <class Act> void for_each_valid(TlbArray array, Act act) const;
    template <class Act> void for_each_valid(Act act) const {
        for (u32 array = 0; array < kArrays; ++array)
            for_each_valid(static_cast<TlbArray>(array), act);
    }
    // Whether large pages enter the array as 4 KB pieces.
    bool holds_pieces(TlbArray array) const {
        return !is_large(array) && !has(array == TlbArray::Instruction4K ? TlbArray::Instruction4M : TlbArray::Data4M);
    }
    // After a flush: shortens the lists that for_each_valid goes by.
    void compact();

    // For the fast table: touches a way of a set by the number that the set has over all arrays; kNoSet belongs to
    // none.
    void touch(u32 plru_number, PlruTouch touch) {
        u8& bits = plru_[plru_number];
        bits = static_cast<u8>((bits & touch.keep) | touch.point);
    }
    u32 plru_number(const TlbPlace& place) const {
        const Storage& a = storage(place.array);
        return a.geometry.ways > 1 ? a.first_plru + place.set : kNoSet;
    }
    static constexpr u32 kNoSet = 63;
    const u8* plru_of_all() const { return plru_.data(); } // by that number

    void serialize(Archive& ar);

  private:
    struct Storage {
        TlbGeometry geometry;
        u32 first_plru = 0;
        u32 valid = 0;                                                          // entries
        std::array<PlruTouch, kMostWays> touches;                               // by way, as the policy has it
        std::unique_ptr<TlbEntry[], void (*)(void*)> entries{nullptr, nullptr}; // set-major
        // An array too large to scan: the places that hold an entry, and some that no longer do.
        bool sparse = false;
        std::vector<u32> listed;
        std::vector<bool> is_listed;

        u32 places() const { return geometry.sets * geometry.ways; }
        TlbPlace place(TlbArray array, u32 index) const {
            return {.array = array,
                    .way = static_cast<u8>(index % geometry.ways),
                    .found = true,
                    .set = index / geometry.ways};
        }
    };
    const Storage& storage(TlbArray array) const { return arrays_[static_cast<u32>(array)]; }
    Storage& storage(TlbArray array) { return arrays_[static_cast<u32>(array)]; }
    TlbEntry& entry_at(const TlbPlace& place) {
        Storage& a = storage(place.array);
        return a.entries[place.set * a.geometry.ways + place.way];
    }
    u32 take_victim(const TlbPlace& place);
    void count_valid(Storage& storage);
    void serialize_sparse(Archive& ar, Storage& storage);

    TlbModel model_;
    std::array<Storage, kArrays> arrays_;
    std::array<u8, kNoSet + 1> plru_{};
    u64 generator_ = 0;
    u32 large_shift_ = 22;
};

[[gnu::always_inline]] inline TlbPlace Tlb::find(TlbArray array, u32 linear) const {
    const Storage& a = storage(array);
    TlbPlace place{.array = array};
    if (a.geometry.sets == 0)
        return place;
    place.set = set_of(array, linear);
    if (a.valid == 0)
        return place;
    const u32 tag = linear & ~page_mask(array);
    const TlbEntry* const set = &a.entries[place.set * a.geometry.ways];
    for (u32 way = 0; way < a.geometry.ways; ++way) {
        if (set[way].tag == tag && set[way].valid()) {
            place.way = static_cast<u8>(way);
            place.found = true;
            return place;
        }
    }
    return place;
}

[[gnu::always_inline]] inline TlbPlace Tlb::find(AccessKind kind, u32 linear) const {
    const TlbPlace small = find(small_array(kind), linear);
    const TlbArray large = large_array(kind);
    return small.found || large == small.array ? small : find(large, linear);
}

[[gnu::always_inline]] inline TlbPlace Tlb::take_other_place(TlbArray array, u32 linear) {
    TlbPlace place{.array = array, .set = set_of(array, linear)};
    const u32 ways = storage(array).geometry.ways;
    for (u32 way = 0; way < ways && !MMU_MUTANT(PlruEvenIfInvalidWay); ++way) {
        place.way = static_cast<u8>(way);
        if (!entry(place).valid())
            return place;
    }
    place.way = static_cast<u8>(take_victim(place));
    return place;
}

inline void Tlb::touch(const TlbPlace& place) {
    u8& bits = plru_[plru_number(place)];
    const PlruTouch touched = touch_of(place);
    bits = static_cast<u8>((bits & touched.keep) | touched.point);
    if (MMU_MUTANT(FifoMovesOnHit) && model_.policy == TlbPolicy::Fifo)
        bits = static_cast<u8>((bits + 1) & (geometry(place.array).ways - 1));
}

inline void Tlb::set_entry(const TlbPlace& place, const TlbEntry& entry) {
    Storage& a = storage(place.array);
    const u32 index = place.set * a.geometry.ways + place.way;
    a.valid += (entry.valid() ? 1u : 0u) - (a.entries[index].valid() ? 1u : 0u);
    a.entries[index] = entry;
    if (a.sparse && entry.valid() && !a.is_listed[index]) {
        a.is_listed[index] = true;
        a.listed.push_back(index);
    }
}

template <class Act> void Tlb::for_each_valid(TlbArray array, Act act) const {
    const Storage& a = storage(array);
    if (a.valid == 0)
        return;
    const u32 count = a.sparse ? static_cast<u32>(a.listed.size()) : a.places();
    for (u32 i = 0; i < count; ++i) {
        const u32 index = a.sparse ? a.listed[i] : i;
        if (a.entries[index].valid())
            act(a.place(array, index));
    }
}

} // namespace forkscope
