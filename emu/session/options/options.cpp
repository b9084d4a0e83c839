#include "emu/session/options/options.hpp"

#include <algorithm>

namespace forkscope {

bool Options::given(std::string_view name) const {
    return std::find(given_names.begin(), given_names.end(), name) != given_names.end();
}

bool names_workload(const std::string& command_line) {
    return command_line.starts_with("run=") || command_line.find(" run=") != std::string::npos;
}

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
