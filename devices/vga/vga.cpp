#include "devices/vga/vga.hpp"

#include <algorithm>

namespace forkscope {

namespace {

constexpr std::array<u8, 16 * 256> kFont = {
#include "devices/vga/font/vga_font.inc"
};

// Mode 3 as the video BIOS programs it: 80x25 characters of 9x16, colour, at B8000h.
constexpr u8 kMode3Miscellaneous = 0x67;
constexpr std::array<u8, 5> kMode3Sequencer = {0x03, 0x00, 0x03, 0x00, 0x02};
constexpr std::array<u8, 25> kMode3Crtc = {0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00,
                                           0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF};
constexpr std::array<u8, 9> kMode3Graphics = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x00, 0xFF};
constexpr std::array<u8, 21> kMode3Attribute = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A,
                                                0x3B, 0x3C, 0x3D, 0x3E, 0x3F, 0x0C, 0x00, 0x0F, 0x08, 0x00};
constexpr std::array<u8, 21> kAttributeMask = {0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F,
                                               0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0xEF, 0xFF, 0x3F, 0x0F, 0x0F};

constexpr u8 kColourPorts = 0x01; // miscellaneous output
constexpr u8 kEnableMemory = 0x02;
constexpr u8 kPaletteOn = 0x20;     // attribute index: the display, not the CPU, has the palette
constexpr u8 kProtectTiming = 0x80; // CRTC 11h

} // namespace

void Vga::attach(Wiring& wiring) {
    wiring_ = &wiring;
    for (const u16 port : {0x3B4, 0x3D4})
        wiring.bus().map_ports(port, 2, *this);
    for (const u16 port : {0x3BA, 0x3DA})
        wiring.bus().map_ports(port, 1, *this);
    wiring.bus().map_ports(0x3C0, 16, *this);
    wiring.bus().map_memory(PhysicalAddress(VgaMemory::kStart), VgaMemory::kSize, memory_);
    reset();
}

void Vga::reset() {
    memory_.clear();
    for (u8 i = 0; i < kMode3Sequencer.size(); ++i)
        memory_.set_sequencer(i, kMode3Sequencer[i]);
    for (u8 i = 0; i < kMode3Graphics.size(); ++i)
        memory_.set_graphics(i, kMode3Graphics[i]);
    memory_.enable(true);
    for (u32 offset = 0; offset < 0x8000; offset += 2) {
        memory_.set_plane(0, static_cast<u16>(offset), ' ');
        memory_.set_plane(1, static_cast<u16>(offset), 0x07);
    }
    for (u32 i = 0; i < kFont.size(); ++i) // a glyph has room for 32 rows
        memory_.set_plane(2, static_cast<u16>(i / 16 * 32 + i % 16), kFont[i]);
    crtc_ = kMode3Crtc;
    attribute_ = kMode3Attribute;
    dac_ = {};
    for (u32 i = 0; i < 64; ++i) { // rgbRGB: a third and two thirds of the full level
        for (u32 component = 0; component < 3; ++component)
            dac_[i * 3 + component] =
                static_cast<u8>((i >> (2 - component) & 1) * 42 + (i >> (5 - component) & 1) * 21);
    }
    dac_latch_ = {};
    crtc_index_ = sequencer_index_ = graphics_index_ = 0;
    attribute_index_ = kPaletteOn;
    attribute_data_next_ = false;
    miscellaneous_ = kMode3Miscellaneous;
    feature_ = 0;
    video_enable_ = 1;
    dac_mask_ = 0xFF;
    dac_index_ = dac_component_ = 0;
    dac_reading_ = false;
}

// The CRT controller and its companions lie at 3Bxh or 3Dxh.
bool Vga::selected(u32 port) const { return (port >= 0x3D0) == ((miscellaneous_ & kColourPorts) != 0); }

u32 Vga::io_read(u32 address, u32) {
    switch (address) {
    case 0x3C0:
        return attribute_index_;
    case 0x3C1: {
        const u8 index = attribute_index_ & 0x1F;
        return index < attribute_.size() ? attribute_[index] : 0u;
    }
    case 0x3C2:
        return 0x10; // input status 0: the switch sense line says a colour monitor is there
    case 0x3C3:
        return video_enable_;
    case 0x3C4:
        return sequencer_index_;
    case 0x3C5:
        return memory_.sequencer(sequencer_index_);
    case 0x3C6:
        return dac_mask_;
    case 0x3C7:
        return dac_reading_ ? 0x03 : 0x00;
    case 0x3C8:
        return dac_index_;
    case 0x3C9:
        return read_dac();
    case 0x3CA:
        return feature_;
    case 0x3CC:
        return miscellaneous_;
    case 0x3CE:
        return graphics_index_;
    case 0x3CF:
        return memory_.graphics(graphics_index_);
    default:
        break;
    }
    if (!selected(address))
        return 0xFF;
    switch (address & 0xF) {
    case 0x4:
        return crtc_index_;
    case 0x5:
        return read_crtc();
    case 0xA:
        return read_status();
    default:
        return 0xFF;
    }
}

