#include "emu/ui/keys.hpp"

namespace forkscope::ui {

namespace {

constexpr u16 kExtended = 0xE000;

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
    switch (key) {
    case SDL_SCANCODE_ESCAPE: return 0x01;
    case SDL_SCANCODE_MINUS: return 0x0C;
    case SDL_SCANCODE_EQUALS: return 0x0D;
    case SDL_SCANCODE_BACKSPACE: return 0x0E;
    case SDL_SCANCODE_TAB: return 0x0F;
    case SDL_SCANCODE_LEFTBRACKET: return 0x1A;
    case SDL_SCANCODE_RIGHTBRACKET: return 0x1B;
    case SDL_SCANCODE_RETURN: return 0x1C;
    case SDL_SCANCODE_LCTRL: return 0x1D;
    case SDL_SCANCODE_SEMICOLON: return 0x27;
    case SDL_SCANCODE_APOSTROPHE: return 0x28;
    case SDL_SCANCODE_GRAVE: return 0x29;
    case SDL_SCANCODE_LSHIFT: return 0x2A;
    case SDL_SCANCODE_BACKSLASH:
    case SDL_SCANCODE_NONUSHASH: return 0x2B;
    case SDL_SCANCODE_COMMA: return 0x33;
    case SDL_SCANCODE_PERIOD: return 0x34;
    case SDL_SCANCODE_SLASH: return 0x35;
    case SDL_SCANCODE_RSHIFT: return 0x36;
    case SDL_SCANCODE_KP_MULTIPLY: return 0x37;
    case SDL_SCANCODE_LALT: return 0x38;
    case SDL_SCANCODE_SPACE: return 0x39;
    case SDL_SCANCODE_CAPSLOCK: return 0x3A;
    case SDL_SCANCODE_NUMLOCKCLEAR: return 0x45;
    case SDL_SCANCODE_SCROLLLOCK: return 0x46;
    case SDL_SCANCODE_KP_MINUS: return 0x4A;
    case SDL_SCANCODE_KP_PLUS: return 0x4E;
    case SDL_SCANCODE_KP_PERIOD: return 0x53;
    case SDL_SCANCODE_NONUSBACKSLASH: return 0x56;
    case SDL_SCANCODE_F11: return 0x57;
    case SDL_SCANCODE_F12: return 0x58;
    case SDL_SCANCODE_KP_ENTER: return kExtended | 0x1C;
    case SDL_SCANCODE_RCTRL: return kExtended | 0x1D;
    case SDL_SCANCODE_KP_DIVIDE: return kExtended | 0x35;
    case SDL_SCANCODE_PRINTSCREEN: return kExtended | 0x37;
    case SDL_SCANCODE_RALT: return kExtended | 0x38;
    case SDL_SCANCODE_HOME: return kExtended | 0x47;
    case SDL_SCANCODE_UP: return kExtended | 0x48;
    case SDL_SCANCODE_PAGEUP: return kExtended | 0x49;
    case SDL_SCANCODE_LEFT: return kExtended | 0x4B;
    case SDL_SCANCODE_RIGHT: return kExtended | 0x4D;
    case SDL_SCANCODE_END: return kExtended | 0x4F;
    case SDL_SCANCODE_DOWN: return kExtended | 0x50;
    case SDL_SCANCODE_PAGEDOWN: return kExtended | 0x51;
    case SDL_SCANCODE_INSERT: return kExtended | 0x52;
    case SDL_SCANCODE_DELETE: return kExtended | 0x53;
    case SDL_SCANCODE_LGUI: return kExtended | 0x5B;
    case SDL_SCANCODE_RGUI: return kExtended | 0x5C;
    case SDL_SCANCODE_APPLICATION: return kExtended | 0x5D;
    default: return 0;
    }
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
