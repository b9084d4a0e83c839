#include "devices/keyboard/keymap.hpp"

#include <array>

#include <fmt/format.h>

namespace forkscope {

namespace {

constexpr u8 kLeftShift = 0x2A;
constexpr u8 kControl = 0x1D;
constexpr u8 kBreak = 0x80;

struct Row {
    u8 first; // set 1 make code of the row's leftmost key
    std::string_view plain;
    std::string_view shifted;
};
constexpr Row kRows[] = {
    {0x02, "1234567890-=", "!@#$%^&*()_+"},
    {0x10, "qwertyuiop[]", "QWERTYUIOP{}"},
    {0x1E, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
    {0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
};

struct Stroke {
    u8 key = 0; // 0 = no key types this
    u8 modifier = 0;
};

constexpr std::array<Stroke, 128> build_map() {
    std::array<Stroke, 128> map{};
    for (const Row& row : kRows) {
        for (u8 i = 0; i < row.plain.size(); ++i) {
            map[static_cast<u8>(row.plain[i])] = {static_cast<u8>(row.first + i), 0};
            map[static_cast<u8>(row.shifted[i])] = {static_cast<u8>(row.first + i), kLeftShift};
        }
    }
    for (u8 letter = 1; letter <= 26; ++letter)
        map[letter] = {map['a' + letter - 1u].key, kControl};
    map[0x1B] = {0x01, 0};             // Escape
    map['\b'] = map[0x7F] = {0x0E, 0}; // Backspace
    map['\t'] = {0x0F, 0};
    map['\n'] = map['\r'] = {0x1C, 0}; // Enter
    map[' '] = {0x39, 0};
    return map;
}
constexpr std::array<Stroke, 128> kMap = build_map();

// The bytes of the UTF-8 character at the front, as well as they can be made out.
std::string_view character_at(std::string_view text) {
    std::size_t size = 1;
    while (size < text.size() && size < 4 && (static_cast<u8>(text[size]) & 0xC0) == 0x80)
        ++size;
    return text.substr(0, size);
}

} // namespace

Result<std::vector<KeyTransition>> keys_for_text(std::string_view text) {
    std::vector<KeyTransition> keys;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const u8 byte = static_cast<u8>(text[i]);
        const Stroke stroke = byte < 128 ? kMap[byte] : Stroke{};
        if (stroke.key == 0 && byte < 0x80)
            return Error{
                fmt::format("cannot type character {:#04x} at byte {}: no key of a US keyboard makes it", byte, i)};
        if (stroke.key == 0)
            return Error{fmt::format("cannot type '{}' at byte {}: no key of a US keyboard makes it; use ASCII only",
                                     character_at(text.substr(i)), i)};
        if (stroke.modifier != 0)
            keys.push_back({stroke.modifier});
        keys.push_back({stroke.key});
        keys.push_back({static_cast<u64>(stroke.key | kBreak)});
        if (stroke.modifier != 0)
            keys.push_back({static_cast<u64>(stroke.modifier | kBreak)});
    }
    return keys;
}

} // namespace forkscope
