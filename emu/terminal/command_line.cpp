#include "emu/terminal/command_line.hpp"

#include <algorithm>

#include "emu/terminal/canvas.hpp"

namespace forkscope::terminal {

namespace {
constexpr std::size_t kMostHistory = 500, kMostCharacters = 2000;
}

void CommandLine::open(std::string prompt, std::string_view text) {
    prompt_ = std::move(prompt);
    characters_ = cells_of(text);
    cursor_ = characters_.size();
    recalled_ = history_.size();
    new_line_.clear();
    state_ = State::Typing;
}

std::string CommandLine::text() const {
    std::string text;
    for (const std::string& character : characters_)
        text += character;
    return text;
}

void CommandLine::recall(std::size_t place) {
    if (recalled_ == history_.size())
        new_line_ = text();
    recalled_ = place;
    characters_ = cells_of(place == history_.size() ? new_line_ : history_[place]);
    cursor_ = characters_.size();
}

void CommandLine::erase_word() {
    const auto blank = [&] { return characters_[cursor_ - 1] == " "; };
    const std::size_t end = cursor_;
    while (cursor_ > 0 && blank())
        --cursor_;
    while (cursor_ > 0 && !blank())
        --cursor_;
    const auto at = [&](std::size_t place) { return characters_.begin() + static_cast<std::ptrdiff_t>(place); };
    characters_.erase(at(cursor_), at(end));
}

// A control character edits as shells have it.
void CommandLine::insert(const std::string& character) {
    constexpr char kEraseLine = 'u' & 0x1F, kEraseWord = 'w' & 0x1F, kBegin = 'a' & 0x1F, kEnd = 'e' & 0x1F;
    const auto place = characters_.begin() + static_cast<std::ptrdiff_t>(cursor_);
    const char control = character.empty() ? '\0' : character[0];
    if (control == kEraseLine) {
        characters_.erase(characters_.begin(), place);
        cursor_ = 0;
    } else if (control == kEraseWord) {
        erase_word();
    } else if (control == kBegin || control == kEnd) {
        cursor_ = control == kBegin ? 0 : characters_.size();
    } else if (static_cast<u8>(control) >= ' ' && characters_.size() < kMostCharacters) {
        const std::vector<std::string> typed = cells_of(character);
        characters_.insert(place, typed.begin(), typed.end());
        cursor_ += typed.size();
    }
}

CommandLine::State CommandLine::press(const Key& key) {
    using Name = Key::Name;
    const auto place = characters_.begin() + static_cast<std::ptrdiff_t>(cursor_);
    switch (key.name) {
    case Name::Character:
        insert(key.character);
        break;
    case Name::Enter:
        if (const std::string line = text(); !line.empty() && (history_.empty() || history_.back() != line)) {
            history_.push_back(line);
            if (history_.size() > kMostHistory)
                history_.erase(history_.begin());
        }
        return state_ = State::Done;
    case Name::Escape:
    case Name::Interrupt:
        return state_ = State::Closed;
    case Name::Backspace:
        if (characters_.empty())
            return state_ = State::Closed;
        if (cursor_ > 0) {
            characters_.erase(place - 1);
            --cursor_;
        }
        break;
    case Name::Delete:
        if (cursor_ < characters_.size())
            characters_.erase(place);
        break;
    case Name::Left:
        cursor_ -= cursor_ > 0 ? 1 : 0;
        break;
    case Name::Right:
        cursor_ = std::min(cursor_ + 1, characters_.size());
        break;
    case Name::Home:
        cursor_ = 0;
        break;
    case Name::End:
        cursor_ = characters_.size();
        break;
    case Name::Up:
        if (recalled_ > 0)
            recall(recalled_ - 1);
        break;
    case Name::Down:
        if (recalled_ < history_.size())
            recall(recalled_ + 1);
        break;
    default:
        break;
    }
    return state_;
}

} // namespace forkscope::terminal
