#include <algorithm>
#include <cmath>

#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

namespace {

constexpr float kControlsHeight = 36, kStatusHeight = 24;
constexpr float kScreenWidth = 720, kScreenHeight = 400; // of a VGA in text mode
constexpr float kPanelHead = 29;
constexpr float kRegistersWidth = 36 * kLetter + 2 * kPadding;

struct Layout {
    Rect controls, status, screen, registers, code, tables, forks, tlb, faults;
};

Layout lay_out(float width, float height) {
    Layout at;
    at.controls = {kGap, kGap, width - 2 * kGap, kControlsHeight};
    at.status = {kGap, height - kStatusHeight, width - 2 * kGap, kStatusHeight};
    const float top = kGap + kControlsHeight + kGap;
    const float bottom = height - kStatusHeight - 2;
    const float left_width = std::clamp(std::floor(width * 0.46f), 400.0f, kScreenWidth + 2 * kPadding);
    const float screen_height =
        std::min(std::floor((left_width - 2 * kPadding) * kScreenHeight / kScreenWidth), (bottom - top) * 0.5f) +
        kPanelHead + 2;
    at.screen = {kGap, top, left_width, screen_height};
    const float lower = top + screen_height + kGap;
    const float registers_width = std::min(kRegistersWidth, left_width * 0.45f);
    at.registers = {kGap, lower, registers_width, bottom - lower};
    at.code = {kGap + registers_width + kGap, lower, left_width - registers_width - kGap, bottom - lower};
    const float x = kGap + left_width + kGap;
    const float right_width = width - x - kGap;
    const float whole = bottom - top;
    const float forks_height = std::min(kPanelHead + 8 * kLine + 6, whole * 0.2f);
    const float lists_height = std::floor(std::max(whole * 0.26f, 120.0f));
    const float tables_height = whole - forks_height - lists_height - 2 * kGap;
    at.tables = {x, top, right_width, tables_height};
    at.forks = {x, top + tables_height + kGap, right_width, forks_height};
    const float lists_top = at.forks.y + forks_height + kGap;
    const float tlb_width = std::floor(right_width * 0.495f);
    at.tlb = {x, lists_top, tlb_width, bottom - lists_top};
    at.faults = {x + tlb_width + kGap, lists_top, right_width - tlb_width - kGap, bottom - lists_top};
    return at;
}

} // namespace

Command draw_frame(const View& view, const ScreenTexture& screen, const Fonts& fonts) {
    const ImVec2 size = ImGui::GetIO().DisplaySize;
    const Layout at = lay_out(size.x, size.y);
    ImGui::SetNextWindowPos({0, 0});
    ImGui::SetNextWindowSize(size);
    ImGui::Begin("forkscope", nullptr,
                 ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings |
                     ImGuiWindowFlags_NoBringToFrontOnFocus | ImGuiWindowFlags_NoNav);
    const Command command = draw_controls(view, at.controls, fonts);
    draw_screen(screen, at.screen, fonts);
    draw_registers(view, at.registers, fonts);
    draw_code(view.code, at.code, fonts);
    draw_tables(view.tables, at.tables, fonts);
    draw_forks(view, at.forks, fonts);
    draw_tlb(view.tlb, at.tlb, fonts);
    draw_faults(view, at.faults, fonts);
    draw_status(view, at.status, fonts);
    ImGui::End();
    return command;
}

} // namespace forkscope::ui
