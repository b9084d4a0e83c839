#include "emu/base/text/printable.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "emu/base/types.hpp"

namespace forkscope {

std::size_t utf8_length(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<u8>(text[i]) : u8{0}; };
    const u8 first = byte(at);
    const std::size_t length = first < 0x80                    ? 1
                               : first >= 0xC2 && first < 0xE0 ? 2
                               : first >= 0xE0 && first < 0xF0 ? 3
                               : first >= 0xF0 && first < 0xF5 ? 4
                                                               : 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(at + i) & 0xC0) != 0x80)
            return 0;
    const u8 second = byte(at + 1);
    const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
    const bool no_character = (first == 0xED && second > 0x9F) || (first == 0xF4 && second > 0x8F);
    return overlong || no_character ? 0 : length;
}

bool steers_terminal(std::string_view character) {
    const auto first = static_cast<u8>(character[0]);
    return character.size() == 1 ? first < 0x20 || first == 0x7F
                                 : first == 0xC2 && static_cast<u8>(character[1]) < 0xA0; // C1
}

namespace {

std::string shown(std::string_view text, std::string_view kept) {
    std::string result;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = utf8_length(text, at);
        const std::string_view character = text.substr(at, std::max<std::size_t>(length, 1));
        const bool plain =
            length != 0 && (kept.find(character[0]) != std::string_view::npos || !steers_terminal(character));
        if (plain)
            result += character;
        else
            for (const char letter : character)
                result += fmt::format("\\x{:02x}", static_cast<u8>(letter));
        at += character.size();
    }
    return result;
}

} // namespace

std::string printable(std::string_view text) { return shown(text, "\n\t"); }
std::string printable_line(std::string_view text) { return shown(text, ""); }

} // namespace forkscope
