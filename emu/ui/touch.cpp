#include "emu/ui/touch.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <utility>

#include "emu/base/log.hpp"
#include "emu/ui/theme.hpp"

namespace forkscope::ui {

namespace {

constexpr Colour kHover = IM_COL32(255, 255, 255, 24);

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

} // namespace

Touch::Touch() {
    for (auto place = std::rbegin(kPanelPlaces); place != std::rend(kPanelPlaces); ++place)
        front_[static_cast<std::size_t>(place->slot)] = place->id;
}

void Touch::begin_frame(const View& view) {
    command_ = {};
    space_ = view.space;
    // The answer to the first click may have changed what lies under the second.
    if (presses_ == 2 && is_something(clicked_)) {
        if (std::string moment = moment_of(std::exchange(clicked_, {})); !moment.empty())
            command_ = say(std::move(moment));
        presses_ = 0;
    } else if (presses_ != 0) {
        clicked_ = {};
    }
}

Command Touch::end_frame() {
    presses_ = 0;
    if (searching_ && !found_ && search_from_ >= 0) {
        search_from_ = -1; // from the panel's beginning, in the next frame
    } else if (searching_) {
        if (!found_)
            notice_ = fmt::format("'{}' is not in the panel {}", wanted_,
                                  kPanelPlaces[static_cast<std::size_t>(touched_)].title);
        searching_ = false;
    }
    return std::exchange(command_, {});
}

void Touch::begin_panel(PanelId panel) {
    panel_ = panel;
    rows_ = 0;
}

void Touch::bring_to_front(PanelId panel, Focus focus) {
    front_[static_cast<std::size_t>(kPanelPlaces[static_cast<std::size_t>(panel)].slot)] = panel;
    if (focus == Focus::Moves)
        touched_ = panel;
}

void Touch::row(const Subject& subject, const std::string& text, ImVec2 from, ImVec2 to, bool hovered) {
    const int number = rows_++;
    if (collecting_ && panel_ == chosen_.panel)
        collected_ += text + "\n";
    if (searching_ && !found_ && panel_ == touched_ && number > search_from_ &&
        lower(text).find(wanted_) != std::string::npos) {
        found_ = true;
        chosen_ = {panel_, number, text};
        ImGui::SetScrollHereY(0.4f);
    }
    ImDrawList& draw = *ImGui::GetWindowDrawList();
    if (hovered && is_something(subject))
        draw.AddRectFilled(from, to, kHover);
    if (hovered && presses_ != 0) {
        chosen_ = {panel_, number, text};
        touched_ = panel_;
        clicked_ = subject;
        clicked_at_ = ImGui::GetTime();
        const std::string moment = presses_ == 2 ? moment_of(subject) : ""; // both came between two frames
        if (!moment.empty())
            command_ = say(moment);
        else if (is_something(subject))
            command_ = {.kind = Command::Kind::Inspect, .subject = subject};
    }
    if (chosen_.panel == panel_ && chosen_.row == number && chosen_.text == text)
        draw.AddRect(from, to, kAccent);
}

void Touch::follow(u64 key, std::size_t row) {
    Followed& followed = followed_[static_cast<std::size_t>(panel_)];
    if (followed.key != key)
        followed = {key, kFramesToScroll};
    if (followed.frames == 0)
        return;
    --followed.frames;
    const float before = std::floor(ImGui::GetWindowHeight() / kLine / 3) * kLine;
    ImGui::SetScrollY(std::max(0.0f, static_cast<float>(row) * kLine - before));
}

void Touch::ask_for_line(const std::string& words) {
    line.fill(0);
    std::copy_n(words.begin(), std::min(words.size(), line.size() - 1), line.begin());
    line_wanted = true;
}

std::string Touch::take_collected() {
    if (collected_.empty())
        return {};
    collecting_ = false;
    return std::exchange(collected_, {});
}

void Touch::search(const std::string& text) {
    if (!text.empty())
        wanted_ = lower(text);
    if (wanted_.empty())
        return;
    searching_ = true;
    found_ = false;
    search_from_ = chosen_.panel == touched_ ? chosen_.row : -1;
}

} // namespace forkscope::ui