void Vga::io_write(u32 address, u32, u32 value) {
    const u8 byte = static_cast<u8>(value);
    switch (address) {
    case 0x3C0:
        return write_attribute(byte);
    case 0x3C2:
        miscellaneous_ = byte & 0xEF;
        return memory_.enable((byte & kEnableMemory) != 0);
    case 0x3C3:
        video_enable_ = byte & 1;
        return;
    case 0x3C4:
        sequencer_index_ = byte & 7;
        return;
    case 0x3C5:
        return memory_.set_sequencer(sequencer_index_, byte);
    case 0x3C6:
        dac_mask_ = byte;
        return;
    case 0x3C7:
        dac_index_ = byte;
        dac_component_ = 0;
        dac_reading_ = true;
        return fetch_colour();
    case 0x3C8:
        dac_index_ = byte;
        dac_component_ = 0;
        dac_reading_ = false;
        return;
    case 0x3C9:
        return write_dac(byte);
    case 0x3CE:
        graphics_index_ = byte & 0xF;
        return;
    case 0x3CF:
        return memory_.set_graphics(graphics_index_, byte);
    default:
        break;
    }
    if (address < 0x3D0 && address >= 0x3C0)
        return; // read only
    if (!selected(address))
        return;
    if ((address & 0xF) == 0x4)
        crtc_index_ = byte & 0x1F;
    else if ((address & 0xF) == 0x5)
        write_crtc(byte);
    else
        feature_ = byte & 3;
}

u8 Vga::read_crtc() const { return crtc_index_ < crtc_.size() ? crtc_[crtc_index_] : u8{0}; }

void Vga::write_crtc(u8 value) {
    if (crtc_index_ >= crtc_.size())
        return;
    if (crtc_index_ < 8 && (crtc_[0x11] & kProtectTiming) != 0) {
        if (crtc_index_ == 7) // but the split line is no timing
            crtc_[7] = static_cast<u8>((crtc_[7] & ~0x10) | (value & 0x10));
        return;
    }
    crtc_[crtc_index_] = value;
}

// One port for index and data in turn; the index holds the bit that lends the palette to the CPU.
void Vga::write_attribute(u8 value) {
    const u8 index = attribute_index_ & 0x1F;
    const bool display_reads = index < 16 && (attribute_index_ & kPaletteOn) != 0;
    if (!attribute_data_next_)
        attribute_index_ = value & 0x3F;
    else if (index < attribute_.size() && !display_reads)
        attribute_[index] = value & kAttributeMask[index];
    attribute_data_next_ = !attribute_data_next_;
}

// The DAC has one address and one latch for a colour. An address written for reading fetches the colour there, and so
// does the third read; each transfer of a colour moves the address on (INMOS IMS G171, the VGA's; Analog Devices
// ADV476). So port 3C8h tells the colour behind the one that can be read.
void Vga::fetch_colour() {
    std::copy_n(dac_.begin() + dac_index_ * 3, 3, dac_latch_.begin());
    ++dac_index_;
}

u8 Vga::read_dac() {
    const u8 value = dac_latch_[dac_component_];
    dac_component_ = (dac_component_ + 1) % 3;
    if (dac_component_ == 0)
        fetch_colour();
    return value;
}

void Vga::write_dac(u8 value) {
    dac_latch_[dac_component_] = value & 0x3F;
    dac_component_ = (dac_component_ + 1) % 3;
    if (dac_component_ != 0)
        return;
    std::copy(dac_latch_.begin(), dac_latch_.end(), dac_.begin() + dac_index_ * 3);
    ++dac_index_;
}

u8 Vga::read_status() {
    attribute_data_next_ = false;
    const Position now = beam();
    // Retrace ends when the low four bits of the line number match.
    const u32 retrace_lines = (crtc_[0x11] - crtc_[0x10]) & 0xFu;
    const bool vertical_retrace = now.line >= retrace_start() && now.line - retrace_start() < retrace_lines;
    const bool displaying = now.line < displayed_lines() && now.character < columns();
    return static_cast<u8>((displaying ? 0 : 0x01) | (vertical_retrace ? 0x08 : 0));
}

void Vga::serialize(Archive& ar) {
    ar.nested("memory", memory_);
    ar.field("crtc", crtc_);
    ar.field("attribute", attribute_);
    ar.field("dac", dac_);
    ar.field("dac_latch", dac_latch_);
    ar.field("crtc_index", crtc_index_);
    ar.field("sequencer_index", sequencer_index_);
    ar.field("graphics_index", graphics_index_);
    ar.field("attribute_index", attribute_index_);
    ar.field("attribute_data_next", attribute_data_next_);
    ar.field("miscellaneous", miscellaneous_);
    ar.field("feature", feature_);
    ar.field("video_enable", video_enable_);
    ar.field("dac_mask", dac_mask_);
    ar.field("dac_index", dac_index_);
    ar.field("dac_component", dac_component_);
    ar.field("dac_reading", dac_reading_);
    if (ar.loading() && dac_component_ > 2) {
        dac_component_ = 0;
        ar.fail("a DAC has three components");
    }
}

} // namespace forkscope
