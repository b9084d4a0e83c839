#include "mmu/paging_state.hpp"

#include "mmu/mutant.hpp"

namespace forkscope {

namespace {

constexpr u32 kLoadingCr0Bits = kCr0Pg | kCr0Cd | kCr0Nw;

// The walk of an observer.
struct LookPolicy {
    const PagingState& state;

    PhysicalAddress locate(u64 table, u32 offset, u32) const { return state.on_bus(table) + offset; }
    template <class Entry> void read(PhysicalAddress at, Entry& entry) const { state.read_entry(at, entry); }
    void set_bits(PhysicalAddress, u64, u64, u32) const {}
};

} // namespace

u32 PagingState::set_cr0(u32 value) {
    const u32 changed = control_.cr0 ^ value;
    control_.cr0 = value;
    if ((changed & kLoadingCr0Bits) != 0)
        load_pdptes();
    return changed;
}

u32 PagingState::set_cr4(u32 value) {
    const u32 changed = control_.cr4 ^ value;
    control_.cr4 = value;
    if ((changed & kTranslationCr4Bits) != 0 && !MMU_MUTANT(PdptesKeptOnCr4))
        load_pdptes();
    return changed;
}

void PagingState::set_cr3(u32 value) {
    control_.cr3 = value;
    load_pdptes();
}

std::array<u64, 4> PagingState::read_pdptes(AddressSpace space) const {
    std::array<u64, 4> entries;
    for (u32 i = 0; i < entries.size(); ++i)
        read_entry(on_bus(space.root) + i * sizeof(u64), entries[i]);
    return entries;
}

void PagingState::load_pdptes() {
    if (control_.paging() && control_.pae())
        control_.pdpte = read_pdptes(control_.space_of(control_.cr3));
}

bool PagingState::pdptes_valid(AddressSpace space) const {
    for (const u64 entry : read_pdptes(space))
        if ((entry & kPtePresent) != 0 && (entry & PaePaging::pdpte_reserved_bits(control_)) != 0)
            return false;
    return true;
}

bool PagingState::accepts_cr0(u32 value) const {
    const bool loads = ((control_.cr0 ^ value) & kLoadingCr0Bits) != 0 && (value & kCr0Pg) != 0 && control_.pae();
    return !loads || pdptes_valid(control_.space_of(control_.cr3));
}

bool PagingState::accepts_cr3(u32 value) const {
    return !control_.paging() || !control_.pae() || pdptes_valid(control_.space_of(value));
}

bool PagingState::accepts_cr4(u32 value) const {
    const bool loads =
        ((control_.cr4 ^ value) & kTranslationCr4Bits) != 0 && control_.paging() && (value & kCr4Pae) != 0;
    return !loads || pdptes_valid(AddressSpace(control_.cr3 & kGeometryPae.space_mask));
}

void PagingState::reset() {
    const PagingFeatures features = control_.features;
    control_ = {};
    control_.features = features;
}

u64 PagingState::behind_rom_alias(u64 physical) const {
    constexpr u64 kFourGigabytes = u64{1} << 32;
    const PhysicalAddress low(physical & 0xFFFFF);
    const bool aliased = physical < kFourGigabytes && (memory_->flags(low.page()) & kFrameReadOnly) != 0;
    return aliased ? low.value : physical;
}

Walk PagingState::look(LinearAddress address, Privilege privilege, AccessKind kind) const {
    if (control_.paging())
        return look_in(control_.space_of(control_.cr3), address, privilege, kind);
    Walk identity;
    identity.ok = true;
    identity.physical = on_bus(static_cast<u32>(address.value));
    identity.rights = kPteWritable | kPteUser;
    identity.dirty = true;
    return identity;
}

PagingControl PagingState::control_in(AddressSpace space) const {
    PagingControl control = control_;
    if (control.space_of(control.cr3) == space)
        return control;
    control.cr3 = space.root;
    if (control.pae())
        control.pdpte = read_pdptes(space);
    return control;
}

Walk PagingState::look_in(AddressSpace space, LinearAddress address, Privilege privilege, AccessKind kind) const {
    const LookPolicy policy{*this};
    return walk_in(policy, space, address, privilege, kind);
}

void PagingState::serialize(Archive& ar) {
    ar.field("cr0", control_.cr0);
    ar.field("cr3", control_.cr3);
    ar.field("cr4", control_.cr4);
    ar.field("efer", control_.efer);
    ar.field("pdpte", control_.pdpte);
    ar.field("a20", a20_);
}

} // namespace forkscope
