// Owns: a VGA in text mode: CRT controller, attribute controller, DAC, and through VgaMemory sequencer, graphics
// controller and display memory (IBM PS/2 hardware interface reference, video subsystem).
// Callers: the Bus; people look through the const views text_screen() and render(), which change nothing.
// Promises: after reset it is in mode 3 with the font loaded, as a video BIOS leaves it; retrace follows simulated
// time.
#pragma once

#include <array>
#include <vector>

#include "devices/device.hpp"
#include "devices/vga/vga_memory.hpp"

namespace forkscope {

// Colours are 8 bits of red, green, blue and alpha in ascending bytes, as RGBA32 textures and PNG files have them.
struct TextScreen {
    int columns = 0, rows = 0; // 0 in a graphics mode
    std::vector<u16> cells;    // character | attribute << 8, row by row
    int cursor_x = 0, cursor_y = 0;
    bool cursor_visible = false;
    std::array<u32, 16> palette{};
};

struct Picture {
    int width = 0, height = 0;
    std::vector<u32> pixels; // row by row
};

// Steady: the cursor and blinking text are always shown. ByTime: they blink with simulated time.
enum class Blinking : u8 { Steady, ByTime };

class Vga : public Device {
  public:
    TextScreen text_screen() const;
    // What the monitor shows: 720 x 400 in mode 3, and a border around it while that has a colour. Black while the
    // screen is off; a graphics mode's picture is not drawn.
    Picture render(Blinking blinking = Blinking::Steady) const;
    bool in_text_mode() const;

    std::string_view name() const override { return "vga"; }
    void attach(Wiring& wiring) override;
    void reset() override;
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void serialize(Archive& ar) override;

  private:
    // Where one scan line comes from: the address counter at its left edge, and the line within the characters.
    struct ScanLine {
        u16 address = 0;
        u8 line = 0;
        bool starts_row = false;
        u32 pan = 0; // dots
    };
    struct Frame {
        u32 colour = 0;
        u32 left = 0, right = 0, top = 0, bottom = 0; // dots and lines
    };
    struct Drawing {
        std::array<u32, 16> colours{};
        u16 map_a = 0, map_b = 0; // fonts
        bool text_hidden = false, cursor_hidden = false;
    };
    struct Position {
        u64 frame = 0;
        u32 line = 0, character = 0; // within the frame
    };

    u8 read_crtc() const;
    void write_crtc(u8 value);
    u8 read_status();
    void write_attribute(u8 value);
    void fetch_colour();
    u8 read_dac();
    void write_dac(u8 value);
    bool selected(u32 port) const;

    u32 total_lines() const;
    u32 displayed_lines() const;
    u32 retrace_start() const;
    u32 line_compare() const;
    u32 columns() const { return crtc_[1] + 1u; }
    u32 dots_per_character() const { return (memory_.sequencer(1) & 1) != 0 ? 8 : 9; }
    u16 start_address() const;
    u32 pan() const;
    u16 cursor_address() const;
    u32 cursor_column(const ScanLine& line) const;
    bool cursor_enabled() const;
    u16 memory_address(u16 counter) const;
    u16 cell_at(u16 counter) const;
    bool screen_on() const;
    Position beam() const;
    u32 light(u32 index) const;
    u32 colour(u8 pixel) const;
    Frame border() const;
    std::vector<ScanLine> scan_lines() const;
    Drawing prepare(Blinking blinking) const;
    void draw_line(const ScanLine& source, const Drawing& drawing, u32* pixels) const;

    Wiring* wiring_ = nullptr;
    VgaMemory memory_;
    std::array<u8, 25> crtc_{};
    std::array<u8, 21> attribute_{};
    std::array<u8, 768> dac_{}; // 6 bits a component
    std::array<u8, 3> dac_latch_{};
    u8 crtc_index_ = 0, sequencer_index_ = 0, graphics_index_ = 0, attribute_index_ = 0;
    bool attribute_data_next_ = false; // the flip-flop of port 3C0h
    u8 miscellaneous_ = 0, feature_ = 0, video_enable_ = 1;
    u8 dac_mask_ = 0xFF, dac_index_ = 0, dac_component_ = 0;
    bool dac_reading_ = false;
};

} // namespace forkscope
