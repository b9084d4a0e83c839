#include <algorithm>
#include <array>
#include <cmath>

#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

namespace {

constexpr float kControlsHeight = 64, kTimelineHeight = 20, kStatusHeight = 24;
constexpr float kScreenWidth = 720, kScreenHeight = 400; // of a VGA in text mode
constexpr float kPanelHead = 29;
constexpr float kRegisterLetters = 36, kForkLines = 8;
constexpr float kMostOfStrip = 0.45f; // that a panel with a size of its own takes

struct Layout {
    Rect controls, timeline, status;
    std::array<Rect, kPanelSlots> slots;

    Rect& operator[](PanelSlot slot) { return slots[static_cast<std::size_t>(slot)]; }
    const Rect& operator[](PanelSlot slot) const { return slots[static_cast<std::size_t>(slot)]; }
};

Layout lay_out(float width, float height, bool has_timeline) {
    Layout at;
    at.controls = {kGap, kGap, width - 2 * kGap, kControlsHeight};
    at.status = {kGap, height - kStatusHeight, width - 2 * kGap, kStatusHeight};
    at.timeline = {kGap, kGap + kControlsHeight, width - 2 * kGap, has_timeline ? kTimelineHeight : 0};
    const float top = at.timeline.y + at.timeline.height + kGap;
    const float bottom = height - kStatusHeight - 2;
    const float left_width = std::clamp(std::floor(width * 0.46f), 400.0f, kScreenWidth + 2 * kPadding);
    const float screen_height =
        std::min(std::floor((left_width - 2 * kPadding) * kScreenHeight / kScreenWidth), (bottom - top) * 0.5f) +
        kPanelHead + 2;
    at[PanelSlot::Screen] = {kGap, top, left_width, screen_height};
    const float lower = top + screen_height + kGap;
    const float registers = std::min(kRegisterLetters * kLetter + 2 * kPadding, left_width * kMostOfStrip);
    at[PanelSlot::Registers] = {kGap, lower, registers, bottom - lower};
    at[PanelSlot::Code] = {2 * kGap + registers, lower, left_width - registers - kGap, bottom - lower};
    const float x = kGap + left_width + kGap;
    const float right_width = width - x - kGap;
    const float lists = std::floor(std::max((bottom - top) * 0.26f, 120.0f));
    const float upper = bottom - top - lists - kGap;
    const float forks = std::min(kPanelHead + kForkLines * kLine + 6, upper * kMostOfStrip);
    at[PanelSlot::Tables] = {x, top, right_width, upper - forks - kGap};
    at[PanelSlot::Forks] = {x, top + upper - forks, right_width, forks};
    const float half = std::floor((right_width - kGap) / 2);
    at[PanelSlot::Tlb] = {x, bottom - lists, half, lists};
    at[PanelSlot::Faults] = {x + half + kGap, bottom - lists, right_width - half - kGap, lists};
    return at;
}

// Of each slot the panel in front.
void draw_panels(const View& view, const ScreenTexture& screen, const Layout& at, const Fonts& fonts, Touch& touch) {
    for (std::size_t slot = 0; slot < kPanelSlots; ++slot) {
        const Rect& rect = at.slots[slot];
        const PanelId front = touch.front(static_cast<PanelSlot>(slot));
        touch.begin_panel(front);
        switch (front) {
        case PanelId::screen:
            draw_screen(screen, rect, fonts, touch);
            break;
#define PANEL(name, model, title, slot)                                                                                \
    case PanelId::name:                                                                                                \
        draw_##name(view.name, rect, fonts, touch);                                                                    \
        break;
            FORKSCOPE_PANELS(PANEL)
#undef PANEL
        }
    }
}

} // namespace

Command draw_frame(const View& view, const ScreenTexture& screen, const Fonts& fonts, Touch& touch) {
    const ImVec2 size = ImGui::GetIO().DisplaySize;
    const Layout at = lay_out(size.x, size.y, view.timeline.kept);
    touch.begin_frame(view);
    ImGui::SetNextWindowPos({0, 0});
    ImGui::SetNextWindowSize(size);
    ImGui::Begin("forkscope", nullptr,
                 ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings |
                     ImGuiWindowFlags_NoBringToFrontOnFocus | ImGuiWindowFlags_NoNav);
    draw_controls(view, at.controls, fonts, touch);
    if (view.timeline.kept)
        draw_timeline(view.timeline, at.timeline, touch);
    draw_panels(view, screen, at, fonts, touch);
    draw_status(view, at.status, fonts);
    ImGui::End();
    return touch.end_frame();
}

} // namespace forkscope::ui
