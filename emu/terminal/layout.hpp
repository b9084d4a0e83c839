// Owns: where the panels stand: slots that hold one or several panels, of which one is shown; which panel has the keys.
// Callers: the face. Promises: pure; slots never overlap and fill all rows but the last two.
#pragma once

#include <array>
#include <vector>

#include "emu/terminal/canvas.hpp"

namespace forkscope::terminal {

enum class PanelId : u8 {
    Source,
    Code,
    Memory,
    Answers,
    Registers,
    Stack,
    Forks,
    Tables,
    Tlb,
    Faults,
    Processes,
    Events,
    Points,
    Screen
};
inline constexpr std::size_t kPanels = 14;
std::string_view panel_title(PanelId panel);

// The panel that has the keys, and how recently each other one had them.
class Focus {
  public:
    Focus();
    PanelId panel() const { return panel_; }
    void give(PanelId panel);
    void next();
    void previous();
    // Of several in one slot, that which had the keys last.
    PanelId front_of(const std::vector<PanelId>& panels) const;

  private:
    PanelId panel_ = PanelId::Source;
    std::array<u64, kPanels> given_{};
    u64 count_ = 0;
};

struct Slot {
    Rect rect; // its first row holds the titles
    std::vector<PanelId> panels;
    PanelId shown = PanelId::Source;

    Rect inside() const { return {rect.row + 1, rect.column, rect.rows - 1, rect.columns}; }
};

inline constexpr int kLeastRows = 24, kLeastColumns = 80;

enum class Zoom : u8 { All, One };

// No slots: the terminal is too small.
struct Layout {
    std::vector<Slot> slots;
    int status_row = 0, command_row = 0;

    const Slot* slot_of(PanelId panel) const;
};
Layout lay_out(int rows, int columns, const Focus& focus, Zoom zoom);

} // namespace forkscope::terminal
