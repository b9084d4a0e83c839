// Owns: the paging bits of the control registers, the PDPTE registers and the A20 gate; looks through page tables.
// Callers: the paging unit changes it as the guest asks; observers keep their own and update it from events.
// Promises: reads memory and never writes it; looking changes nothing, not even by type.
#pragma once

#include <cstring>

#include "emu/base/archive.hpp"
#include "mmu/page_walk.hpp"
#include "mmu/paging.hpp"
#include "mmu/physical_memory.hpp"

namespace forkscope {

class PagingState {
  public:
    explicit PagingState(const PhysicalMemory& memory, const PagingControl& control = {})
        : memory_(&memory), control_(control) {}

    const PhysicalMemory& memory() const { return *memory_; }
    const PagingControl& control() const { return control_; }
    bool a20() const { return a20_; }

    // Writes of the registers. They load the PDPTE registers if the manual says so (SDM 3A 4.4.1) and PAE paging is in
    // use afterwards. Those of CR0 and CR4 return the bits that changed.
    u32 set_cr0(u32 value);
    u32 set_cr4(u32 value);
    void set_cr3(u32 value);
    void set_efer(u32 value) { control_.efer = value; } // NX counts as it did when a translation was loaded
    void load_pdptes();
    // Bits of CR4 whose change makes translations mean something else: SDM 3A 4.10.4.1, 11.9.
    static constexpr u32 kTranslationCr4Bits = kCr4Pge | kCr4Pae | kCr4Pse;
    // May the PDPTE registers be loaded as the write would? If not, it is a #GP(0).
    bool accepts_cr0(u32 value) const;
    bool accepts_cr3(u32 value) const;
    bool accepts_cr4(u32 value) const;
    void set_features(const PagingFeatures& features) { control_.features = features; }
    void set_a20(bool enabled) { a20_ = enabled; }
    // RESET: paging off. The A20 gate belongs to the keyboard controller and stays.
    void reset();

    // The address as it appears on the bus: the firmware's alias below 4 GiB is decoded (the last 128 KiB repeat ROM
    // below 1 MiB), then A20 gates bit 20.
    PhysicalAddress on_bus(u64 physical) const {
        constexpr u64 kA20 = 1u << 20;
        if (physical >= kRomAlias) [[unlikely]]
            physical = behind_rom_alias(physical);
        return PhysicalAddress(a20_ ? physical : physical & ~kA20);
    }
    // Entries outside memory read as an open bus, all ones: a device is never asked by a page walk.
    template <class Entry> void read_entry(PhysicalAddress at, Entry& entry) const {
        entry = static_cast<Entry>(~u64{0});
        if (memory_->is_memory(at))
            std::memcpy(&entry, memory_->host(at), sizeof entry);
    }
    // The PDPTE registers as CR3 would load them.
    std::array<u64, 4> read_pdptes(AddressSpace space) const;

    // Looks through the tables in force, or the identity while paging is off.
    Walk look(LinearAddress address, Privilege privilege, AccessKind kind) const;
    // Through those of any space, whether paging is on or off. The PDPTE registers replace memory where it is the
    // space in force.
    Walk look_in(AddressSpace space, LinearAddress address, Privilege privilege, AccessKind kind) const;
    // The same with a given policy: see walk_page_tables.
    template <class Policy>
    Walk walk_in(Policy& policy, AddressSpace space, LinearAddress address, Privilege privilege, AccessKind kind) const;

    void serialize(Archive& ar);

  private:
    static constexpr u64 kRomAlias = 0xFFFE0000;

    u64 behind_rom_alias(u64 physical) const;
    bool pdptes_valid(AddressSpace space) const;
    PagingControl control_in(AddressSpace space) const;

    const PhysicalMemory* memory_; // never null
    PagingControl control_;
    bool a20_ = true;
};

template <class Policy>
Walk PagingState::walk_in(Policy& policy, AddressSpace space, LinearAddress address, Privilege privilege,
                          AccessKind kind) const {
    Walk walk = walk_page_tables(policy, control_in(space), static_cast<u32>(address.value), privilege, kind);
    walk.physical = walk.ok ? on_bus(walk.physical.value) : PhysicalAddress();
    return walk;
}

} // namespace forkscope
