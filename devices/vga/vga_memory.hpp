// Owns: VgaMemory, the four planes of a VGA's display memory and the two register files that say how the CPU reaches
// them: sequencer and graphics controller (IBM PS/2 hardware interface reference, video subsystem).
// Callers: the Bus at A0000h..BFFFFh, Vga for registers and display. Promises: all write and read modes, latches,
// odd/even and chain-4 addressing, as the hardware does them.
#pragma once

#include <array>

#include "emu/base/archive.hpp"
#include "mmu/bus.hpp"

namespace forkscope {

class VgaMemory : public IoHandler {
  public:
    static constexpr u32 kPlaneBytes = 0x10000;
    static constexpr u64 kStart = 0xA0000;
    static constexpr u64 kSize = 0x20000;

    void clear();
    u8 sequencer(u8 index) const { return index < sequencer_.size() ? sequencer_[index] : u8{0}; }
    u8 graphics(u8 index) const { return index < graphics_.size() ? graphics_[index] : u8{0}; }
    void set_sequencer(u8 index, u8 value);
    void set_graphics(u8 index, u8 value);
    // Miscellaneous output bit 1: the CPU sees the memory at all.
    void enable(bool on) { enabled_ = on; }

    u8 plane(u32 number, u16 offset) const { return planes_[number * kPlaneBytes + offset]; }
    void set_plane(u32 number, u16 offset, u8 value) { planes_[number * kPlaneBytes + offset] = value; }

    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    std::optional<u8> io_peek(u32 address) const override; // the latches stay
    void serialize(Archive& ar);

  private:
    bool decode(u32 address, u32& offset) const;
    struct Cell {
        u32 plane = 0; // that a read selects
        u16 at = 0;
    };
    Cell cell_of(u32 offset) const;
    u8 value_of(const std::array<u8, 4>& planes, u32 plane) const;
    std::array<u8, 4> planes_at(u16 at) const { return {plane(0, at), plane(1, at), plane(2, at), plane(3, at)}; }
    void write_byte(u32 offset, u8 value);
    void write_planes(u16 at, u8 plane_mask, u8 value);
    u8 combine(u8 value, u8 latch, u8 bit_mask) const;

    std::array<u8, 4 * kPlaneBytes> planes_{};
    std::array<u8, 5> sequencer_{};
    std::array<u8, 9> graphics_{};
    std::array<u8, 4> latches_{};
    bool enabled_ = true;
};

} // namespace forkscope
