#include "emu/debug/hex.hpp"

namespace forkscope {

namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

int value_of(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    const char lower = static_cast<char>(digit | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

} // namespace

std::string hex_of_bytes(std::span<const u8> bytes) {
    std::string text;
    text.reserve(2 * bytes.size());
    for (const u8 byte : bytes) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

std::string hex_of_text(std::string_view text) {
    return hex_of_bytes(std::span(reinterpret_cast<const u8*>(text.data()), text.size()));
}

std::optional<std::vector<u8>> bytes_of_hex(std::string_view digits) {
    if (digits.size() % 2 != 0)
        return std::nullopt;
    std::vector<u8> bytes;
    bytes.reserve(digits.size() / 2);
    for (std::size_t i = 0; i < digits.size(); i += 2) {
        const int high = value_of(digits[i]);
        const int low = value_of(digits[i + 1]);
        if (high < 0 || low < 0)
            return std::nullopt;
        bytes.push_back(static_cast<u8>(high << 4 | low));
    }
    return bytes;
}

std::optional<u64> PayloadReader::number() {
    constexpr std::size_t kMostDigits = 16;
    u64 number = 0;
    std::size_t count = 0;
    while (count < rest_.size() && value_of(rest_[count]) >= 0) {
        if (count == kMostDigits)
            return std::nullopt;
        number = number << 4 | static_cast<u64>(value_of(rest_[count++]));
    }
    rest_.remove_prefix(count);
    return count == 0 ? std::nullopt : std::optional(number);
}

std::optional<u32> PayloadReader::word() {
    const auto value = number();
    return value && *value <= ~u32{0} ? std::optional(static_cast<u32>(*value)) : std::nullopt;
}

std::string_view PayloadReader::until(char end) {
    const std::size_t at = rest_.find(end);
    const std::string_view part = rest_.substr(0, at);
    rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at + 1);
    return part;
}

} // namespace forkscope
