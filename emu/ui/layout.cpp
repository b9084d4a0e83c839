#include <algorithm>
#include <cmath>
#include <span>

#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

namespace {

constexpr float kControlsHeight = 36, kTimelineHeight = 20, kStatusHeight = 24;
constexpr float kScreenWidth = 720, kScreenHeight = 400; // of a VGA in text mode
constexpr float kPanelHead = 29;
constexpr float kMostOfStrip = 0.45f; // that a panel with a size of its own takes

enum class Along : u8 { X, Y };

struct Strip {
    Rect rect;
    Along along;
};

struct Layout {
    Rect controls, timeline, status, screen;
    Strip left, right, bottom; // of panels
};

// Where a panel is, and how large it would be along its strip; 0: it shares what the others leave.
struct Wanted {
    const Strip* strip;
    float size;
    Rect rect;
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
    at.screen = {kGap, top, left_width, screen_height};
    const float lower = top + screen_height + kGap;
    at.left = {{kGap, lower, left_width, bottom - lower}, Along::X};
    const float x = kGap + left_width + kGap;
    const float right_width = width - x - kGap;
    const float lists_height = std::floor(std::max((bottom - top) * 0.26f, 120.0f));
    at.right = {{x, top, right_width, bottom - top - lists_height - kGap}, Along::Y};
    at.bottom = {{x, bottom - lists_height, right_width, lists_height}, Along::X};
    return at;
}

// Gives each panel of a strip its place.
void divide(const Strip& strip, std::span<Wanted> panels) {
    const float whole = strip.along == Along::X ? strip.rect.width : strip.rect.height;
    float left = whole + kGap;
    float sharing = 0;
    for (Wanted& panel : panels) {
        if (panel.strip != &strip)
            continue;
        panel.size = std::min(panel.size, whole * kMostOfStrip);
        left -= panel.size + kGap;
        sharing += panel.size == 0 ? 1 : 0;
    }
    Rect rest = strip.rect;
    for (Wanted& panel : panels) {
        if (panel.strip != &strip)
            continue;
        float size = panel.size;
        if (size == 0) {
            size = sharing > 1 ? std::floor(left / sharing) : left;
            left -= size;
            --sharing;
        }
        panel.rect = rest;
        (strip.along == Along::X ? panel.rect.width : panel.rect.height) = size;
        (strip.along == Along::X ? rest.x : rest.y) += size + kGap;
    }
}

void draw_panels(const View& view, const Layout& at, const Fonts& fonts) {
    enum class Place : u8 { Left, Right, Bottom };
    const auto wanted = [&](Place place, float size) -> Wanted {
        if (place == Place::Left)
            return {&at.left, size == 0 ? 0 : size * kLetter + 2 * kPadding, {}};
        if (place == Place::Right)
            return {&at.right, size == 0 ? 0 : kPanelHead + size * kLine + 6, {}};
        return {&at.bottom, 0, {}};
    };
    Wanted panels[] = {
#define PANEL(name, model, place, size) wanted(Place::place, size),
        FORKSCOPE_PANELS(PANEL)
#undef PANEL
    };
    for (const Strip* strip : {&at.left, &at.right, &at.bottom})
        divide(*strip, panels);
    const Wanted* next = panels;
#define PANEL(name, model, place, size) draw_##name(view.name, next++->rect, fonts);
    FORKSCOPE_PANELS(PANEL)
#undef PANEL
}

} // namespace

Command draw_frame(const View& view, const ScreenTexture& screen, const Fonts& fonts) {
    const ImVec2 size = ImGui::GetIO().DisplaySize;
    const Layout at = lay_out(size.x, size.y, view.timeline.kept);
    ImGui::SetNextWindowPos({0, 0});
    ImGui::SetNextWindowSize(size);
    ImGui::Begin("forkscope", nullptr,
                 ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings |
                     ImGuiWindowFlags_NoBringToFrontOnFocus | ImGuiWindowFlags_NoNav);
    Command command = draw_controls(view, at.controls, fonts);
    if (view.timeline.kept)
        if (const Command drag = draw_timeline(view.timeline, at.timeline); drag != Command{})
            command = drag;
    draw_screen(screen, at.screen, fonts);
    draw_panels(view, at, fonts);
    draw_status(view, at.status, fonts);
    ImGui::End();
    return command;
}

} // namespace forkscope::ui
