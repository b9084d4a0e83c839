// What people see of the VGA: the beam's position, the text screen, the picture. Reads only.
#include <algorithm>

#include "devices/vga/vga.hpp"

namespace forkscope {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr u32 kBlack = 0xFF000000;
constexpr u8 kLineGraphics = 0x04; // attribute mode control
constexpr u8 kBlinkEnabled = 0x08;

bool bit(u8 value, u32 number) { return (value >> number & 1) != 0; }

} // namespace

// CRTC 7 holds the high bits of the vertical values, CRTC 9 one more of the split line.
u32 Vga::total_lines() const { return (crtc_[6] | bit(crtc_[7], 0) << 8 | bit(crtc_[7], 5) << 9) + 2u; }
u32 Vga::displayed_lines() const { return (crtc_[0x12] | bit(crtc_[7], 1) << 8 | bit(crtc_[7], 6) << 9) + 1u; }
u32 Vga::retrace_start() const { return static_cast<u32>(crtc_[0x10] | bit(crtc_[7], 2) << 8 | bit(crtc_[7], 7) << 9); }
u32 Vga::line_compare() const { return static_cast<u32>(crtc_[0x18] | bit(crtc_[7], 4) << 8 | bit(crtc_[9], 6) << 9); }

u16 Vga::start_address() const {
    const u32 byte_pan = crtc_[8] >> 5 & 3;
    return static_cast<u16>((crtc_[0x0C] << 8 | crtc_[0x0D]) + byte_pan);
}

u16 Vga::cursor_address() const { return static_cast<u16>(crtc_[0x0E] << 8 | crtc_[0x0F]); }

bool Vga::cursor_enabled() const { return !bit(crtc_[0x0A], 5) && (crtc_[0x0A] & 31) <= (crtc_[0x0B] & 31); }

bool Vga::in_text_mode() const { return !bit(memory_.graphics(6), 0); }

bool Vga::screen_on() const {
    return bit(attribute_index_, 5) && !bit(memory_.sequencer(1), 5) && bit(crtc_[0x17], 7) && video_enable_ != 0;
}

// Byte, word or doubleword addressing: how the address counter's bits reach the planes.
u16 Vga::memory_address(u16 counter) const {
    if (bit(crtc_[0x14], 6))
        return static_cast<u16>(counter << 2 | (counter >> 14 & 3));
    if (bit(crtc_[0x17], 6))
        return counter;
    return static_cast<u16>(counter << 1 | (counter >> (bit(crtc_[0x17], 5) ? 15 : 13) & 1));
}

u16 Vga::cell_at(u16 counter) const {
    const u16 at = memory_address(counter);
    return static_cast<u16>(memory_.plane(0, at) | memory_.plane(1, at) << 8);
}

// Where the electron beam is, from simulated time and the programmed timing alone.
Vga::Position Vga::beam() const {
    constexpr std::array<u64, 4> kDotClocks = {25175000, 28322000, 25175000, 28322000};
    const u64 divide = bit(memory_.sequencer(1), 3) ? 2 : 1;
    const u64 dots_per_line = (crtc_[0] + 5u) * u64{dots_per_character()} * divide;
    const Wide dots = static_cast<Wide>(wiring_->now()) * kDotClocks[miscellaneous_ >> 2 & 3];
    const u64 dot = static_cast<u64>(dots / wiring_->cycles_per_second());
    const u64 line = dot / dots_per_line;
    return {line / total_lines(), static_cast<u32>(line % total_lines()),
            static_cast<u32>(dot % dots_per_line / (dots_per_character() * divide))};
}

// One of the 16 text colours: palette register, colour select, pixel mask, DAC.
u32 Vga::colour(u8 pixel) const {
    const u8 palette = attribute_[pixel & attribute_[0x12] & 0xF];
    const u8 select = attribute_[0x14];
    u32 index = bit(attribute_[0x10], 7) ? (palette & 0xFu) | (select & 3u) << 4 : palette;
    index = (index | (select & 0xCu) << 4) & dac_mask_;
    const auto level = [this, index](u32 component) {
        const u32 value = dac_[index * 3 + component];
        return value << 2 | value >> 4;
    };
    return kBlack | level(2) << 16 | level(1) << 8 | level(0);
}

