// Owns: the hostile operating system, which drives the Mmu and the reference array by array and compares them.
// Callers: the duel and mutant tests. Promises: after every access the outcome, the touched TLB sets, the counters and
// every byte written agree; every 4096 accesses the whole TLB; every 32768 all of memory and the written frames.
#pragma once

#include <memory>
#include <string>

#include "emu/base/random.hpp"
#include "mmu/mmu.hpp"
#include "setups.hpp"

namespace forkscope {

class Duel : private AccessListener, private IoHandler {
  public:
    Duel(const DuelSetup& setup, u64 seed);

    // Continues until `accesses` more accesses were made or the two disagree. Empty: they agree.
    std::string run(u64 accesses);
    u64 accesses() const { return accesses_; }
    const u64* seen() const { return reference_.seen; }
    // How often each of the Mmu's own modes was exercised: fast table off, amnesia, snapshot, epoch, bulk,
    // plain bytes, ways found by the tables.
    enum Mode : u32 {
        kFastOff,
        kAmnesia,
        kSnapshot,
        kEpoch,
        kBulkHit,
        kBulkRefused,
        kPlain,
        kFilled,
        kTableStore,
        kModeCount
    };
    const u64* modes() const { return modes_; }
    // Of the hits, how many of each 100 were served by the front.
    u64 front_percent() const;

  private:
    void code_changed(PhysicalAddress address, u32 size) override;
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;

    void step();
    void access(u32 linear, bool user);
    void control_step();
    void edit_step();
    void edit_directory(u32 linear);
    void edit_table(u32 linear);
    void flag_step();
    void mode_step();
    void load(u32 linear, u32 size, bool user);
    void store(u32 linear, u32 size, u64 value, bool user);
    void update(u32 linear, u32 size, u64 value, bool user);
    void probe(u32 linear, u32 size, bool user);
    PhysicalAddress fetch(u32 linear, bool user);
    void bulk(u32 linear, bool user, bool write);
    void plain(u32 linear, u32 size, bool user, bool write);
    u8* fill_way(u32 linear, u32 size, bool user, AccessKind kind, u64 value, bool& stored);
    void repeat(bool user);
    void after(const reference::Outcome& expected, bool ok, u64 value, u32 linear, bool user);
    void serve_fault(u32 linear, u32 code);

    // duel_kernel.cpp
    void rebuild_tables();
    void poke_entry(u32 physical, u64 value);
    bool kernel_store(u32 physical, u64 value);
    bool has(u32 needs) const { return (reference_.processor.has & needs) == needs; }
    bool pae() const { return reference_.pae(); }
    u32 width() const { return pae() ? 8 : 4; }
    u32 slot_shift() const { return pae() ? 21 : 22; }
    u32 space() const; // number of the active address space
    u32 root_of(u32 space) const;
    u32 directory_at(u32 linear) const;
    u32 table_at(u32 linear) const;
    u64 random_frame();
    u64 random_flags();
    u64 random_large_entry();
    u32 table_frame_for(u32 linear) const;
    u32 random_linear();
    u32 pool_page();
    void damage_pointer();
    void switch_mode();
    void maybe_invalidate(u32 linear);
    void set_cr0(u32 value);
    void set_cr3(u32 value, bool task_switch);
    void set_cr4(u32 value);

    void disagree(const std::string& what);
    void compare_set(TlbArray array, u32 set);
    void compare_sets_of(u32 linear);
    void compare_everything();
    void compare_memory();
    void begin_epoch();
    void snapshot();
    template <class T> u64 hash_of(T& object);

    Random random_;
    PhysicalMemory memory_;
    Bus bus_;
    Tracer tracer_;
    Mmu mmu_;
    reference::ReferenceMmu reference_;
    u64 device_writes_ = 0, code_reports_ = 0, watch_reports_ = 0;
    u64 accesses_ = 0;
    u64 modes_[kModeCount] = {};
    u32 hot_[24] = {};
    u32 epoch_ = 1;
    bool fast_ = true;
    std::string mismatch_;
};

} // namespace forkscope
