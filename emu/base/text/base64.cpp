#include "emu/base/text/base64.hpp"

namespace forkscope {

std::string base64(std::span<const u8> bytes) {
    constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    constexpr u32 kDigit = 0x3F;
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto byte = [&](std::size_t k) { return i + k < bytes.size() ? u32{bytes[i + k]} : 0; };
        const u32 group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (std::size_t k = 0; k < 4; ++k)
            text += i + k > bytes.size() ? '=' : kDigits[group >> (18 - 6 * k) & kDigit];
    }
    return text;
}

} // namespace forkscope
