#include "emu/terminal/clipboard.hpp"

#include "emu/base/text/base64.hpp"

namespace forkscope::terminal {

namespace {

constexpr std::size_t kMost = 74994; // bytes: 99,992 in base 64, below what common terminals take in a sequence

} // namespace

std::string clipboard_sequence(std::string_view text) {
    if (text.size() > kMost)
        text = text.substr(0, text.rfind('\n', kMost));
    text = text.substr(0, kMost);
    return "\x1b]52;c;" + base64({reinterpret_cast<const u8*>(text.data()), text.size()}) + "\a";
}

} // namespace forkscope::terminal
