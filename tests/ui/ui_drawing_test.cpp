#include <gtest/gtest.h>

#include "emu/report/report_text.hpp"
#include "emu/ui/keys.hpp"
#include "emu/ui/rasterizer.hpp"
#include "emu/ui/text.hpp"

namespace forkscope {
namespace {

using namespace ui;

// One list of triangles over a small canvas.
class Drawing {
  public:
    Drawing() {
        list_.CmdBuffer.push_back(ImDrawCmd());
        list_.CmdBuffer[0].ClipRect = {0, 0, 16, 16};
        list_.CmdBuffer[0].TextureId = nullptr;
    }
    void clip(float left, float top, float right, float bottom) {
        list_.CmdBuffer[0].ClipRect = {left, top, right, bottom};
    }
    void quad(float left, float top, float right, float bottom, u32 colour) {
        const auto first = static_cast<ImDrawIdx>(list_.VtxBuffer.Size);
        for (const ImVec2 corner : {ImVec2{left, top}, ImVec2{right, top}, ImVec2{right, bottom}, ImVec2{left, bottom}})
            list_.VtxBuffer.push_back({corner, {0, 0}, colour});
        for (const int i : {0, 1, 2, 0, 2, 3})
            list_.IdxBuffer.push_back(static_cast<ImDrawIdx>(first + i));
        list_.CmdBuffer[0].ElemCount += 6;
    }
    Canvas draw() {
        ImDrawData data;
        ImDrawList* lists = &list_;
        data.CmdLists = &lists;
        data.CmdListsCount = 1;
        Canvas canvas{16, 16, {}};
        rasterize(data, 0xFF000000u, canvas);
        data.CmdLists = nullptr;
        return canvas;
    }

  private:
    ImDrawList list_{nullptr};
};

int count(const Canvas& canvas, u32 colour) {
    return static_cast<int>(std::count(canvas.pixels.begin(), canvas.pixels.end(), colour));
}

TEST(Rasterizer, FillsExactlyThePixelsOfARectangle) {
    Drawing drawing;
    drawing.quad(3, 2, 9, 7, 0xFF0000FFu);
    const Canvas canvas = drawing.draw();
    EXPECT_EQ(count(canvas, 0xFF0000FFu), 6 * 5);
    for (int y = 2; y < 7; ++y)
        for (int x = 3; x < 9; ++x)
            EXPECT_EQ(canvas.pixels[static_cast<std::size_t>(y * 16 + x)], 0xFF0000FFu);
}

TEST(Rasterizer, DrawsTheSharedEdgeOfTwoTrianglesOnce) {
    Drawing drawing;
    drawing.quad(0, 0, 16, 16, 0x800000FFu);
    const Canvas canvas = drawing.draw();
    EXPECT_EQ(count(canvas, 0xFF000080u), 16 * 16) << "half of red, blended once everywhere";
}

TEST(Rasterizer, StaysInsideTheClipAndTheCanvas) {
    Drawing drawing;
    drawing.clip(4, 4, 8, 8);
    drawing.quad(-100, -100, 1000, 1000, 0xFF00FF00u);
    EXPECT_EQ(count(drawing.draw(), 0xFF00FF00u), 16);
    Drawing outside;
    outside.clip(-50, -50, 500, 500);
    outside.quad(-30, -30, -10, -10, 0xFF00FF00u);
    outside.quad(20, 20, 50, 50, 0xFF00FF00u);
    EXPECT_EQ(count(outside.draw(), 0xFF00FF00u), 0);
}

TEST(Text, IsCutBetweenLettersAndSaysSo) {
    EXPECT_EQ(fitted("abcdef", 6), "abcdef");
    EXPECT_EQ(fitted("abcdef", 4), "abc…");
    EXPECT_EQ(fitted("→→→→", 3), "→→…");
    EXPECT_EQ(fitted("abc", 0), "");
    EXPECT_EQ(letter_count("a→…"), 3u);
    EXPECT_EQ(grouped(0), "0");
    EXPECT_EQ(grouped(999), "999");
    EXPECT_EQ(grouped(1234567), "1,234,567");
}

TEST(Keys, AreNamedByTheirPlaceInSet1) {
    const auto bytes = [](SDL_Scancode key, KeyMove move) {
        const auto event = key_event(key, move);
        return event ? std::pair<u64, int>{event->data, event->size} : std::pair<u64, int>{0, 0};
    };
    const auto press = KeyMove::Press;
    const auto release = KeyMove::Release;
    EXPECT_EQ(bytes(SDL_SCANCODE_A, press), std::pair(u64{0x1E}, 1));
    EXPECT_EQ(bytes(SDL_SCANCODE_A, release), std::pair(u64{0x9E}, 1));
    EXPECT_EQ(bytes(SDL_SCANCODE_1, press), std::pair(u64{0x02}, 1));
    EXPECT_EQ(bytes(SDL_SCANCODE_0, press), std::pair(u64{0x0B}, 1));
    EXPECT_EQ(bytes(SDL_SCANCODE_RETURN, press), std::pair(u64{0x1C}, 1));
    EXPECT_EQ(bytes(SDL_SCANCODE_LSHIFT, release), std::pair(u64{0xAA}, 1));
    EXPECT_EQ(bytes(SDL_SCANCODE_F12, press), std::pair(u64{0x58}, 1));
    EXPECT_EQ(bytes(SDL_SCANCODE_KP_5, press), std::pair(u64{0x4C}, 1));
    EXPECT_EQ(bytes(SDL_SCANCODE_LEFT, press), std::pair(u64{0x4BE0}, 2)) << "E0 first, in the lowest byte";
    EXPECT_EQ(bytes(SDL_SCANCODE_LEFT, release), std::pair(u64{0xCBE0}, 2));
    EXPECT_EQ(bytes(SDL_SCANCODE_RCTRL, press), std::pair(u64{0x1DE0}, 2));
    EXPECT_EQ(bytes(SDL_SCANCODE_PRINTSCREEN, press), std::pair(u64{0x37E02AE0}, 4));
    EXPECT_FALSE(key_event(SDL_SCANCODE_AUDIOMUTE, press).has_value());
}

TEST(Keys, NoTwoKeysSendTheSameBytes) {
    std::map<u64, int> seen;
    for (int key = 0; key < SDL_NUM_SCANCODES; ++key)
        if (const auto event = key_event(static_cast<SDL_Scancode>(key), KeyMove::Press))
            ++seen[event->data];
    for (const auto& [data, times] : seen)
        EXPECT_LE(times, data == 0x2B ? 2 : 1) << std::hex << data; // the backslash has another place on ISO keyboards
    EXPECT_GE(seen.size(), 101u - 2);
}

} // namespace
} // namespace forkscope
