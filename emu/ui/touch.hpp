// Owns: Command, what a person asked for in a frame; Touch, what mouse and person do with rows, cells and tabs.
// Callers: window and picture keep a Touch, panels tell it of each row. Promises: a click is told at once, a double
// click as what was under the first one, whatever has come to lie there since; a search sees every row of a panel.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include <imgui.h>

#include "emu/session/stepper/stepper.hpp"
#include "emu/view/view.hpp"

namespace forkscope::ui {

struct Command {
    // Words: a command of the stepper, or `show …`. Copy: the chosen row; CopyPanel: all of its panel.
    enum class Kind : u8 { None, RunOrPause, Reverse, Move, GoTo, Branch, Inspect, Words, Copy, CopyPanel, Ask };

    Kind kind = Kind::None;
    Grain grain = Grain::Instruction; // of a move
    Way way = Way::Forwards;
    u64 number = 0;         // GoTo: of instructions; Branch: its own
    Subject subject = {};   // Inspect
    std::string words = {}; // Words; Ask: what stands in the line for commands already

    bool asked() const { return kind != Kind::None; }
};
inline Command move_by(Grain grain, Way way = Way::Forwards) {
    return {.kind = Command::Kind::Move, .grain = grain, .way = way};
}
inline Command say(std::string words) { return {.kind = Command::Kind::Words, .words = std::move(words)}; }

enum class PanelSlot : u8 { Screen, Registers, Code, Tables, Forks, Tlb, Faults };
inline constexpr std::size_t kPanelSlots = 7;

enum class PanelId : u8 {
    screen,
#define PANEL(name, model, title, slot) name,
    FORKSCOPE_PANELS(PANEL)
#undef PANEL
};
struct PanelPlace {
    PanelId id;
    const char* title;
    PanelSlot slot;
};
inline constexpr PanelPlace kPanelPlaces[] = {{PanelId::screen, "Guest screen", PanelSlot::Screen},
#define PANEL(name, model, title, slot) {PanelId::name, title, PanelSlot::slot},
                                              FORKSCOPE_PANELS(PANEL)
#undef PANEL
};
inline constexpr std::size_t kPanelCount = std::size(kPanelPlaces);

class Touch {
  public:
    Touch();

    // The left button went down where the mouse is: for the second time in a row, where `clicks` is 2. Told by who
    // hears of it in order and in time: frames may be slow.
    void press(int clicks) { presses_ = std::max(presses_, std::min(clicks, 2)); }
    void begin_frame(const View& view);
    // What was asked for in this frame. Copies and what was not found are said by `notice`.
    Command end_frame();
    void ask(Command command) { command_ = std::move(command); }

    // The panel that is drawn next.
    void begin_panel(PanelId panel);
    PanelId panel() const { return panel_; }
    PanelId front(PanelSlot slot) const { return front_[static_cast<std::size_t>(slot)]; }
    // Focus: whether a search is in it from now on.
    enum class Focus : u8 { Stays, Moves };
    void bring_to_front(PanelId panel, Focus focus = Focus::Moves);

    // A row or a cell was drawn there.
    void row(const Subject& subject, const std::string& text, ImVec2 from, ImVec2 to, bool hovered);
    // Scrolls the list that is being drawn to a line, whenever `key`, which says what the list shows, has changed.
    void follow(u64 key, std::size_t row);
    u32 space() const { return space_; }
    double clicked_at() const { return clicked_at_; } // in ImGui's seconds

    // --- The chosen row
    bool has_choice() const { return chosen_.row >= 0; }
    const std::string& chosen_text() const { return chosen_.text; }
    void let_go() { chosen_ = {}; }
    // The rows of its panel; collected in the next frame.
    void collect() { collecting_ = true; }
    std::string take_collected();

    // --- Search, in the panel that was touched last
    void search(const std::string& text);
    std::string take_notice() { return std::exchange(notice_, {}); }

    // --- The line for commands
    std::array<char, 512> line{};
    bool line_wanted = false; // gets the keys in the next frame
    void ask_for_line(const std::string& words);

  private:
    struct Chosen {
        PanelId panel = PanelId::screen;
        int row = -1;
        std::string text;
    };
    struct Followed {
        u64 key = ~u64{0};
        int frames = 0; // that are left to scroll in: a list knows its length one frame late
    };
    static constexpr int kFramesToScroll = 3;

    std::array<PanelId, kPanelSlots> front_{};
    std::array<Followed, kPanelCount> followed_{};
    Command command_;
    PanelId panel_ = PanelId::screen;
    int rows_ = 0; // of the panel so far
    int presses_ = 0;
    u32 space_ = 0;
    Subject clicked_;
    double clicked_at_ = -1e9;
    Chosen chosen_;
    bool collecting_ = false;
    std::string collected_;
    std::string wanted_; // what is searched for
    bool searching_ = false, found_ = false;
    int search_from_ = -1;
    PanelId touched_ = PanelId::code;
    std::string notice_;
};

} // namespace forkscope::ui
