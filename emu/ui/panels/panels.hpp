// Owns: the panels, each a function from a const view to pixels, and the frame that lays them out.
// Callers: window and picture call draw_frame; it calls the rest. Promises: a panel reads its view and nothing else;
// what the person asked for comes back as a Command.
#pragma once

#include <span>

#include "emu/ui/text.hpp"

namespace forkscope::ui {

// The moves in the order of their buttons, and the keys that some have; with Shift a key goes backwards.
struct MoveKey {
    Grain grain;
    int function_key; // 5 is F5; 0: none
    const char* button;
    const char* forwards; // what it does, for a tooltip
    const char* backwards;
};
std::span<const MoveKey> move_keys();

// The guest's screen as a texture of the renderer in use.
struct ScreenTexture {
    ImTextureID id = nullptr;
    int width = 0, height = 0;
};

void draw_controls(const View& view, const Rect& rect, const Fonts& fonts, Touch& touch);
void draw_timeline(const TimelineView& timeline, const Rect& rect, Touch& touch);
// Where the machine is in its history, in a sentence.
std::string timeline_text(const TimelineView& timeline);
void draw_status(const View& view, const Rect& rect, const Fonts& fonts);
void draw_screen(const ScreenTexture& screen, const Rect& rect, const Fonts& fonts, Touch& touch);
#define PANEL(name, model, title, slot)                                                                                \
    void draw_##name(const model& shown, const Rect& rect, const Fonts& fonts, Touch& touch);
FORKSCOPE_PANELS(PANEL)
#undef PANEL

// Below these something would not fit: a smaller window shows the frame reduced.
inline constexpr float kLeastWidth = 1560, kLeastHeight = 990;
inline constexpr float kDefaultWidth = 1600, kDefaultHeight = 1000;

// Lays out and draws everything over the whole display of the current ImGui context.
Command draw_frame(const View& view, const ScreenTexture& screen, const Fonts& fonts, Touch& touch);

} // namespace forkscope::ui
