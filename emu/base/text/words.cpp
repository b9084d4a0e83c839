#include "emu/base/text/words.hpp"

namespace forkscope {

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(kBlanks);
    return begin == std::string_view::npos ? std::string_view{}
                                           : text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::pair<std::string_view, std::string_view> first_word(std::string_view text) {
    text = trimmed(text);
    const std::size_t end = text.find_first_of(" \t");
    return {text.substr(0, end), end == std::string_view::npos ? std::string_view{} : trimmed(text.substr(end))};
}

std::string_view base_name(std::string_view path) { return path.substr(path.find_last_of('/') + 1); }

} // namespace forkscope
