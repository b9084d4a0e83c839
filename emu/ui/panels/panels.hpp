// Owns: the panels, each a function from a const view to pixels, and the frame that lays them out.
// Callers: window and picture call draw_frame; it calls the rest. Promises: a panel reads its view and nothing else;
// what the person asked for comes back as a Command.
#pragma once

#include "emu/ui/text.hpp"
#include "emu/view/view.hpp"

namespace forkscope::ui {

enum class Command : u8 { None, RunOrPause, StepInstruction, NextStop, NextFault };

// The guest's screen as a texture of the renderer in use.
struct ScreenTexture {
    ImTextureID id = nullptr;
    int width = 0, height = 0;
};

Command draw_controls(const View& view, const Rect& rect, const Fonts& fonts);
void draw_status(const View& view, const Rect& rect, const Fonts& fonts);
void draw_screen(const ScreenTexture& screen, const Rect& rect, const Fonts& fonts);
#define PANEL(name, model, place, size) void draw_##name(const model& shown, const Rect& rect, const Fonts& fonts);
FORKSCOPE_PANELS(PANEL)
#undef PANEL

// Below these something would not fit: a smaller window shows the frame reduced.
inline constexpr float kLeastWidth = 1560, kLeastHeight = 940;
inline constexpr float kDefaultWidth = 1600, kDefaultHeight = 1000;

// Lays out and draws everything over the whole display of the current ImGui context.
Command draw_frame(const View& view, const ScreenTexture& screen, const Fonts& fonts);

} // namespace forkscope::ui
