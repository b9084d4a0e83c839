#include "devices/dma/dma.hpp"

namespace forkscope {

namespace {

constexpr u16 kByteChannels = 0x00; // controller 0: channels 0..3, bytes
constexpr u16 kPages = 0x80;
constexpr u16 kWordChannels = 0xC0; // controller 1: channels 4..7, words; its registers lie two ports apart

} // namespace

// The flip-flop is shared by all channels.
u8 DmaController::read_word(u16 word) {
    const bool high = high_byte_next_;
    high_byte_next_ = !high;
    return static_cast<u8>(high ? word >> 8 : word);
}

void DmaController::write_word(u16& base, u16& current, u8 value) {
    const bool high = high_byte_next_;
    high_byte_next_ = !high;
    base = static_cast<u16>(high ? (base & 0x00FF) | value << 8 : (base & 0xFF00) | value);
    current = base;
}

u8 DmaController::read(u32 reg) {
    if (reg < 8)
        return read_word((reg & 1) == 0 ? address_[reg / 2] : count_[reg / 2]);
    switch (reg) {
    case 0x8: // status: requests pending; no channel ever reaches its terminal count
        return static_cast<u8>(requests_ << 4);
    case 0xF: // all masks, as the chip sets of the AT have it
        return masks_ | 0xF0;
    case 0xD: // temporary register, only used by memory to memory transfers
        return 0;
    default:
        return 0xFF; // write only
    }
}

void DmaController::write(u32 reg, u8 value) {
    const u32 channel = value & 3;
    const u8 bit = static_cast<u8>(1u << channel);
    if (reg < 8 && (reg & 1) == 0)
        return write_word(base_address_[reg / 2], address_[reg / 2], value);
    if (reg < 8)
        return write_word(base_count_[reg / 2], count_[reg / 2], value);
    switch (reg) {
    case 0x8:
        command_ = value;
        break;
    case 0x9:
        requests_ = static_cast<u8>((value & 4) != 0 ? requests_ | bit : requests_ & ~bit);
        break;
    case 0xA:
        masks_ = static_cast<u8>((value & 4) != 0 ? masks_ | bit : masks_ & ~bit);
        break;
    case 0xB:
        mode_[channel] = value & 0xFC;
        break;
    case 0xC:
        high_byte_next_ = false;
        break;
    case 0xD: // master clear
        command_ = 0;
        requests_ = 0;
        masks_ = 0x0F;
        high_byte_next_ = false;
        break;
    case 0xE:
        masks_ = 0;
        break;
    default:
        masks_ = value & 0x0F;
        break;
    }
}

void DmaController::serialize(Archive& ar) {
    ar.field("base_address", base_address_);
    ar.field("base_count", base_count_);
    ar.field("address", address_);
    ar.field("count", count_);
    ar.field("mode", mode_);
    ar.field("command", command_);
    ar.field("requests", requests_);
    ar.field("masks", masks_);
    ar.field("high_byte_next", high_byte_next_);
}

void Dma::attach(Wiring& wiring) {
    wiring.bus().map_ports(kByteChannels, 16, *this);
    wiring.bus().map_ports(kPages, 16, *this);
    wiring.bus().map_ports(kWordChannels, 32, *this);
    reset();
}

void Dma::reset() {
    for (DmaController& controller : controllers_)
        controller.reset();
    pages_ = {};
}

u32 Dma::io_read(u32 address, u32) {
    if (address < kPages)
        return controllers_[0].read(address);
    if (address < kWordChannels)
        return pages_[address - kPages];
    return controllers_[1].read((address - kWordChannels) / 2);
}

void Dma::io_write(u32 address, u32, u32 value) {
    const u8 byte = static_cast<u8>(value);
    if (address < kPages)
        controllers_[0].write(address, byte);
    else if (address < kWordChannels)
        pages_[address - kPages] = byte;
    else
        controllers_[1].write((address - kWordChannels) / 2, byte);
}

void Dma::serialize(Archive& ar) {
    ar.field("controllers", controllers_);
    ar.field("pages", pages_);
}

} // namespace forkscope
