// Owns: the panels, each a function from a const view to pixels, and the frame that lays them out.
// Callers: window and picture call draw_frame; it calls the rest. Promises: a panel reads its view and nothing else;
// what the person asked for comes back as a Command.
#pragma once

#include <span>

#include "emu/session/stepper/stepper.hpp"
#include "emu/ui/text.hpp"
#include "emu/view/view.hpp"

namespace forkscope::ui {

// What the person asked for.
struct Command {
    enum class Kind : u8 { None, RunOrPause, Reverse, Move, GoTo, Branch };

    Kind kind = Kind::None;
    Grain grain = Grain::Instruction; // of a move
    Way way = Way::Forwards;
    u64 number = 0; // GoTo: of instructions; Branch: its own

    bool operator==(const Command&) const = default;
};
constexpr Command move_by(Grain grain, Way way = Way::Forwards) { return {Command::Kind::Move, grain, way, 0}; }

// The moves that have a key, in the order of their buttons; with Shift it goes backwards.
struct MoveKey {
    Grain grain;
    int function_key; // 5 is F5
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

Command draw_controls(const View& view, const Rect& rect, const Fonts& fonts);
Command draw_timeline(const TimelineView& timeline, const Rect& rect);
// Where the machine is in its history, in a sentence.
std::string timeline_text(const TimelineView& timeline);
void draw_status(const View& view, const Rect& rect, const Fonts& fonts);
void draw_screen(const ScreenTexture& screen, const Rect& rect, const Fonts& fonts);
#define PANEL(name, model, place, size) void draw_##name(const model& shown, const Rect& rect, const Fonts& fonts);
FORKSCOPE_PANELS(PANEL)
#undef PANEL

// Below these something would not fit: a smaller window shows the frame reduced.
inline constexpr float kLeastWidth = 1560, kLeastHeight = 966;
inline constexpr float kDefaultWidth = 1600, kDefaultHeight = 1000;

// Lays out and draws everything over the whole display of the current ImGui context.
Command draw_frame(const View& view, const ScreenTexture& screen, const Fonts& fonts);

} // namespace forkscope::ui