std::vector<Vga::ScanLine> Vga::scan_lines() const {
    const u8 last_line = crtc_[9] & 31;
    const u32 repeat = bit(crtc_[9], 7) ? 2 : 1;
    const u16 pitch = static_cast<u16>(crtc_[0x13] * 2);
    std::vector<ScanLine> lines(displayed_lines());
    ScanLine next{start_address(), std::min<u8>(crtc_[8] & 31, last_line), true};
    for (u32 y = 0; y < lines.size(); ++y) {
        lines[y] = next;
        next.starts_row = false;
        if (y == line_compare()) { // below the split line the display starts again at address 0
            next = {0, 0, true};
        } else if ((y + 1) % repeat == 0) {
            next.starts_row = next.line == last_line;
            next.address = static_cast<u16>(next.address + (next.starts_row ? pitch : 0));
            next.line = next.starts_row ? u8{0} : static_cast<u8>(next.line + 1);
        }
    }
    return lines;
}

TextScreen Vga::text_screen() const {
    TextScreen screen;
    for (u8 i = 0; i < 16; ++i)
        screen.palette[i] = colour(i);
    if (!in_text_mode())
        return screen;
    screen.columns = static_cast<int>(columns());
    for (const ScanLine& line : scan_lines()) {
        if (!line.starts_row)
            continue;
        for (u32 x = 0; x < columns(); ++x)
            screen.cells.push_back(cell_at(static_cast<u16>(line.address + x)));
        const u16 distance = static_cast<u16>(cursor_address() - line.address);
        if (distance < columns() && cursor_enabled()) {
            screen.cursor_x = distance;
            screen.cursor_y = screen.rows;
            screen.cursor_visible = true;
        }
        ++screen.rows;
    }
    return screen;
}

Picture Vga::render(Blinking blinking) const {
    Picture picture;
    picture.width = static_cast<int>(columns() * dots_per_character());
    picture.height = static_cast<int>(displayed_lines());
    picture.pixels.assign(static_cast<std::size_t>(picture.width) * displayed_lines(), kBlack);
    if (!in_text_mode() || !screen_on())
        return picture;
    u32* pixels = picture.pixels.data();
    for (const ScanLine& line : scan_lines()) {
        draw_line(line, blinking, pixels);
        pixels += picture.width;
    }
    return picture;
}

void Vga::draw_line(const ScanLine& source, Blinking blinking, u32* pixels) const {
    // The eight font maps, by the bits of the character map select register.
    constexpr std::array<u16, 8> kMaps = {0x0000, 0x4000, 0x8000, 0xC000, 0x2000, 0x6000, 0xA000, 0xE000};
    const u8 select = memory_.sequencer(3);
    const u16 map_a = kMaps[(select >> 2 & 3) | (select >> 3 & 4)];
    const u16 map_b = kMaps[(select & 3) | (select >> 2 & 4)];
    const u8 mode = attribute_[0x10];
    const u64 frame = blinking == Blinking::Steady ? 0 : beam().frame;
    const bool text_hidden = (frame >> 4 & 1) != 0; // characters blink at half the cursor's rate
    const bool cursor_hidden = (frame >> 3 & 1) != 0;
    const bool cursor_line =
        cursor_enabled() && !cursor_hidden && source.line >= (crtc_[0x0A] & 31) && source.line <= (crtc_[0x0B] & 31);
    const u32 width = dots_per_character();
    std::array<u32, 16> colours{};
    for (u8 i = 0; i < 16; ++i)
        colours[i] = colour(i);

    for (u32 x = 0; x < columns(); ++x) {
        const u16 counter = static_cast<u16>(source.address + x);
        const u16 cell = cell_at(counter);
        const u8 character = static_cast<u8>(cell);
        const u8 attribute = static_cast<u8>(cell >> 8);
        const u16 map = bit(attribute, 3) ? map_a : map_b;
        u32 dots = memory_.plane(2, static_cast<u16>(map + character * 32 + source.line)) << 1;
        if ((mode & kLineGraphics) != 0 && character >= 0xC0 && character <= 0xDF)
            dots |= dots >> 1 & 1; // the ninth column joins line drawings
        u8 background = attribute >> 4;
        if ((mode & kBlinkEnabled) != 0) {
            background &= 7;
            if (bit(attribute, 7) && text_hidden)
                dots = 0;
        }
        const bool underlined = (attribute & 0x77) == 0x01 && source.line == (crtc_[0x14] & 31);
        if (underlined || (cursor_line && counter == cursor_address()))
            dots = 0x1FF;
        for (u32 i = 0; i < width; ++i)
            *pixels++ = colours[(dots >> (8 - i) & 1) != 0 ? attribute & 0xF : background];
    }
}

} // namespace forkscope
