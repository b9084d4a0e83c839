#include "cpu/protection/debug_registers.hpp"

#include <algorithm>

namespace forkscope {

namespace {

// R/Wn of DR7.
enum class Condition : u8 { Execute = 0, Write = 1, Port = 2, ReadWrite = 3 };

struct Breakpoint {
    Condition condition;
    u32 address;
    u32 size;
};

bool enabled(u32 dr7, u8 number) { return (dr7 >> (2 * number) & 3) != 0; } // L or G: both mean the same here

// The low bits of the address that the length covers are ignored. Length 2 is undefined on 32-bit processors: 8 bytes.
Breakpoint breakpoint_of(const std::array<u32, 8>& dr, u8 number) {
    constexpr u8 kSizes[] = {1, 2, 8, 4};
    const u32 fields = dr[7] >> (16 + 4 * number);
    const u32 size = kSizes[fields >> 2 & 3];
    return {static_cast<Condition>(fields & 3), dr[number] & ~(size - 1), size};
}

} // namespace

void Breakpoints::registers_changed(const CpuState& state, Mmu& mmu) {
    std::vector<LinearWatch> watches;
    on_code_ = on_ports_ = 0;
    for (u8 number = 0; number < 4; ++number) {
        if (!enabled(state.dr[7], number))
            continue;
        const Breakpoint at = breakpoint_of(state.dr, number);
        const u8 bit = static_cast<u8>(1u << number);
        switch (at.condition) {
        case Condition::Execute:
            on_code_ |= bit;
            break;
        case Condition::Port: // without CR4.DE of undefined kind: finds nothing
            if ((state.cr4 & kCr4De) != 0)
                on_ports_ |= bit;
            break;
        case Condition::Write:
        case Condition::ReadWrite:
            watches.push_back({at.address, at.size, at.condition == Condition::ReadWrite, number});
            break;
        }
    }
    mmu.set_watches(watches);
    std::copy_n(state.dr.begin(), guest_addresses_.size(), guest_addresses_.begin());
    find_places();
}

void Breakpoints::set_addresses(std::vector<u32> linear) {
    addresses_ = std::move(linear);
    std::sort(addresses_.begin(), addresses_.end());
    find_places();
}

void Breakpoints::find_places() {
    std::vector<u32> places = addresses_;
    for (u8 number = 0; number < 4; ++number)
        if ((on_code_ >> number & 1) != 0)
            places.push_back(guest_addresses_[number]);
    std::sort(places.begin(), places.end());
    if (places == places_)
        return;
    places_ = std::move(places);
    ++generation_;
    pieces_ = 0;
    for (const u32 linear : places_)
        pieces_ |= pieces_of(linear, 1);
}

bool Breakpoints::lies_within(u32 linear, u32 size) const {
    const auto next = std::lower_bound(places_.begin(), places_.end(), linear);
    return next != places_.end() && *next - linear < size;
}

u32 Breakpoints::hits_on_code(const CpuState& state, u32 linear) const {
    u32 hits = 0;
    for (u8 number = 0; number < 4; ++number) {
        if ((on_code_ >> number & 1) != 0 && state.dr[number] == linear)
            hits |= 1u << number;
    }
    return hits;
}

u32 Breakpoints::hits_on_port(const CpuState& state, u16 port, u32 size) const {
    u32 hits = 0;
    for (u8 number = 0; number < 4; ++number) {
        const Breakpoint at = breakpoint_of(state.dr, number);
        const bool overlaps = port - at.address < at.size || at.address - port < size;
        if ((on_ports_ >> number & 1) != 0 && overlaps)
            hits |= 1u << number;
    }
    return hits;
}

bool Breakpoints::reports(u32 linear, u64 instructions) {
    const bool told = reported_at_ == instructions && reported_linear_ == linear;
    if (told || !std::binary_search(addresses_.begin(), addresses_.end(), linear))
        return false;
    reported_at_ = instructions;
    reported_linear_ = linear;
    return true;
}

} // namespace forkscope
