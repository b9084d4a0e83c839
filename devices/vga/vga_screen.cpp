// What people see of the VGA: the beam's position, the text screen, the picture. Reads only.
#include <algorithm>

#include "devices/vga/vga.hpp"

namespace forkscope {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr u32 kBlack = 0xFF000000;
constexpr u8 kLineGraphics = 0x04; // attribute mode control
constexpr u8 kBlinkEnabled = 0x08;
constexpr u8 kSplitStands = 0x20; // "PEL panning compatibility": what lies below the split is not panned
constexpr u8 kBorder = 0x11;      // attribute registers
constexpr u8 kPan = 0x13;

bool bit(u8 value, u32 number) { return (value >> number & 1) != 0; }

} // namespace

// CRTC 7 holds the high bits of the vertical values, CRTC 9 one more of the split line.
u32 Vga::total_lines() const { return (crtc_[6] | bit(crtc_[7], 0) << 8 | bit(crtc_[7], 5) << 9) + 2u; }
u32 Vga::displayed_lines() const { return (crtc_[0x12] | bit(crtc_[7], 1) << 8 | bit(crtc_[7], 6) << 9) + 1u; }
u32 Vga::retrace_start() const { return static_cast<u32>(crtc_[0x10] | bit(crtc_[7], 2) << 8 | bit(crtc_[7], 7) << 9); }
u32 Vga::line_compare() const { return static_cast<u32>(crtc_[0x18] | bit(crtc_[7], 4) << 8 | bit(crtc_[9], 6) << 9); }

u16 Vga::start_address() const { return static_cast<u16>(crtc_[0x0C] << 8 | crtc_[0x0D]); }

// Dots by which the picture moves to the left. A character of nine dots begins with the code 8, then 0 to 7.
u32 Vga::pan() const {
    const u32 code = attribute_[kPan];
    if (dots_per_character() == 9)
        return code >= 8 ? 0 : code + 1;
    return code & 7;
}

u16 Vga::cursor_address() const { return static_cast<u16>(crtc_[0x0E] << 8 | crtc_[0x0F]); }

// The cursor's column on a line, or `columns()` if it is not on it: the skew delays it by characters.
u32 Vga::cursor_column(const ScanLine& line) const {
    const u16 distance = static_cast<u16>(cursor_address() - line.address);
    return std::min(columns(), distance + (crtc_[0x0B] >> 5 & 3u));
}

bool Vga::cursor_enabled() const { return !bit(crtc_[0x0A], 5) && (crtc_[0x0A] & 31) <= (crtc_[0x0B] & 31); }

bool Vga::in_text_mode() const { return !bit(memory_.graphics(6), 0); }

bool Vga::screen_on() const { return !bit(memory_.sequencer(1), 5) && bit(crtc_[0x17], 7) && video_enable_ != 0; }

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

// What the DAC makes of an index.
u32 Vga::light(u32 index) const {
    const auto level = [this, index](u32 component) {
        const u32 value = dac_[(index & dac_mask_) * 3 + component];
        return value << 2 | value >> 4;
    };
    return kBlack | level(2) << 16 | level(1) << 8 | level(0);
}

// One of the 16 text colours: palette register, colour select, DAC.
u32 Vga::colour(u8 pixel) const {
    const u8 palette = attribute_[pixel & attribute_[0x12] & 0xF];
    const u8 select = attribute_[0x14];
    const u32 index = bit(attribute_[0x10], 7) ? (palette & 0xFu) | (select & 3u) << 4 : palette;
    return light(index | (select & 0xCu) << 4);
}

// What the monitor shows around the text, from the end of blanking to its start: none while that would be black.
Vga::Frame Vga::border() const {
    Frame frame;
    frame.colour = light(attribute_[kBorder]);
    if (frame.colour == kBlack)
        return frame;
    // Blanking begins and ends behind the character or line of which the registers hold the number; of its end they
    // hold the low six or eight bits.
    const u32 first = crtc_[2];
    const u32 last = first + ((((crtc_[3] & 31u) | (crtc_[5] & 0x80u) >> 2) - first) & 63u);
    const u32 first_line = crtc_[0x15] | bit(crtc_[7], 3) << 8 | bit(crtc_[9], 5) << 9;
    const u32 last_line = first_line + ((crtc_[0x16] - first_line) & 0xFFu);
    const auto between = [](u32 from, u32 to) { return to > from ? std::min(to - from, 64u) : 0u; };
    frame.left = between(last + 1, crtc_[0] + 5u) * dots_per_character();
    frame.right = between(columns(), first + 1) * dots_per_character();
    frame.top = between(last_line + 1, total_lines());
    frame.bottom = between(displayed_lines(), first_line + 1);
    return frame;
}

