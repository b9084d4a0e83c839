#include "devices/vga/vga.hpp"

#include <gtest/gtest.h>

#include "tests/unit/devices/fake_wiring.hpp"

namespace forkscope {
namespace {

constexpr u32 kBlue = 0xFFAA0000; // bytes R, G, B, A

class VgaTest : public testing::Test {
  protected:
    VgaTest() { wiring.add(vga); }

    void crtc(u8 index, u8 value) { wiring.out(0x3D4, static_cast<u32>(value << 8 | index), 2); }
    void sequencer(u8 index, u8 value) { wiring.out(0x3C4, static_cast<u32>(value << 8 | index), 2); }
    void graphics(u8 index, u8 value) { wiring.out(0x3CE, static_cast<u32>(value << 8 | index), 2); }
    void attribute(u8 index, u8 value) {
        wiring.in(0x3DA);
        wiring.out(0x3C0, index); // palette lent to the CPU
        wiring.out(0x3C0, value);
        wiring.out(0x3C0, 0x20);
    }
    void poke(u64 address, u32 value, u32 size = 1) {
        wiring.bus().write_memory(PhysicalAddress(address), size, value);
    }
    u32 peek(u64 address, u32 size = 1) { return wiring.bus().read_memory(PhysicalAddress(address), size); }
    void print(int x, int y, u8 character, u8 colour) {
        poke(0xB8000 + static_cast<u64>(y * 160 + x * 2), static_cast<u32>(colour << 8 | character), 2);
    }
    // One row of a glyph in the picture as text.
    std::string row(const Picture& picture, int x, int y, int line) {
        std::string text;
        for (int i = 0; i < 9; ++i)
            text +=
                picture.pixels[static_cast<std::size_t>((y * 16 + line) * 720 + x * 9 + i)] == 0xFF000000 ? '.' : '#';
        return text;
    }

