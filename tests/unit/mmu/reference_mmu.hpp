// Owns: the reference against which the Mmu is compared: paging and the Pentium's TLB as plain loops.
// Callers: the duel. Promises: written from the manual and the published TLB geometry alone; shares with the Mmu only
// the names of bits; no speed, no fast path, no shared state, its own copy of memory.
#pragma once

#include <array>
#include <vector>

#include "emu/base/types.hpp"
#include "mmu/paging.hpp"

namespace forkscope::reference {

// What the generator made happen, counted here where it is known without looking at the Mmu.
enum Transition : u32 {
    kHitMostRecent,
    kHitOtherWay,
    kHitLarge,
    kHitGlobal,
    kHitSmallInsideLarge,
    kMissData,
    kMissFetch,
    kFillInvalidWay,
    kEvictData,
    kEvictLarge,
    kEvictFetch,
    kDirtyWalk,
    kDirtyWalkFaults,
    kUpgradeFound,
    kPermissionFault,
    kNotPresentDirectory,
    kNotPresentTable,
    kReservedFault,
    kSupervisorWritesReadOnly,
    kWriteProtectFault,
    kUserDeniedSupervisorPage,
    kBecameLarge,
    kBecameSmall,
    kSplitAccess,
    kSplitHighFaults,
    kFaultDropsEntry,
    kInvlpgDrops,
    kInvlpgDropsSeveralPieces,
    kCr3KeepsGlobal,
    kFullFlushDropsGlobal,
    kStaleHit,
    kAccessedSet,
    kDirtySet,
    kDeviceAccess,
    kRomStore,
    kCodeStore,
    kWatchedAccess,
    kUnpagedAccess,
    kTableEditedByGuest,
    kTransitionCount
};
extern const char* const kTransitionNames[kTransitionCount];

struct Entry {
    bool valid = false;
    u32 page = 0;  // linear >> 12, or >> 22 in the 4 MB array
    u32 frame = 0; // physical >> 12
    bool writable = false, user = false, global = false, dirty = false, large = false;
};

struct Set {
    std::array<Entry, 4> way;
    bool b0 = false, b1 = false, b2 = false; // the i486 manual's names
};

struct Outcome {
    bool ok = false;
    u32 fault_address = 0;
    u32 fault_code = 0;
    u64 value = 0;
    u32 physical = 0; // of the first byte
};

class ReferenceMmu {
  public:
    ReferenceMmu(u32 ram_bytes, u32 rom_start, u32 device_start, u32 device_end);

    Outcome load(u32 linear, u32 size, bool user);
    Outcome store(u32 linear, u32 size, u64 value, bool user);
    Outcome update_begin(u32 linear, u32 size, bool user);
    void update_end(u64 value);
    Outcome probe(u32 linear, u32 size, bool user);
    Outcome fetch(u32 linear, bool user);
    // What the entry at hand would do, without doing it: does an access hit with the right and, for writes, D set?
    bool plain_hit(u32 linear, bool user, bool write) const;

    void set_cr0(u32 value);
    void set_cr3(u32 value, bool task_switch);
    void set_cr4(u32 value);
    void invlpg(u32 linear) { drop_page(linear, kInvlpgDrops); }
    void page_fault_delivered(u32 linear) { drop_page(linear, kFaultDropsEntry); }

    u32 peek32(u32 physical) const;
    void poke32(u32 physical, u32 value);
    u32 bus_address(u32 physical) const;
    bool is_ram(u32 physical) const;
    bool is_memory(u32 physical) const { return is_ram(physical) || is_rom(physical); }

    std::vector<u8> memory;
    std::array<Set, 16> data;
    std::array<Set, 2> large;
    std::array<Set, 8> code;
    u32 cr0 = 0, cr3 = 0, cr4 = 0;
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
        u32 frame = 0; // of the 4 KB piece
        bool writable = false, user = false, global = false, dirty = false, large = false;
    };
    enum class Kind { Read, Write, Fetch };

    bool is_rom(u32 physical) const { return physical >= rom_start_ && physical < 0x100000; }
    struct Found {
        Set* set = nullptr; // null: a miss
        u32 way = 0;
        bool large = false;
    };
    Found find(u32 linear, Kind kind);
    bool translate(u32 linear, bool user, Kind kind, Outcome& outcome, u32& physical);
    WalkResult walk(u32 linear, bool user, Kind kind, bool look);
    void set_entry_bits(u32 physical, u32 old_value, u32 bits);
    void enter(u32 linear, Kind kind, const WalkResult& walk);
    void drop_page(u32 linear, Transition transition);
    void flush(bool with_global);
    static void touch(Set& set, u32 way);
    static u32 victim(const Set& set);
    u8 read_byte(u32 physical) const;
    void write_byte(u32 physical, u8 value);
    u64 read_bytes(u32 linear, u32 physical, u32 size);
    void write_bytes(u32 linear, u32 physical, u32 size, u64 value);
    bool translate_both(u32 linear, u32 size, bool user, Kind kind, Outcome& outcome);

    u32 ram_bytes_, rom_start_, device_start_, device_end_;
    u32 piece_physical_[2] = {}, piece_size_[2] = {}, piece_linear_[2] = {};
};

} // namespace forkscope::reference