std::vector<Vga::ScanLine> Vga::scan_lines() const {
    const u8 last_line = crtc_[9] & 31;
    const u32 repeat = bit(crtc_[9], 7) ? 2 : 1;
    const u16 pitch = static_cast<u16>(crtc_[0x13] * 2);
    const u16 byte_pan = crtc_[8] >> 5 & 3;
    const bool split_stands = (attribute_[0x10] & kSplitStands) != 0;
    std::vector<ScanLine> lines(displayed_lines());
    ScanLine next{static_cast<u16>(start_address() + byte_pan), std::min<u8>(crtc_[8] & 31, last_line), true, pan()};
    for (u32 y = 0; y < lines.size(); ++y) {
        lines[y] = next;
        next.starts_row = false;
        if (y == line_compare()) { // below the split line the display starts again at address 0
            next = split_stands ? ScanLine{0, 0, true, 0} : ScanLine{byte_pan, 0, true, pan()};
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
        if (const u32 column = cursor_column(line); column < columns() && cursor_enabled()) {
            screen.cursor_x = static_cast<int>(column);
            screen.cursor_y = screen.rows;
            screen.cursor_visible = true;
        }
        ++screen.rows;
    }
    return screen;
}

Picture Vga::render(Blinking blinking) const {
    const Frame frame = border();
    const u32 width = columns() * dots_per_character() + frame.left + frame.right;
    Picture picture;
    picture.width = static_cast<int>(width);
    picture.height = static_cast<int>(displayed_lines() + frame.top + frame.bottom);
    const u32 empty = screen_on() ? frame.colour : kBlack;
    picture.pixels.assign(static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height), empty);
    // While the CPU has the palette, the display shows the border's colour alone.
    if (!in_text_mode() || !screen_on() || !bit(attribute_index_, 5))
        return picture;
    const Drawing drawing = prepare(blinking);
    u32* pixels = picture.pixels.data() + frame.top * std::size_t{width} + frame.left;
    for (const ScanLine& line : scan_lines()) {
        draw_line(line, drawing, pixels);
        pixels += width;
    }
    return picture;
}

// What all lines of a picture have in common.
Vga::Drawing Vga::prepare(Blinking blinking) const {
    // The eight font maps, by the bits of the character map select register.
    constexpr std::array<u16, 8> kMaps = {0x0000, 0x4000, 0x8000, 0xC000, 0x2000, 0x6000, 0xA000, 0xE000};
    const u8 select = memory_.sequencer(3);
    const u64 frame = blinking == Blinking::Steady ? 0 : beam().frame;
    Drawing drawing;
    drawing.map_a = kMaps[(select >> 2 & 3) | (select >> 3 & 4)];
    drawing.map_b = kMaps[(select & 3) | (select >> 2 & 4)];
    drawing.text_hidden = (frame >> 4 & 1) != 0; // characters blink at half the cursor's rate
    drawing.cursor_hidden = (frame >> 3 & 1) != 0;
    for (u8 i = 0; i < 16; ++i)
        drawing.colours[i] = colour(i);
    return drawing;
}

void Vga::draw_line(const ScanLine& source, const Drawing& drawing, u32* pixels) const {
    const u8 mode = attribute_[0x10];
    const bool cursor_line = cursor_enabled() && !drawing.cursor_hidden && source.line >= (crtc_[0x0A] & 31) &&
                             source.line <= (crtc_[0x0B] & 31);
    const u32 cursor = cursor_line ? cursor_column(source) : columns();
    const u32 width = dots_per_character();
    const u32 line_width = columns() * width;
    u32 at = 0u - source.pan; // below zero it is off the left edge

    for (u32 x = 0; x < columns() + (source.pan != 0 ? 1 : 0); ++x) {
        const u16 cell = cell_at(static_cast<u16>(source.address + x));
        const u8 character = static_cast<u8>(cell);
        const u8 attribute = static_cast<u8>(cell >> 8);
        const u16 map = bit(attribute, 3) ? drawing.map_a : drawing.map_b;
        u32 dots = memory_.plane(2, static_cast<u16>(map + character * 32 + source.line)) << 1;
        if ((mode & kLineGraphics) != 0 && character >= 0xC0 && character <= 0xDF)
            dots |= dots >> 1 & 1; // the ninth column joins line drawings
        u8 background = attribute >> 4;
        if ((mode & kBlinkEnabled) != 0) {
            background &= 7;
            if (bit(attribute, 7) && drawing.text_hidden)
                dots = 0;
        }
        const bool underlined = (attribute & 0x77) == 0x01 && source.line == (crtc_[0x14] & 31);
        if (underlined || (x == cursor && x < columns()))
            dots = 0x1FF;
        for (u32 i = 0; i < width; ++i, ++at)
            if (at < line_width)
                pixels[at] = drawing.colours[(dots >> (8 - i) & 1) != 0 ? attribute & 0xF : background];
    }
}

} // namespace forkscope
