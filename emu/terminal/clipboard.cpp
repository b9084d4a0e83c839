#include "emu/terminal/clipboard.hpp"

#include <algorithm>

#include "emu/base/types.hpp"

namespace forkscope::terminal {

namespace {

constexpr std::size_t kMost = 74994; // bytes: 99,992 in base 64, below what common terminals take in a sequence

std::string base64(std::string_view text) {
    constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    constexpr u32 kDigit = 0x3F;
    std::string coded;
    for (std::size_t at = 0; at < text.size(); at += 3) {
        const std::size_t bytes = std::min<std::size_t>(3, text.size() - at);
        u32 group = 0;
        for (std::size_t i = 0; i < 3; ++i)
            group = group << 8 | (i < bytes ? static_cast<u8>(text[at + i]) : 0);
        for (std::size_t i = 0; i < 4; ++i)
            coded += i <= bytes ? kDigits[group >> (18 - 6 * i) & kDigit] : '=';
    }
    return coded;
}

} // namespace

std::string clipboard_sequence(std::string_view text) {
    if (text.size() > kMost)
        text = text.substr(0, text.rfind('\n', kMost));
    return "\x1b]52;c;" + base64(text.substr(0, kMost)) + "\a";
}

} // namespace forkscope::terminal
