// Owns: how the window looks: colours, fonts, sizes.
// Callers: every panel, the window and the picture; tests count the colours. Promises: the same letters and colours on
// every machine: the fonts are part of the program.
#pragma once

#include <array>

#include <imgui.h>

#include "emu/observe/faults/fault_record.hpp"
#include "emu/observe/tables/page_table_view.hpp"

namespace forkscope::ui {

using Colour = ImU32; // red in the lowest byte, as RGBA32 textures and PNG files have it

inline constexpr Colour kBackground = IM_COL32(0x12, 0x14, 0x18, 255);
inline constexpr Colour kPanel = IM_COL32(0x1A, 0x1D, 0x23, 255);
inline constexpr Colour kBorder = IM_COL32(0x2C, 0x31, 0x3A, 255);
inline constexpr Colour kText = IM_COL32(0xD5, 0xD9, 0xE0, 255);
inline constexpr Colour kDim = IM_COL32(0x80, 0x88, 0x96, 255);
inline constexpr Colour kTitle = IM_COL32(0xF2, 0xF4, 0xF8, 255);
inline constexpr Colour kAccent = IM_COL32(0x6C, 0xB6, 0xFF, 255);
inline constexpr Colour kGood = IM_COL32(0x7C, 0xC9, 0x7C, 255);
inline constexpr Colour kBad = IM_COL32(0xFF, 0x6B, 0x6B, 255);
inline constexpr Colour kChanged = IM_COL32(0xFF, 0xD1, 0x66, 255);
inline constexpr Colour kSource = IM_COL32(0x8F, 0xBF, 0x8F, 255);
inline constexpr Colour kCurrentLine = IM_COL32(0x2B, 0x3F, 0x5C, 255);
inline constexpr Colour kButton = IM_COL32(0x2B, 0x31, 0x3B, 255);

// The legend of the page tables.
inline constexpr Colour kAbsent = IM_COL32(0x26, 0x2A, 0x32, 255);
inline constexpr Colour kPrivate = IM_COL32(0x4C, 0x9A, 0xE8, 255);
inline constexpr Colour kSharedReadOnly = IM_COL32(0xE8, 0xA2, 0x3A, 255);
inline constexpr Colour kSharedWritable = IM_COL32(0xC6, 0x5F, 0xD3, 255);
inline constexpr Colour kKernel = IM_COL32(0x6E, 0x7B, 0x91, 255);
inline constexpr Colour kWindowEntry = IM_COL32(0x4A, 0x8F, 0x8A, 255);
inline constexpr Colour kWritten = IM_COL32(0xFF, 0xFF, 0xFF, 255);

inline constexpr float kFontSize = 14;
inline constexpr float kLine = 15;   // height of a line of text
inline constexpr float kLetter = 7;  // width of every letter
inline constexpr float kPadding = 8; // of a panel
inline constexpr float kGap = 6;     // between panels

Colour colour_of(PageState state);
Colour colour_of(FaultClass fault_class);

struct Fonts {
    ImFont* regular = nullptr;
    ImFont* bold = nullptr;
};

// Of the current ImGui context.
Fonts load_fonts();
void apply_style();

} // namespace forkscope::ui
