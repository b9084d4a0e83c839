// Owns: the reference against which the Mmu is compared: paging and the TLBs as plain loops.
// Callers: the duel and the replay of recorded streams. Promises: written from the manual, the published TLB geometries
// and mmu/README.md alone; shares with the Mmu only the names of bits; no speed, no fast path, its own copy of memory.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "emu/base/types.hpp"
#include "mmu/paging.hpp"

namespace forkscope::reference {

// What the generator made happen, counted here where it is known without looking at the Mmu.
enum Transition : u32 {
#define TRANSITION(name, text, needs) name,
#include "transitions.def"
#undef TRANSITION
    kTransitionCount
};
extern const char* const kTransitionNames[kTransitionCount];

// What a transition needs of the processor to be possible at all.
enum Need : u32 {
    kAlways = 0,
    kNeedsLarge = 1,   // CR4.PSE
    kNeedsGlobal = 2,  // CR4.PGE
    kNeedsProtect = 4, // CR0.WP
    kNeedsPae = 8,
    kNeedsEviction = 16, // no infinite TLB
    kNeedsUnified = 32,
    kNeedsSplit = 64,
    kNeedsPieces = 128,     // large pages enter the code array as 4 KB pieces
    kNeedsLargeFetch = 256, // or have an array of their own
    kNeedsPse36 = 512,
    kNeedsRecency = 1024, // a hit may change the replacement state
};
extern const u32 kTransitionNeeds[kTransitionCount];

struct Entry {
    bool valid = false;
    u32 page = 0;  // linear >> 12, or >> 22 or 21 in the arrays of large pages
    u64 frame = 0; // physical >> 12
    bool writable = false, user = false, global = false, dirty = false, large = false, no_execute = false;
};

struct Set {
    std::vector<Entry> way;
    bool b0 = false, b1 = false, b2 = false; // the i486 manual's names; of two ways b0 alone
    u32 next = 0;                            // of a FIFO
};

enum class Replacement { PseudoLru, Fifo, Random };

// Sets and ways; without sets there is no such array. Unlimited: one place for each page.
struct Geometry {
    u32 sets = 0;
    u32 ways = 0;
    bool unlimited = false;
};

struct Processor {
    std::string name;
    Geometry data, large, code, large_code; // without a code array data and code share one
    Replacement replacement = Replacement::PseudoLru;
    u64 seed = 0;
    u32 has = 0; // Need bits: what software can switch on
};

struct Array {
    Geometry geometry;
    std::map<u32, Set> unlimited;
    std::vector<Set> sets;

    bool exists() const { return geometry.unlimited || geometry.sets != 0; }
    Set& set_of(u32 page);
    template <class Act> void for_each(Act act) {
        for (Set& set : sets)
            act(set);
        for (auto& [page, set] : unlimited)
            act(set);
    }
};

struct Outcome {
    bool ok = false;
    u32 fault_address = 0;
    u32 fault_code = 0;
    u64 value = 0;
    u64 physical = 0; // of the first byte
};

class ReferenceMmu {
  public:
    ReferenceMmu(const Processor& processor, u32 ram_bytes, u32 rom_start, u32 device_start, u32 device_end);

    Outcome load(u32 linear, u32 size, bool user);
    Outcome store(u32 linear, u32 size, u64 value, bool user);
    Outcome update_begin(u32 linear, u32 size, bool user);
    void update_end(u64 value);
    Outcome probe(u32 linear, u32 size, bool user);
    Outcome fetch(u32 linear, bool user);
    // What this entry would do, without doing it: does an access hit with the right and, for writes, D set?
    bool plain_hit(u32 linear, bool user, bool write);

    void set_cr0(u32 value);
    void set_cr3(u32 value, bool task_switch);
    void set_cr4(u32 value);
    // Would the PDPTE registers be loaded from good entries, should that be done?
    bool good_pointers(u32 pointers) const;
    void invlpg(u32 linear) { drop_page(linear, kInvlpgDrops); }
    void page_fault_delivered(u32 linear) { drop_page(linear, kFaultDropsEntry); }

