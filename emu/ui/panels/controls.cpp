#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/report/report_text.hpp"
#include "emu/ui/panels/panels.hpp"

namespace forkscope::ui {

// "1.234 567 s".
static std::string simulated_time(const View& view) {
    const u64 rate = view.cycles_per_second;
    const u64 microseconds = view.cycle / rate * 1'000'000 + view.cycle % rate * 1'000'000 / rate;
    return fmt::format("{}.{:06} s", grouped(microseconds / 1'000'000), microseconds % 1'000'000);
}

// F1 to F4, F6 and F12 stay the guest's.
std::span<const MoveKey> move_keys() {
    static constexpr MoveKey kKeys[] = {
        {Grain::Instruction, 10, "Step", "One instruction, or one interrupt or fault",
         "One instruction back (Shift+F10)"},
        {Grain::Line, 8, "Line", "To the next source line, into functions", "To the source line before (Shift+F8)"},
        {Grain::TableWrite, 7, "Entry", "To behind the next store into a page table",
         "To behind the store into a page table before (Shift+F7)"},
        {Grain::Fault, 9, "Fault", "To the next page fault", "To the page fault before (Shift+F9)"},
        {Grain::Stop, 11, "Stop", "To the next stop of a fork", "To the stop of a fork before (Shift+F11)"},
    };
    return kKeys;
}

static float figure(float right, float y, const char* label, const std::string& value) {
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    const float value_x = right - static_cast<float>(value.size()) * kLetter;
    draw.AddText({value_x, y}, kText, value.c_str());
    const float label_x = value_x - static_cast<float>(letter_count(label) + 1) * kLetter;
    draw.AddText({label_x, y}, kDim, label);
    return label_x - 3 * kLetter;
}

Command draw_controls(const View& view, const Rect& rect, const Fonts& fonts) {
    Command command;
    ImGui::SetCursorScreenPos({rect.x, rect.y});
    ImGui::BeginChild("controls", {rect.width, rect.height}, false, ImGuiWindowFlags_NoScrollbar);
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    draw.AddText(fonts.bold, kFontSize, {rect.x + 2, rect.y + 8}, kTitle, "Forkscope");
    ImGui::SetCursorScreenPos({rect.x + 2 + 12 * kLetter, rect.y + 3});
    const auto button = [&](const char* text, const char* id, const Command& wanted, const char* help) {
        ImGui::PushID(id);
        if (ImGui::Button(text))
            command = wanted;
        ImGui::PopID();
        if (ImGui::IsItemHovered())
            ImGui::SetTooltip("%s", help);
        ImGui::SameLine(0, 3);
    };
    button("←", "reverse", {.kind = Command::Kind::Reverse},
           "Back to where a breakpoint or --until was met last, or to the beginning of history (Shift+F5)");
    button(view.running ? "▌▌ Pause  F5" : "▶ Run  F5", "run", {.kind = Command::Kind::RunOrPause},
           "Run the guest at most at real time, or pause it; in the past, run again what was run");
    for (const MoveKey& key : move_keys()) {
        ImGui::SameLine(0, kGap + kLetter);
        button("←", key.button, move_by(key.grain, Way::Backwards), key.backwards);
        button(fmt::format("{}  F{}", key.button, key.function_key).c_str(), "forwards", move_by(key.grain),
               key.forwards);
    }
    const float y = rect.y + 8;
    float right = rect.x + rect.width - 4;
    right = figure(right, y, "simulated", simulated_time(view));
    right = figure(right, y, "cycles", grouped(view.cycle));
    right = figure(right, y, "instructions", grouped(view.instructions));
    if (view.mips > 0)
        figure(right, y, "speed", fmt::format("{:.1f} MIPS", view.mips));
    ImGui::EndChild();
    return command;
}

void draw_status(const View& view, const Rect& rect, const Fonts& fonts) {
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    const char* word = view.running ? "running" : "stopped";
    draw.AddText(fonts.bold, kFontSize, {rect.x + 2, rect.y + 3}, view.running ? kGood : kChanged, word);
    const std::string keys = "F5 run or pause   F7 to F11 move, with Shift backwards   other keys go to the guest";
    const auto letters = static_cast<std::size_t>(rect.width / kLetter);
    const std::size_t room = letters > keys.size() + 14 ? letters - keys.size() - 14 : letters - 10;
    draw.AddText({rect.x + 2 + 9 * kLetter, rect.y + 3}, kText, fitted(view.status, room).c_str());
    if (letters > keys.size() + 14)
        draw.AddText({rect.x + rect.width - 4 - static_cast<float>(keys.size()) * kLetter, rect.y + 3}, kDim,
                     keys.c_str());
}

} // namespace forkscope::ui
