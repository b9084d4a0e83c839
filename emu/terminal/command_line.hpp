// Owns: CommandLine, the line that a person types at the bottom: editing, and what was typed before.
// Callers: the face. Promises: any key is an answer; a character is never cut in two.
#pragma once

#include <string>
#include <vector>

#include "emu/terminal/keys.hpp"

namespace forkscope::terminal {

class CommandLine {
  public:
    enum class State : u8 { Closed, Typing, Done };

    // `prompt` stands before it; `text` is there already.
    void open(std::string prompt, std::string_view text);
    bool typing() const { return state_ == State::Typing; }
    // Done: text() is the finished line. Closed: the line was cancelled.
    State press(const Key& key);

    const std::string& prompt() const { return prompt_; }
    std::string text() const;
    std::size_t cursor() const { return cursor_; } // in characters

  private:
    void recall(std::size_t place);
    void insert(const std::string& character);
    void erase_word();

    State state_ = State::Closed;
    std::string prompt_;
    std::vector<std::string> characters_;
    std::size_t cursor_ = 0;
    std::vector<std::string> history_;
    std::size_t recalled_ = 0; // history_.size(): the new line
    std::string new_line_;
};

} // namespace forkscope::terminal