    bool pae() const { return (cr4 & kCr4Pae) != 0; }
    u64 peek(u64 physical, u32 size) const;
    u32 peek32(u64 physical) const { return static_cast<u32>(peek(physical, 4)); }
    u64 peek_entry(u64 physical) const { return peek(physical, pae() ? 8 : 4); }
    void poke32(u32 physical, u32 value);
    u64 bus_address(u64 physical) const;
    bool is_ram(u64 physical) const;
    bool is_memory(u64 physical) const { return is_ram(physical) || is_rom(physical); }

    const Processor processor;
    std::vector<u8> memory;
    Array data, large, code, large_code;
    u64 generator = 0;
    u32 cr0 = 0, cr3 = 0, cr4 = 0;
    bool nxe = false;
    std::array<u64, 4> pointers{};
    bool a20 = true;

    u64 accesses[2] = {}; // pages asked for: data, code
    u64 misses[2] = {};
    u64 dirty_walks = 0, permission_walks = 0, faults = 0, accessed_dirty_writes = 0;

    // Marks the test put on frames, and what must have been reported about them, folded in order.
    std::vector<u8> code_frame, watched_frame, written_frame;
    u64 code_reports = 0, watch_reports = 0, device_writes = 0;
    std::vector<u32> write_log; // physical addresses written since the last clear
    u64 seen[kTransitionCount] = {};

    static u64 fold(u64 digest, u64 a, u64 b) {
        return (digest ^ (a * 0x9E3779B97F4A7C15ull + b)) * 0xD6E8FEB86659FD93ull;
    }
    static u8 device_byte(u32 offset) { return static_cast<u8>(offset * 37 + 11); }

  private:
    struct WalkResult {
        bool ok = false;
        u32 code = 0;
        u64 frame = 0; // of the 4 KB piece
        bool writable = false, user = false, global = false, dirty = false, large = false, no_execute = false;
    };
    // One entry as a walk reads it.
    struct Step {
        u64 at = 0;
        u64 entry = 0;
    };
    enum class Kind { Read, Write, Fetch };
    struct Found {
        Set* set = nullptr; // null: a miss
        u32 way = 0;
        bool large = false;
    };

    bool is_rom(u64 physical) const { return physical >= rom_start_ && physical < 0x100000; }
    u32 large_bits() const { return pae() ? 21 : 22; }
    bool split() const { return code.exists(); }
    Array& small_array(Kind kind) { return kind == Kind::Fetch && split() ? code : data; }
    Array& large_array(Kind kind) { return kind == Kind::Fetch && split() ? large_code : large; }
    Found find(u32 linear, Kind kind, bool count);
    bool allowed(const Entry& entry, bool user, Kind kind) const;
    bool translate(u32 linear, bool user, Kind kind, Outcome& outcome, u64& physical);
    WalkResult walk(u32 linear, bool user, Kind kind, bool look);
    bool read_entries(u32 linear, WalkResult& result, Step& directory, Step& table, bool look);
    u64 reserved_bits(bool large_page) const;
    void load_pointers();
    void set_entry_bits(u64 physical, u64 old_value, u32 bits);
    void enter(u32 linear, Kind kind, const WalkResult& walk);
    u32 choose(Set& set);
    void hit(u32 linear, bool user, Kind kind, const Found& found, const Entry& entry);
    void drop_page(u32 linear, Transition transition);
    void flush(bool with_global);
    void touch(Set& set, u32 way) const;
    u8 read_byte(u64 physical) const;
    void write_byte(u64 physical, u8 value);
    u64 read_bytes(u32 linear, u64 physical, u32 size);
    void write_bytes(u32 linear, u64 physical, u32 size, u64 value);
    bool translate_both(u32 linear, u32 size, bool user, Kind kind, Outcome& outcome);

    u32 ram_bytes_, rom_start_, device_start_, device_end_;
    u64 piece_physical_[2] = {};
    u32 piece_size_[2] = {}, piece_linear_[2] = {};
    u32 last_fetched_ = ~0u, last_data_ = ~0u; // pages
};

} // namespace forkscope::reference
