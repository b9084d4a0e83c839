#include <algorithm>
#include <cmath>

#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

void draw_screen(const ScreenTexture& screen, const Rect& rect, const Fonts& fonts, Touch& touch) {
    Panel panel(touch, rect, fonts, "what the guest's monitor shows");
    if (ImGui::IsWindowHovered() && ImGui::IsMouseClicked(ImGuiMouseButton_Left))
        touch.let_go();
    const ImVec2 start = ImGui::GetCursorScreenPos();
    const ImVec2 room = ImGui::GetContentRegionAvail();
    if (screen.width <= 0 || screen.height <= 0)
        return dim_line(touch, "no picture");
    const auto width = static_cast<float>(screen.width);
    const auto height = static_cast<float>(screen.height);
    // Its own size where that fits, for sharp letters.
    const float scale = std::min({1.0f, room.x / width, room.y / height});
    const float x = std::floor(start.x + (room.x - width * scale) / 2);
    const float y = std::floor(start.y + (room.y - height * scale) / 2);
    ImGui::GetWindowDrawList()->AddImage(screen.id, {x, y}, {x + width * scale, y + height * scale});
}

} // namespace forkscope::ui
