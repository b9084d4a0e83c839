#include <algorithm>
#include <cmath>

#include "emu/base/log.hpp"
#include "emu/report/report_text.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

namespace {

constexpr float kTextLetters = 92; // "in the past, 1 234 567 890 instructions before …"
constexpr float kSnap = 4;         // pixels within which the pointer takes a mark
constexpr std::size_t kMostButtons = 6;

// The history's instructions along the bar. Sleep takes no room: nothing is to be seen in it.
class Scale {
  public:
    Scale(const TimelineView& timeline, float left, float width)
        : begin_(timeline.beginning.instructions), whole_(std::max<u64>(1, timeline.end.instructions - begin_)),
          left_(left), width_(width) {}

    float x(u64 instructions) const {
        const u64 behind = std::clamp(instructions, begin_, begin_ + whole_) - begin_;
        return std::floor(left_ +
                          width_ * static_cast<float>(static_cast<double>(behind) / static_cast<double>(whole_)));
    }
    u64 instructions(float x) const {
        const double part = std::clamp(static_cast<double>((x - left_) / width_), 0.0, 1.0);
        return begin_ + static_cast<u64>(std::llround(part * static_cast<double>(whole_)));
    }

  private:
    u64 begin_, whole_;
    float left_, width_;
};

const TimelineMark* mark_near(const TimelineView& timeline, const Scale& scale, float x) {
    const TimelineMark* nearest = nullptr;
    float distance = kSnap;
    for (const auto* marks : {&timeline.stops, &timeline.faults})
        for (const TimelineMark& mark : *marks)
            if (const float away = std::abs(scale.x(mark.instructions) - x); away < distance) {
                nearest = &mark;
                distance = away;
            }
    return nearest;
}

void draw_bar(const TimelineView& timeline, const Scale& scale, const Rect& bar) {
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    const float bottom = bar.y + bar.height;
    const float now = timeline.in_past ? scale.x(timeline.now.instructions) : bar.x + bar.width;
    draw.AddRectFilled({bar.x, bar.y}, {bar.x + bar.width, bottom}, kAbsent);
    draw.AddRectFilled({bar.x, bar.y}, {now, bottom}, kCurrentLine);
    for (const TimelineMark& mark : timeline.faults)
        draw.AddRectFilled({scale.x(mark.instructions), bar.y + bar.height / 2},
                           {scale.x(mark.instructions) + 1, bottom}, kSharedReadOnly);
    for (const TimelineMark& mark : timeline.stops)
        draw.AddRectFilled({scale.x(mark.instructions), bar.y},
                           {scale.x(mark.instructions) + 1, bar.y + bar.height / 2}, kAccent);
    // Where branches part from this one, and this one from its parent.
    for (const TimelineView::Branch& branch : timeline.branches)
        if (branch.parent != 0 && (branch.parent == timeline.branch || branch.id == timeline.branch)) {
            const float x = scale.x(branch.from);
            draw.AddTriangleFilled({x - 4, bar.y}, {x + 4, bar.y}, {x, bar.y + 7}, kGood);
        }
    draw.AddRectFilled({now - 1, bar.y - 2}, {now + 1, bottom + 2}, kTitle);
    draw.AddTriangleFilled({now - 5, bottom + 2}, {now + 5, bottom + 2}, {now, bottom - 4}, kTitle);
}

void branch_buttons(const TimelineView& timeline, Touch& touch) {
    const std::size_t count = timeline.branches.size();
    for (std::size_t i = count > kMostButtons ? count - kMostButtons : 0; count > 1 && i < count; ++i) {
        const TimelineView::Branch& branch = timeline.branches[i];
        const bool present = branch.id == timeline.branch;
        ImGui::PushID(static_cast<int>(branch.id));
        ImGui::PushStyleColor(ImGuiCol_Text, present ? kChanged : kText);
        if (ImGui::SmallButton(fmt::format("{}", branch.id).c_str()))
            touch.ask({.kind = Command::Kind::Branch, .number = branch.id});
        ImGui::PopStyleColor();
        ImGui::PopID();
        if (ImGui::IsItemHovered())
            ImGui::SetTooltip("branch %u, from instruction %s to %s%s\nclick: to its end", branch.id,
                              grouped(branch.from).c_str(), grouped(branch.end).c_str(),
                              branch.parent == 0 ? "" : fmt::format("; parts from branch {}", branch.parent).c_str());
        ImGui::SameLine(0, 3);
    }
}

} // namespace

std::string timeline_text(const TimelineView& timeline) {
    const std::string of_branch = timeline.branches.size() > 1 ? fmt::format(" of branch {}", timeline.branch) : "";
    if (!timeline.in_past)
        return "the present" + of_branch;
    const std::string left = grouped(timeline.end.instructions - timeline.now.instructions);
    const char* const where = timeline.now <= timeline.beginning ? "the beginning of history" : "in the past";
    return fmt::format("{}, {} instructions before the present{}; keys start a branch", where, left, of_branch);
}

void draw_timeline(const TimelineView& timeline, const Rect& rect, Touch& touch) {
    const Rect bar = {rect.x + kPadding, rect.y + 2, rect.width - kTextLetters * kLetter - 4 * kPadding,
                      rect.height - 6};
    const Scale scale(timeline, bar.x, bar.width);
    draw_bar(timeline, scale, bar);
    ImGui::SetCursorScreenPos({bar.x - kPadding, rect.y});
    ImGui::InvisibleButton("timeline", {bar.width + 2 * kPadding, rect.height});
    const ImVec2 mouse = ImGui::GetIO().MousePos;
    const TimelineMark* mark = mark_near(timeline, scale, mouse.x);
    const u64 pointed = mark != nullptr ? mark->instructions : scale.instructions(mouse.x);
    if (ImGui::IsItemActivated() || (ImGui::IsItemActive() && ImGui::GetIO().MouseDelta.x != 0))
        touch.ask({.kind = Command::Kind::GoTo, .number = pointed});
    if (ImGui::IsItemHovered() || ImGui::IsItemActive())
        ImGui::SetTooltip("%s%sinstruction %s", mark != nullptr ? mark->text().c_str() : "",
                          mark != nullptr ? "\n" : "", grouped(pointed).c_str());
    ImGui::SetCursorScreenPos({bar.x + bar.width + 2 * kPadding, rect.y});
    branch_buttons(timeline, touch);
    const ImVec2 at = ImGui::GetCursorScreenPos();
    const float room = (rect.x + rect.width - at.x) / kLetter;
    ImGui::GetWindowDrawList()->AddText(
        {at.x, rect.y + 1}, timeline.in_past ? kChanged : kDim,
        fitted(timeline_text(timeline), static_cast<std::size_t>(std::max(1.0f, room))).c_str());
}

} // namespace forkscope::ui