    FakeWiring wiring;
    Vga vga;
};

TEST_F(VgaTest, StartsInMode3WithABlankScreenAndACursor) {
    const TextScreen screen = vga.text_screen();
    EXPECT_EQ(screen.columns, 80);
    EXPECT_EQ(screen.rows, 25);
    EXPECT_EQ(screen.cells, std::vector<u16>(2000, 0x0720));
    EXPECT_TRUE(screen.cursor_visible);
    EXPECT_EQ(screen.cursor_x, 0);
    EXPECT_EQ(screen.cursor_y, 0);
    EXPECT_EQ(screen.palette[0], 0xFF000000u);
    EXPECT_EQ(screen.palette[1], kBlue);
    EXPECT_EQ(screen.palette[6], 0xFF0055AAu); // brown
    EXPECT_EQ(screen.palette[15], 0xFFFFFFFFu);
    EXPECT_EQ(wiring.in(0x3CC), 0x67u);
}

TEST_F(VgaTest, ShowsCharactersAndAttributesWrittenInAnyWidth) {
    poke(0xB8000, 'H');
    poke(0xB8001, 0x1F);
    poke(0xB8002, 0x1E69, 2);
    poke(0xB8004, 0x2C422B41, 4);
    const TextScreen screen = vga.text_screen();
    EXPECT_EQ(screen.cells[0], 0x1F48);
    EXPECT_EQ(screen.cells[1], 0x1E69);
    EXPECT_EQ(screen.cells[2], 0x2B41);
    EXPECT_EQ(screen.cells[3], 0x2C42);
    EXPECT_EQ(peek(0xB8000, 4), 0x1E691F48u);
    EXPECT_EQ(peek(0xA0000), 0xFFu); // not the VGA's in this memory map
    EXPECT_EQ(peek(0xB0000), 0xFFu);
}

TEST_F(VgaTest, KeepsCharactersInPlane0AndAttributesInPlane1) {
    poke(0xB8010, 0x0741, 2);
    graphics(5, 0x00); // read one plane at a time
    graphics(6, 0x04); // A0000, no odd/even
    graphics(4, 0);
    EXPECT_EQ(peek(0xA0010), 0x41u);
    graphics(4, 1);
    EXPECT_EQ(peek(0xA0010), 0x07u);
    EXPECT_EQ(peek(0xA0011), 0x00u); // plane 1 is used at even offsets only
}

TEST_F(VgaTest, MovesHidesAndShapesTheCursor) {
    crtc(0x0E, 0x07);
    crtc(0x0F, 0x84); // 0x784 = 24 * 80 + 4
    EXPECT_EQ(vga.text_screen().cursor_x, 4);
    EXPECT_EQ(vga.text_screen().cursor_y, 24);
    wiring.out(0x3D4, 0x0F);
    EXPECT_EQ(wiring.in(0x3D5), 0x84u);
    crtc(0x0A, 0x20);
    EXPECT_FALSE(vga.text_screen().cursor_visible);
    crtc(0x0A, 0x0E);
    crtc(0x0B, 0x0D);
    EXPECT_FALSE(vga.text_screen().cursor_visible); // ends above its start
    crtc(0x0A, 0x00);
    crtc(0x0E, 0x20);
    EXPECT_FALSE(vga.text_screen().cursor_visible); // far off the screen
}

TEST_F(VgaTest, ScrollsByItsStartAddress) {
    for (int y = 0; y < 50; ++y)
        print(0, y, static_cast<u8>('0' + y), 0x07);
    crtc(0x0C, 0x03);
    crtc(0x0D, 0x20); // 800 = ten rows
    crtc(0x0E, 0x03);
    crtc(0x0F, 0x71); // 881 = row 11, column 1
    const TextScreen screen = vga.text_screen();
    EXPECT_EQ(screen.cells[0] & 0xFF, '0' + 10);
    EXPECT_EQ(screen.cells[24 * 80] & 0xFF, '0' + 34);
    EXPECT_EQ(screen.cursor_x, 1);
    EXPECT_EQ(screen.cursor_y, 1);
}

TEST_F(VgaTest, SplitsTheScreenAtTheComparedLine) {
    print(0, 0, 'S', 0x07);
    print(0, 30, 'T', 0x07);
    crtc(0x0C, 0x09);
    crtc(0x0D, 0x60); // 2400 = row 30
    crtc(0x11, 0x0E); // unprotect
    crtc(0x18, 0x3F); // 319, the last line of the upper part, bits 0..7
    crtc(0x07, 0x1F); // bit 8 is set
    crtc(0x09, 0x0F); // bit 9 is clear
    EXPECT_EQ(vga.text_screen().cells[0] & 0xFF, 'T');
    EXPECT_EQ(vga.text_screen().cells[20 * 80] & 0xFF, 'S');
}

// Attribute register 13h: characters of nine dots begin with the code 8, those of eight with 0.
TEST_F(VgaTest, PansByDotsToTheLeft) {
    crtc(0x0A, 0x20);
    for (int x = 0; x <= 80; ++x) // the last one comes in from the right: it is the next row's first
        print(x, 0, 'A', 0x07);
    const auto first_and_last = [this](u8 code) {
        attribute(0x13, code);
        const Picture picture = vga.render();
        return row(picture, 0, 0, 7) + "|" + row(picture, 79, 0, 7);
    };
    EXPECT_EQ(first_and_last(8), "#######..|#######..");
    EXPECT_EQ(first_and_last(0), "######..#|######..#");
    EXPECT_EQ(first_and_last(2), "####..###|####..###");
    EXPECT_EQ(first_and_last(7), ".#######.|.#######.");
    sequencer(1, 0x01); // eight dots
    const auto line = [this](u8 code) {
        attribute(0x13, code);
        const Picture picture = vga.render();
        EXPECT_EQ(picture.width, 640);
        std::string text;
        for (std::size_t i = 0; i < 8; ++i)
            text += picture.pixels[7 * 640 + i] == 0xFF000000 ? '.' : '#';
        return text;
    };
    EXPECT_EQ(line(0), "#######.");
    EXPECT_EQ(line(3), "####.###");
    EXPECT_EQ(line(7), ".#######");
}

// Mode control, bit 5, lets the part below the split stand while the upper part is panned, by dots and by bytes.
TEST_F(VgaTest, PansBelowTheSplitUnlessItStands) {
    crtc(0x0A, 0x20);
    for (int x = 0; x < 160; ++x)
        print(x, 0, x % 80 == 0 ? 'A' : ' ', 0x07);
    crtc(0x11, 0x0E);
    crtc(0x18, 0x0F); // the first row, then the split
    crtc(0x07, 0x0F);
    crtc(0x09, 0x0F);
    attribute(0x13, 2);
    EXPECT_EQ(row(vga.render(), 0, 0, 7), "####.....");
    EXPECT_EQ(row(vga.render(), 0, 1, 7), "####.....");
    attribute(0x10, 0x2C);
    EXPECT_EQ(row(vga.render(), 0, 0, 7), "####.....");
    EXPECT_EQ(row(vga.render(), 0, 1, 7), "#######..");
    attribute(0x13, 8);
    crtc(0x08, 0x20); // one character
    EXPECT_EQ(vga.text_screen().cells[0] & 0xFF, ' ');
    EXPECT_EQ(vga.text_screen().cells[80] & 0xFF, 'A');
    attribute(0x10, 0x0C);
    EXPECT_EQ(vga.text_screen().cells[80] & 0xFF, ' ');
}

TEST_F(VgaTest, DelaysTheCursorByItsSkew) {
    crtc(0x0F, 77);
    for (const int skew : {0, 1, 2}) {
        crtc(0x0B, static_cast<u8>(0x0E | skew << 5));
        EXPECT_EQ(vga.text_screen().cursor_x, 77 + skew);
        EXPECT_EQ(row(vga.render(), 77 + skew, 0, 13), "#########");
        EXPECT_EQ(row(vga.render(), 76 + skew, 0, 13), ".........");
    }
    crtc(0x0B, 0x0E | 3 << 5); // into the border
    EXPECT_FALSE(vga.text_screen().cursor_visible);
    EXPECT_EQ(row(vga.render(), 0, 1, 13), ".........");
}

// Mode 3's timing has a character on both sides and seven lines above and below, as VESA lists it for 720 x 400.
TEST_F(VgaTest, ShowsABorderThatHasAColour) {
    print(0, 0, 0xDB, 0x0F);
    attribute(0x11, 0x01);
    const Picture picture = vga.render();
    ASSERT_EQ(picture.width, 720 + 18);
    ASSERT_EQ(picture.height, 400 + 14);
    const auto at = [&picture](int x, int y) {
        return picture.pixels[static_cast<std::size_t>(y * picture.width + x)];
    };
    for (const auto& [x, y] : {std::pair{0, 0}, {8, 7}, {9, 6}, {729, 7}, {9, 407}, {737, 413}})
        EXPECT_EQ(at(x, y), kBlue) << x << ", " << y;
    EXPECT_EQ(at(9, 7), 0xFFFFFFFFu);
    EXPECT_EQ(at(728, 406), 0xFF000000u);
    wiring.in(0x3DA);
    wiring.out(0x3C0, 0x00); // the CPU has the palette: border everywhere
    EXPECT_EQ(vga.render().pixels[static_cast<std::size_t>(7 * 738 + 9)], kBlue);
    sequencer(1, 0x20); // blanked
    EXPECT_EQ(vga.render().pixels[0], 0xFF000000u);
}

TEST_F(VgaTest, ProtectsTheTimingRegistersButNotTheSplitLine) {
    crtc(0x01, 39);
    EXPECT_EQ(vga.text_screen().columns, 80);
    crtc(0x07, 0x0F);
    wiring.out(0x3D4, 0x07);
    EXPECT_EQ(wiring.in(0x3D5), 0x0Fu);
    crtc(0x11, 0x0E);
    crtc(0x01, 39);
    EXPECT_EQ(vga.text_screen().columns, 40);
}

TEST_F(VgaTest, HasItsRegistersWhereTheColourBitSays) {
    EXPECT_EQ(wiring.in(0x3B5), 0xFFu);
    wiring.out(0x3C2, 0x66);
    EXPECT_EQ(wiring.in(0x3D4), 0xFFu);
    wiring.out(0x3B4, 0x0A);
    EXPECT_EQ(wiring.in(0x3B5), 0x0Du);
}

TEST_F(VgaTest, ReadsBackItsRegistersWithTheirWidths) {
    sequencer(2, 0xFF);
    EXPECT_EQ(wiring.in(0x3C5), 0x0Fu);
    graphics(5, 0xFF);
    EXPECT_EQ(wiring.in(0x3CF), 0x7Bu);
    attribute(0x13, 0xFF);
    wiring.in(0x3DA);
    wiring.out(0x3C0, 0x33);
    EXPECT_EQ(wiring.in(0x3C1), 0x0Fu);
    EXPECT_EQ(wiring.in(0x3C0), 0x33u);
}

TEST_F(VgaTest, ProgramsTheDacComponentByComponent) {
    wiring.out(0x3C8, 1);
    for (const u32 value : {0x3F, 0x00, 0x10, 0x01, 0x02, 0x03})
        wiring.out(0x3C9, value);
    EXPECT_EQ(vga.text_screen().palette[1], 0xFF4100FFu);
    wiring.out(0x3C7, 2);
    EXPECT_EQ(wiring.in(0x3C7), 3u);
    EXPECT_EQ(wiring.in(0x3C9), 1u);
    EXPECT_EQ(wiring.in(0x3C9), 2u);
    EXPECT_EQ(wiring.in(0x3C9), 3u);
    wiring.out(0x3C6, 0x00); // pixel mask: everything is colour 0
    EXPECT_EQ(vga.text_screen().palette[15], 0xFF000000u);
}

// One address for reading and writing: what was fetched for reading lies before it.
TEST_F(VgaTest, HasOneDacAddress) {
    const auto write = [this](u32 red) {
        for (const u32 value : {red, red + 1, red + 2})
            wiring.out(0x3C9, value);
    };
    const auto red = [this](u32 index) {
        wiring.out(0x3C7, index);
        return wiring.in(0x3C9);
    };
    wiring.out(0x3C8, 30);
    write(10);
    write(20);
    wiring.out(0x3C8, 20);
    EXPECT_EQ(wiring.in(0x3C8), 20u);
    wiring.out(0x3C7, 30);
    EXPECT_EQ(wiring.in(0x3C8), 31u);
    write(40); // at 31, and reading has ended with it
    EXPECT_EQ(wiring.in(0x3C8), 32u);
    EXPECT_EQ(red(30), 10u);
    EXPECT_EQ(red(31), 40u);
    EXPECT_EQ(wiring.in(0x3C9), 41u);
    EXPECT_EQ(wiring.in(0x3C9), 42u);
    EXPECT_EQ(wiring.in(0x3C8), 33u);
    wiring.out(0x3C7, 255);
    EXPECT_EQ(wiring.in(0x3C8), 0u) << "it wraps";
}

TEST_F(VgaTest, MapsColoursThroughThePalette) {
    attribute(7, 0x01);
    EXPECT_EQ(vga.text_screen().palette[7], kBlue);
    wiring.in(0x3DA);
    wiring.out(0x3C0, 0x27); // the display keeps the palette
    wiring.out(0x3C0, 0x02);
    EXPECT_EQ(vga.text_screen().palette[7], kBlue);
}

TEST_F(VgaTest, DrawsGlyphsInNineColumnsAndJoinsLineDrawings) {
    crtc(0x0A, 0x20);
    print(3, 2, 'A', 0x07);
    print(4, 2, 0xC4, 0x07); // a horizontal line
    print(5, 2, 0xB0 + 0x0B, 0x07);
    const Picture picture = vga.render();
    ASSERT_EQ(picture.width, 720);
    ASSERT_EQ(picture.height, 400);
    ASSERT_EQ(picture.pixels.size(), 720u * 400);
    EXPECT_EQ(row(picture, 3, 2, 2), "...#.....");
    EXPECT_EQ(row(picture, 3, 2, 3), "..###....");
    EXPECT_EQ(row(picture, 3, 2, 7), "#######..");
    EXPECT_EQ(row(picture, 4, 2, 7), "#########");
    attribute(0x10, 0x08); // line graphics off
    EXPECT_EQ(row(vga.render(), 4, 2, 7), "########.");
    EXPECT_EQ(picture.pixels[(2 * 16 + 7) * 720 + 27], 0xFFAAAAAAu);
}

TEST_F(VgaTest, HasAFontThatTellsItsLineDrawingsApart) {
    crtc(0x0A, 0x20);
    for (u8 i = 0; i < 0x30; ++i) // B0h..DFh: shades, lines, blocks
        print(i, 1, static_cast<u8>(0xB0 + i), 0x07);
    const Picture picture = vga.render();
    std::vector<std::string> glyphs;
    for (int i = 0; i < 0x30; ++i) {
        std::string glyph;
        for (int line = 0; line < 16; ++line)
            glyph += row(picture, i, 1, line).substr(0, 8);
        EXPECT_EQ(std::count(glyphs.begin(), glyphs.end(), glyph), 0) << "character " << 0xB0 + i;
        glyphs.push_back(glyph);
    }
    EXPECT_EQ(std::count(glyphs[0x1D].begin(), glyphs[0x1D].end(), '#'), 16); // CDh: two lines of eight
}

TEST_F(VgaTest, DrawsTheCursorInTheColourOfItsCharacter) {
    print(0, 0, ' ', 0x01);
    const Picture picture = vga.render();
    EXPECT_EQ(row(picture, 0, 0, 12), ".........");
    EXPECT_EQ(row(picture, 0, 0, 13), "#########");
    EXPECT_EQ(row(picture, 0, 0, 14), "#########");
    EXPECT_EQ(row(picture, 0, 0, 15), ".........");
    EXPECT_EQ(picture.pixels[13 * 720], kBlue);
}

TEST_F(VgaTest, BlinksByTimeOnlyWhenAsked) {
    print(1, 0, 0xDB, 0x87);
    EXPECT_EQ(row(vga.render(), 1, 0, 5), "#########");
    int shown = 0;
    for (int frame = 0; frame < 64; ++frame) {
        shown += row(vga.render(Blinking::ByTime), 1, 0, 5) == "#########" ? 1 : 0;
        wiring.advance_microseconds(14268); // 70.09 Hz
    }
    EXPECT_NEAR(shown, 32, 1);
    attribute(0x10, 0x04); // bit 7 is a bright background now
    EXPECT_EQ(vga.render().pixels[9], 0xFFAAAAAAu);
    print(1, 0, ' ', 0x87);
    EXPECT_EQ(vga.render().pixels[9], 0xFF555555u);
}

TEST_F(VgaTest, UsesTheFontThatTheGuestLoads) {
    sequencer(2, 0x04);
    sequencer(4, 0x07);
    graphics(4, 2);
    graphics(5, 0x00);
    graphics(6, 0x00);
    EXPECT_EQ(peek(0xA0000 + 'A' * 32 + 3), 0x38u); // the font is readable
    for (u64 line = 0; line < 16; ++line)
        poke(0xA0000 + 'A' * 32 + line, line == 0 ? 0x81 : 0);
    for (u64 line = 0; line < 16; ++line)
        poke(0xA0000 + 0x4000 + 'A' * 32 + line, 0xFF); // map 1
    sequencer(2, 0x03);
    sequencer(4, 0x02);
    graphics(4, 0);
    graphics(5, 0x10);
    graphics(6, 0x0E);
    crtc(0x0A, 0x20);
    print(0, 0, 'A', 0x07);
    print(1, 0, 'A', 0x0F);
    EXPECT_EQ(row(vga.render(), 0, 0, 0), "#......#.");
    EXPECT_EQ(row(vga.render(), 0, 0, 7), ".........");
    sequencer(3, 0x04); // map A, for attribute bit 3, is map 1
    EXPECT_EQ(row(vga.render(), 0, 0, 7), ".........");
    EXPECT_EQ(row(vga.render(), 1, 0, 7), "########.");
}

// What a debugger sees is what the guest would read, and the latches stay as the guest left them.
TEST_F(VgaTest, CanBeLookedAtWithoutLoadingTheLatches) {
    const auto look = [&](u64 address) { return wiring.bus().peek_memory(PhysicalAddress(address)); };
    print(0, 0, 'H', 0x1F);
    EXPECT_EQ(look(0xB8000), 'H');
    EXPECT_EQ(look(0xB8001), 0x1F);
    EXPECT_EQ(look(0xA0000), 0xFF) << "mode 3 has its memory elsewhere";
    EXPECT_EQ(look(0x9F000), std::nullopt) << "no device";
    sequencer(4, 0x06);
    sequencer(2, 0x0F);
    graphics(5, 0x00);
    graphics(6, 0x05);
    poke(0xA0000, 0xF0);
    poke(0xA0001, 0x0F);
    peek(0xA0000); // fills the latches
    EXPECT_EQ(look(0xA0001), 0x0F);
    graphics(5, 0x01); // write mode 1 copies the latches
    poke(0xA0002, 0x00);
    graphics(5, 0x00);
    EXPECT_EQ(peek(0xA0002), 0xF0u) << "looking has loaded them";
    graphics(5, 0x08); // read mode 1: compare
    for (u64 address = 0xA0000; address < 0xA0004; ++address)
        EXPECT_EQ(look(address), peek(address));
    sequencer(4, 0x0E); // chain 4
    for (u64 address = 0xA0000; address < 0xA0010; ++address)
        EXPECT_EQ(look(address), peek(address));
}

TEST_F(VgaTest, WritesThroughLatchesMasksAndFunctions) {
    sequencer(4, 0x06);
    sequencer(2, 0x0F);
    graphics(5, 0x00);
    graphics(6, 0x05);
    poke(0xA0000, 0xF0);
    peek(0xA0000); // fills the latches
    graphics(8, 0x0F);
    graphics(3, 0x18); // XOR
    poke(0xA0000, 0xFF);
    EXPECT_EQ(peek(0xA0000), 0xFFu);
    graphics(3, 0x00);
    graphics(8, 0xFF);
    graphics(5, 0x01); // write mode 1 copies the latches
    poke(0xA0001, 0x00);
    EXPECT_EQ(peek(0xA0001), 0xFFu);
    graphics(5, 0x02); // write mode 2: a colour
    poke(0xA0002, 0x05);
    graphics(5, 0x08); // read mode 1: compare
    graphics(7, 0x0F);
    graphics(2, 0x05);
    EXPECT_EQ(peek(0xA0002), 0xFFu);
    graphics(2, 0x04);
    EXPECT_EQ(peek(0xA0002), 0x00u);
}

TEST_F(VgaTest, SpreadsBytesOverPlanesInChain4) {
    sequencer(4, 0x0E);
    sequencer(2, 0x0F);
    graphics(5, 0x40);
    graphics(6, 0x05);
    poke(0xA0000, 0x44332211, 4);
    EXPECT_EQ(peek(0xA0000, 4), 0x44332211u);
    EXPECT_FALSE(vga.in_text_mode());
    EXPECT_EQ(vga.text_screen().columns, 0);
    sequencer(4, 0x06);
    for (u8 plane = 0; plane < 4; ++plane) {
        graphics(4, plane);
        EXPECT_EQ(peek(0xA0000), 0x11u * (plane + 1u));
    }
}

TEST_F(VgaTest, IsBlackWhileTheScreenIsOff) {
    print(0, 0, 0xDB, 0x0F);
    const auto lit = [this] { return vga.render().pixels[0] != 0xFF000000; };
    EXPECT_TRUE(lit());
    sequencer(1, 0x20);
    EXPECT_FALSE(lit());
    sequencer(1, 0x00);
    wiring.in(0x3DA);
    wiring.out(0x3C0, 0x00);
    EXPECT_FALSE(lit());
}

TEST_F(VgaTest, RetracesSeventyTimesASecondByItsProgrammedTiming) {
    int frames = 0, blank = 0, samples = 0;
    bool before = false;
    for (; wiring.now() < 100000000; wiring.advance(500), ++samples) {
        const u32 status = wiring.in(0x3DA);
        const bool retrace = (status & 8) != 0;
        frames += retrace && !before;
        blank += static_cast<int>(status & 1);
        before = retrace;
        ASSERT_TRUE(!retrace || (status & 1) != 0);
    }
    EXPECT_EQ(frames, 70);
    const double shown = 400.0 * 80 / (449.0 * 100);
    EXPECT_NEAR(static_cast<double>(blank) / samples, 1 - shown, 0.01);
}

TEST_F(VgaTest, SavesAndLoadsBetweenTwoHalvesOfAnAccess) {
    print(5, 5, 'x', 0x4E);
    wiring.in(0x3DA);
    wiring.out(0x3C0, 0x11); // the data byte is still to come
    wiring.out(0x3C8, 9);
    wiring.out(0x3C9, 33);
    const std::vector<u8> saved = wiring.save();
    FakeWiring other;
    Vga copy;
    other.add(copy);
    ASSERT_TRUE(other.load(saved).ok());
    EXPECT_EQ(other.hash(), wiring.hash());
    for (FakeWiring* machine : {&wiring, &other}) {
        machine->out(0x3C0, 0x05);
        machine->out(0x3C9, 34);
        machine->out(0x3C9, 35);
    }
    EXPECT_EQ(other.hash(), wiring.hash());
    EXPECT_EQ(copy.render().pixels, vga.render().pixels);
}

} // namespace
} // namespace forkscope
