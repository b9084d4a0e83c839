// Owns: drawing ImGui's triangles into memory, without a display or a graphics card.
// Callers: picture.cpp, tests. Promises: the same draw data gives the same pixels; nothing is drawn outside the canvas.
#pragma once

#include <vector>

#include <imgui.h>

#include "emu/base/types.hpp"

namespace forkscope::ui {

// Pixels as in Colour, row by row.
struct Canvas {
    int width = 0, height = 0;
    std::vector<u32> pixels;
};

// What an ImTextureID points to here.
struct Texture {
    int width = 0, height = 0;
    const u32* pixels = nullptr;
};

// Fills the canvas with the colour, then draws. Textures are sampled at the nearest texel.
void rasterize(const ImDrawData& data, u32 background, Canvas& canvas);

} // namespace forkscope::ui
