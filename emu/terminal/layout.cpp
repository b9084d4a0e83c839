#include "emu/terminal/layout.hpp"

#include <algorithm>

namespace forkscope::terminal {

namespace {

constexpr int kLargeRows = 40, kLargeColumns = 132; // from here on most panels are seen at once
constexpr int kRegisterRows = 11, kRegisterColumns = 34;

using P = PanelId;

void place_small(std::vector<Slot>& slots, int rows, int columns) {
    const int right = std::max(36, columns * 45 / 100), left = columns - right - 1;
    const int answers = std::max(8, rows * 35 / 100);
    slots.push_back({{0, 0, rows - answers, left}, {P::Source, P::Code, P::Memory, P::Processes, P::Events}});
    slots.push_back({{rows - answers, 0, answers, left}, {P::Answers}});
    slots.push_back({{0, left + 1, kRegisterRows, right}, {P::Registers, P::Stack, P::Points}});
    slots.push_back(
        {{kRegisterRows, left + 1, rows - kRegisterRows, right}, {P::Forks, P::Tables, P::Tlb, P::Faults, P::Screen}});
}

void place_large(std::vector<Slot>& slots, int rows, int columns) {
    const int right = columns / 2, left = columns - right - 1;
    const int answers = rows * 35 / 100, forks = 10, last = std::max(8, (rows - kRegisterRows - forks) / 2);
    const int stack = right - kRegisterColumns - 1;
    slots.push_back({{0, 0, rows - answers, left}, {P::Source, P::Code, P::Memory}});
    slots.push_back({{rows - answers, 0, answers, left}, {P::Answers, P::Screen}});
    slots.push_back({{0, left + 1, kRegisterRows, kRegisterColumns}, {P::Registers}});
    slots.push_back({{0, columns - stack, kRegisterRows, stack}, {P::Stack, P::Points}});
    slots.push_back({{kRegisterRows, left + 1, forks, right}, {P::Forks}});
    slots.push_back({{kRegisterRows + forks, left + 1, rows - kRegisterRows - forks - last, right}, {P::Tables}});
    slots.push_back({{rows - last, left + 1, last, right}, {P::Tlb, P::Faults, P::Processes, P::Events}});
}

} // namespace

std::string_view panel_title(PanelId panel) {
    constexpr std::array<std::string_view, kPanels> kTitles = {
        "Source",      "Code", "Memory", "Answers",   "Registers", "Stack",       "Forks",
        "Page tables", "TLB",  "Faults", "Processes", "Events",    "Breakpoints", "Screen"};
    return kTitles[static_cast<std::size_t>(panel)];
}

Focus::Focus() {
    for (const PanelId first : {P::Forks, P::Registers, P::Answers, P::Source})
        give(first);
}

void Focus::give(PanelId panel) {
    panel_ = panel;
    given_[static_cast<std::size_t>(panel)] = ++count_;
}

void Focus::next() { give(static_cast<PanelId>((static_cast<std::size_t>(panel_) + 1) % kPanels)); }
void Focus::previous() { give(static_cast<PanelId>((static_cast<std::size_t>(panel_) + kPanels - 1) % kPanels)); }

PanelId Focus::front_of(const std::vector<PanelId>& panels) const {
    return *std::max_element(panels.begin(), panels.end(), [&](PanelId a, PanelId b) {
        return given_[static_cast<std::size_t>(a)] < given_[static_cast<std::size_t>(b)];
    });
}

const Slot* Layout::slot_of(PanelId panel) const {
    for (const Slot& slot : slots)
        if (slot.shown == panel)
            return &slot;
    return nullptr;
}

Layout lay_out(int rows, int columns, const Focus& focus, Zoom zoom) {
    Layout layout;
    layout.status_row = rows - 2;
    layout.command_row = rows - 1;
    if (rows < kLeastRows || columns < kLeastColumns)
        return layout;
    if (zoom == Zoom::One)
        layout.slots.push_back({{0, 0, rows - 2, columns}, {focus.panel()}});
    else if (rows >= kLargeRows && columns >= kLargeColumns)
        place_large(layout.slots, rows - 2, columns);
    else
        place_small(layout.slots, rows - 2, columns);
    for (Slot& slot : layout.slots)
        slot.shown = focus.front_of(slot.panels);
    return layout;
}

} // namespace forkscope::terminal
