#include "devices/vga/vga_memory.hpp"

namespace forkscope {

namespace {

constexpr std::array<u8, 5> kSequencerMask = {0x03, 0x3D, 0x0F, 0x3F, 0x0E};
constexpr std::array<u8, 9> kGraphicsMask = {0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF};

enum Sequencer : u8 { kMapMask = 2, kMemoryMode = 4 };
constexpr u8 kSequential = 0x04; // memory mode: not odd/even
constexpr u8 kChain4 = 0x08;

enum Graphics : u8 {
    kSetReset = 0,
    kEnableSetReset = 1,
    kColourCompare = 2,
    kRotate = 3,
    kReadMap = 4,
    kMode = 5,
    kMiscellaneous = 6,
    kColourDontCare = 7,
    kBitMask = 8,
};
constexpr u8 kReadCompare = 0x08; // mode
constexpr u8 kReadOddEven = 0x10;
constexpr u8 kChainOddEven = 0x02; // miscellaneous

constexpr u8 spread(bool bit) { return bit ? 0xFF : 0x00; }

} // namespace

void VgaMemory::clear() {
    planes_.fill(0);
    latches_ = {};
}

void VgaMemory::set_sequencer(u8 index, u8 value) {
    if (index < sequencer_.size())
        sequencer_[index] = value & kSequencerMask[index];
}

void VgaMemory::set_graphics(u8 index, u8 value) {
    if (index < graphics_.size())
        graphics_[index] = value & kGraphicsMask[index];
}

// The memory map that the graphics controller selects; false = the address is not the VGA's now.
bool VgaMemory::decode(u32 address, u32& offset) const {
    struct Window {
        u32 start, size;
    };
    constexpr std::array<Window, 4> kWindows = {{{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}}};
    const Window& window = kWindows[graphics_[kMiscellaneous] >> 2 & 3];
    offset = address - window.start;
    return enabled_ && offset < window.size;
}

u32 VgaMemory::io_read(u32 address, u32) {
    u32 offset = 0;
    if (!decode(address, offset))
        return 0xFF;
    const Cell cell = cell_of(offset);
    latches_ = planes_at(cell.at);
    return value_of(latches_, cell.plane);
}

std::optional<u8> VgaMemory::io_peek(u32 address) const {
    u32 offset = 0;
    if (!decode(address, offset))
        return u8{0xFF};
    const Cell cell = cell_of(offset);
    return value_of(planes_at(cell.at), cell.plane);
}

void VgaMemory::io_write(u32 address, u32, u32 value) {
    u32 offset = 0;
    if (decode(address, offset))
        write_byte(offset, static_cast<u8>(value));
}

VgaMemory::Cell VgaMemory::cell_of(u32 offset) const {
    u32 plane = graphics_[kReadMap];
    if ((sequencer_[kMemoryMode] & kChain4) != 0) {
        plane = offset & 3;
        offset &= ~3u;
    } else if ((graphics_[kMode] & kReadOddEven) != 0) {
        plane = (plane & 2) | (offset & 1);
        if ((graphics_[kMiscellaneous] & kChainOddEven) != 0)
            offset &= ~1u;
    }
    return {plane, static_cast<u16>(offset)};
}

u8 VgaMemory::value_of(const std::array<u8, 4>& planes, u32 plane) const {
    if ((graphics_[kMode] & kReadCompare) == 0)
        return planes[plane];
    u8 differs = 0;
    for (u32 i = 0; i < 4; ++i) {
        if ((graphics_[kColourDontCare] >> i & 1) != 0)
            differs |= planes[i] ^ spread((graphics_[kColourCompare] >> i & 1) != 0);
    }
    return static_cast<u8>(~differs);
}

void VgaMemory::write_byte(u32 offset, u8 value) {
    u8 planes = sequencer_[kMapMask];
    if ((sequencer_[kMemoryMode] & kChain4) != 0) {
        planes &= static_cast<u8>(1u << (offset & 3));
        offset &= ~3u;
    } else if ((sequencer_[kMemoryMode] & kSequential) == 0) {
        planes &= (offset & 1) != 0 ? 0x0A : 0x05;
        if ((graphics_[kMiscellaneous] & kChainOddEven) != 0)
            offset &= ~1u;
    }
    write_planes(static_cast<u16>(offset), planes, value);
}

// The logical function with the latch, then the latch where the bit mask is clear.
u8 VgaMemory::combine(u8 value, u8 latch, u8 bit_mask) const {
    switch (graphics_[kRotate] >> 3) {
    case 1:
        value &= latch;
        break;
    case 2:
        value |= latch;
        break;
    case 3:
        value ^= latch;
        break;
    default:
        break;
    }
    return static_cast<u8>((value & bit_mask) | (latch & ~bit_mask));
}

void VgaMemory::write_planes(u16 at, u8 plane_mask, u8 value) {
    const u8 mode = graphics_[kMode] & 3;
    const u8 rotate = graphics_[kRotate] & 7;
    const u8 rotated = static_cast<u8>(value >> rotate | value << (8 - rotate));
    for (u32 i = 0; i < 4; ++i) {
        if ((plane_mask >> i & 1) == 0)
            continue;
        const u8 set_reset = spread((graphics_[kSetReset] >> i & 1) != 0);
        u8 result = latches_[i]; // mode 1
        if (mode == 0) {
            const bool fixed = (graphics_[kEnableSetReset] >> i & 1) != 0;
            result = combine(fixed ? set_reset : rotated, latches_[i], graphics_[kBitMask]);
        } else if (mode == 2) {
            result = combine(spread((value >> i & 1) != 0), latches_[i], graphics_[kBitMask]);
        } else if (mode == 3) {
            result = combine(set_reset, latches_[i], rotated & graphics_[kBitMask]);
        }
        set_plane(i, at, result);
    }
}

void VgaMemory::serialize(Archive& ar) {
    ar.field("planes", planes_);
    ar.field("sequencer", sequencer_);
    ar.field("graphics", graphics_);
    ar.field("latches", latches_);
    ar.field("enabled", enabled_);
    if (!ar.loading())
        return;
    for (u8 i = 0; i < sequencer_.size(); ++i)
        set_sequencer(i, sequencer_[i]);
    for (u8 i = 0; i < graphics_.size(); ++i)
        set_graphics(i, graphics_[i]);
}

} // namespace forkscope
