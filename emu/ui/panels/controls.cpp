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
        {Grain::Over, 0, "Over", "To the next source line, over the functions that it calls",
         "To the source line before, over the functions that it calls"},
        {Grain::Out, 0, "Out", "To behind the call of this function", "To before the call of this function"},
        {Grain::TlbFill, 0, "Fill", "To behind the next translation that the TLB takes",
         "To behind the last one that it took"},
        {Grain::TlbEvict, 0, "Evict", "To where the TLB gives up a translation for another",
         "To the last one that it gave up for another"},
        {Grain::TlbFlush, 0, "Flush", "To where translations are invalidated", "To where they were invalidated last"},
        {Grain::SystemCall, 0, "Syscall", "To the next system call", "To the system call before"},
        {Grain::ContextSwitch, 0, "Switch", "To where CR3 gets another address space",
         "To where it got another address space last"},
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

static void draw_figures(const View& view, const Rect& rect) {
    const float y = rect.y + 8;
    float right = rect.x + rect.width - 4;
    right = figure(right, y, "simulated", simulated_time(view));
    right = figure(right, y, "cycles", grouped(view.cycle));
    right = figure(right, y, "instructions", grouped(view.instructions));
    if (view.mips > 0)
        figure(right, y, "speed", fmt::format("{:.1f} MIPS", view.mips));
}

// The line for commands over the rest of the row.
static void draw_command_line(float right, Touch& touch) {
    ImGui::SameLine(0, kGap + kLetter);
    ImGui::SetNextItemWidth(right - ImGui::GetCursorScreenPos().x);
    if (std::exchange(touch.line_wanted, false))
        ImGui::SetKeyboardFocusHere();
    // What stands there already is gone on from, not typed over.
    const auto at_end = [](ImGuiInputTextCallbackData* data) {
        if (data->SelectionStart != data->SelectionEnd && data->EventChar == 0 && ImGui::IsItemActivated())
            data->SelectionStart = data->SelectionEnd = data->CursorPos = data->BufTextLen;
        return 0;
    };
    if (ImGui::InputTextWithHint("##command", "command: why 0xbfffe000   /text searches   help (Ctrl+L)",
                                 touch.line.data(), touch.line.size(),
                                 ImGuiInputTextFlags_EnterReturnsTrue | ImGuiInputTextFlags_CallbackAlways, at_end)) {
        const std::string words = touch.line.data();
        touch.line[0] = 0;
        if (words.starts_with('/'))
            touch.search(words.substr(1));
        else if (!words.empty())
            touch.ask(say(words));
        touch.line_wanted = true; // for the next one
    }
    if (ImGui::IsItemHovered() && !ImGui::IsItemActive())
        ImGui::SetTooltip("Any command of the stepper; 'help' lists them. /text searches in the panel that was clicked "
                          "last.\nEsc or a click elsewhere gives the keys back to the guest.");
}

void draw_controls(const View& view, const Rect& rect, const Fonts& fonts, Touch& touch) {
    ImGui::SetCursorScreenPos({rect.x, rect.y});
    ImGui::BeginChild("controls", {rect.width, rect.height}, false, ImGuiWindowFlags_NoScrollbar);
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    draw.AddText(fonts.bold, kFontSize, {rect.x + 2, rect.y + 8}, kTitle, "Forkscope");
    const float left = rect.x + 2 + 12 * kLetter;
    ImGui::SetCursorScreenPos({left, rect.y + 3});
    const auto button = [&](const char* text, const char* id, const Command& wanted, const char* help) {
        ImGui::PushID(id);
        if (ImGui::Button(text))
            touch.ask(wanted);
        ImGui::PopID();
        if (ImGui::IsItemHovered())
            ImGui::SetTooltip("%s", help);
        ImGui::SameLine(0, 3);
    };
    button("←", "reverse", {.kind = Command::Kind::Reverse},
           "Back to where a breakpoint or --until was met last, or to the beginning of history (Shift+F5)");
    button(view.running ? "▌▌ Pause  F5" : "▶ Run  F5", "run", {.kind = Command::Kind::RunOrPause},
           "Run the guest at most at real time, or pause it; in the past, run again what was run");
    bool second_row = false;
    for (const MoveKey& key : move_keys()) {
        if (key.function_key == 0 && !second_row) {
            second_row = true;
            ImGui::SetCursorScreenPos({left, rect.y + 33});
        } else {
            ImGui::SameLine(0, kGap + kLetter);
        }
        button("←", key.button, move_by(key.grain, Way::Backwards), key.backwards);
        const std::string text =
            key.function_key != 0 ? fmt::format("{}  F{}", key.button, key.function_key) : key.button;
        button(text.c_str(), fmt::format("forwards {}", key.button).c_str(), move_by(key.grain), key.forwards);
    }
    draw_command_line(rect.x + rect.width - 4, touch);
    draw_figures(view, rect);
    ImGui::EndChild();
}

void draw_status(const View& view, const Rect& rect, const Fonts& fonts) {
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    const char* word = view.running ? "running" : "stopped";
    draw.AddText(fonts.bold, kFontSize, {rect.x + 2, rect.y + 3}, view.running ? kGood : kChanged, word);
    const std::string keys =
        "click: what is it   double click: to the moment that made it   F5 run or pause   other keys go to the guest";
    const auto letters = static_cast<std::size_t>(rect.width / kLetter);
    const std::size_t room = letters > keys.size() + 14 ? letters - keys.size() - 14 : letters - 10;
    draw.AddText({rect.x + 2 + 9 * kLetter, rect.y + 3}, kText, fitted(view.status, room).c_str());
    if (letters > keys.size() + 14)
        draw.AddText({rect.x + rect.width - 4 - static_cast<float>(keys.size()) * kLetter, rect.y + 3}, kDim,
                     keys.c_str());
}

} // namespace forkscope::ui
