#include "emu/report/report_text.hpp"

namespace forkscope {

std::string grouped(u64 value) {
    const std::string digits = std::to_string(value);
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i != 0 && (digits.size() - i) % 3 == 0)
            text += ',';
        text += digits[i];
    }
    return text;
}

std::string shortened(std::string text, std::size_t width) {
    if (text.size() > width)
        text = text.substr(0, width - 1) + "~";
    return text;
}

} // namespace forkscope
