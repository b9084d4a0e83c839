#include "emu/ui/keys.hpp"

#include <algorithm>
#include <array>

namespace forkscope::ui {

namespace {

constexpr u16 kExtended = 0xE000;

struct Key {
    SDL_Scancode key;
    u16 code;
};

constexpr std::array<Key, 49> kOtherKeys = {{
    {SDL_SCANCODE_ESCAPE, 0x01},
    {SDL_SCANCODE_MINUS, 0x0C},
    {SDL_SCANCODE_EQUALS, 0x0D},
    {SDL_SCANCODE_BACKSPACE, 0x0E},
    {SDL_SCANCODE_TAB, 0x0F},
    {SDL_SCANCODE_LEFTBRACKET, 0x1A},
    {SDL_SCANCODE_RIGHTBRACKET, 0x1B},
    {SDL_SCANCODE_RETURN, 0x1C},
    {SDL_SCANCODE_LCTRL, 0x1D},
    {SDL_SCANCODE_SEMICOLON, 0x27},
    {SDL_SCANCODE_APOSTROPHE, 0x28},
    {SDL_SCANCODE_GRAVE, 0x29},
    {SDL_SCANCODE_LSHIFT, 0x2A},
    {SDL_SCANCODE_BACKSLASH, 0x2B},
    {SDL_SCANCODE_NONUSHASH, 0x2B},
    {SDL_SCANCODE_COMMA, 0x33},
    {SDL_SCANCODE_PERIOD, 0x34},
    {SDL_SCANCODE_SLASH, 0x35},
    {SDL_SCANCODE_RSHIFT, 0x36},
    {SDL_SCANCODE_KP_MULTIPLY, 0x37},
    {SDL_SCANCODE_LALT, 0x38},
    {SDL_SCANCODE_SPACE, 0x39},
    {SDL_SCANCODE_CAPSLOCK, 0x3A},
    {SDL_SCANCODE_NUMLOCKCLEAR, 0x45},
    {SDL_SCANCODE_SCROLLLOCK, 0x46},
    {SDL_SCANCODE_KP_MINUS, 0x4A},
    {SDL_SCANCODE_KP_PLUS, 0x4E},
    {SDL_SCANCODE_KP_PERIOD, 0x53},
    {SDL_SCANCODE_NONUSBACKSLASH, 0x56},
    {SDL_SCANCODE_F11, 0x57},
    {SDL_SCANCODE_F12, 0x58},
    {SDL_SCANCODE_KP_ENTER, kExtended | 0x1C},
    {SDL_SCANCODE_RCTRL, kExtended | 0x1D},
    {SDL_SCANCODE_KP_DIVIDE, kExtended | 0x35},
    {SDL_SCANCODE_PRINTSCREEN, kExtended | 0x37},
    {SDL_SCANCODE_RALT, kExtended | 0x38},
    {SDL_SCANCODE_HOME, kExtended | 0x47},
    {SDL_SCANCODE_UP, kExtended | 0x48},
    {SDL_SCANCODE_PAGEUP, kExtended | 0x49},
    {SDL_SCANCODE_LEFT, kExtended | 0x4B},
    {SDL_SCANCODE_RIGHT, kExtended | 0x4D},
    {SDL_SCANCODE_END, kExtended | 0x4F},
    {SDL_SCANCODE_DOWN, kExtended | 0x50},
    {SDL_SCANCODE_PAGEDOWN, kExtended | 0x51},
    {SDL_SCANCODE_INSERT, kExtended | 0x52},
    {SDL_SCANCODE_DELETE, kExtended | 0x53},
    {SDL_SCANCODE_LGUI, kExtended | 0x5B},
    {SDL_SCANCODE_RGUI, kExtended | 0x5C},
    {SDL_SCANCODE_APPLICATION, kExtended | 0x5D},
}};

// IBM PC AT technical reference, keyboard, scan code set 1; E0 keys from the 101-key keyboard.
u16 set_1_code(SDL_Scancode key) {
    constexpr u8 kLetters[26] = {0x1E, 0x30, 0x2E, 0x20, 0x12, 0x21, 0x22, 0x23, 0x17, 0x24, 0x25, 0x26, 0x32,
                                 0x31, 0x18, 0x19, 0x10, 0x13, 0x1F, 0x14, 0x16, 0x2F, 0x11, 0x2D, 0x15, 0x2C};
    constexpr u8 kKeypadDigits[10] = {0x4F, 0x50, 0x51, 0x4B, 0x4C, 0x4D, 0x47, 0x48, 0x49, 0x52};
    if (key >= SDL_SCANCODE_A && key <= SDL_SCANCODE_Z)
        return kLetters[key - SDL_SCANCODE_A];
    if (key >= SDL_SCANCODE_1 && key <= SDL_SCANCODE_0)
        return static_cast<u16>(0x02 + (key - SDL_SCANCODE_1));
    if (key >= SDL_SCANCODE_F1 && key <= SDL_SCANCODE_F10)
        return static_cast<u16>(0x3B + (key - SDL_SCANCODE_F1));
    if (key >= SDL_SCANCODE_KP_1 && key <= SDL_SCANCODE_KP_0)
        return kKeypadDigits[key - SDL_SCANCODE_KP_1];
    const auto* other =
        std::find_if(kOtherKeys.begin(), kOtherKeys.end(), [key](const Key& k) { return k.key == key; });
    return other != kOtherKeys.end() ? other->code : u16{0};
}

InputEvent bytes_event(u64 bytes, u8 size) {
    InputEvent event;
    event.kind = InputKind::Key;
    event.data = bytes;
    event.size = size;
    return event;
}

} // namespace

std::optional<InputEvent> key_event(SDL_Scancode key, KeyMove move) {
    const bool press = move == KeyMove::Press;
    // Print Screen sends a shift around itself.
    if (key == SDL_SCANCODE_PRINTSCREEN)
        return bytes_event(press ? 0x37E02AE0 : 0xAAE0B7E0, 4);
    const u16 code = set_1_code(key);
    if (code == 0)
        return std::nullopt;
    const u64 low = (code & 0xFFu) | (press ? 0 : 0x80);
    return (code & kExtended) == kExtended ? bytes_event(0xE0 | low << 8, 2) : bytes_event(low, 1);
}

} // namespace forkscope::ui
