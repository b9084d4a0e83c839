#include "emu/session/guest_words.hpp"

#include <algorithm>

#include "emu/base/text/printable.hpp"

namespace forkscope {

std::vector<std::string> screen_lines(const Machine& machine) {
    const TextScreen screen = machine.vga().text_screen();
    std::vector<std::string> lines;
    for (int row = 0; row < screen.rows; ++row) {
        std::string& line = lines.emplace_back();
        for (int column = 0; column < screen.columns; ++column) {
            const u8 c = static_cast<u8>(screen.cells[static_cast<std::size_t>(row * screen.columns + column)]);
            line += c >= 32 && c < 127 ? static_cast<char>(c) : ' ';
        }
    }
    return lines;
}

std::string last_words(const std::string& serial, const Machine& machine) {
    constexpr std::size_t kMostLines = 10;
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < serial.size();) {
        const std::size_t end = std::min(serial.find('\n', at), serial.size());
        lines.push_back(printable_line(serial.substr(at, end - at)));
        at = end + 1;
    }
    if (serial.empty())
        lines = screen_lines(machine);
    for (std::string& line : lines)
        line.erase(line.find_last_not_of(' ') + 1);
    std::erase(lines, "");
    std::string text;
    for (std::size_t i = lines.size() - std::min(lines.size(), kMostLines); i < lines.size(); ++i)
        text += "\n  " + lines[i];
    return text.empty() ? ""
                        : fmt::format("the guest's {} ends with:{}", serial.empty() ? "screen" : "serial output", text);
}

} // namespace forkscope
