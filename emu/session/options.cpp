#include "emu/session/options.hpp"

namespace forkscope {

std::string unescape(const std::string& text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            plain += text[i];
            continue;
        }
        const char c = text[++i];
        plain += c == 'n' ? '\n' : c == 't' ? '\t' : c;
    }
    return plain;
}

} // namespace forkscope
