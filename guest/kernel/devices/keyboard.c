#include "guest/kernel/devices/keyboard.h"
#include "guest/kernel/files/terminal.h"
#include "guest/kernel/types.h"
#include "guest/kernel/x86.h"

#define PS2_DATA 0x60
#define PS2_COMMAND 0x64
#define PS2_OUTPUT_FULL 0x01
#define PS2_INPUT_FULL 0x02
#define PS2_MOUSE_BYTE 0x20
#define PS2_READ_CONFIG 0x20
#define PS2_WRITE_CONFIG 0x60
#define PS2_ENABLE_KEYBOARD 0xAE
#define CONFIG_INTERRUPT 0x01
#define CONFIG_NO_KEYBOARD 0x10
#define CONFIG_TRANSLATE 0x40
#define PATIENCE 10000

#define SCAN_RELEASE 0x80
#define SCAN_CONTROL 0x1D
#define SCAN_SHIFT_LEFT 0x2A
#define SCAN_SHIFT_RIGHT 0x36
#define SCAN_CAPS_LOCK 0x3A

static const char plain[] = "\0\0331234567890-=\b\tqwertyuiop[]\n\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] = "\0\033!@#$%^&*()_+\b\tQWERTYUIOP{}\n\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";
static bool shift_down, control_down, caps_lock;

/* Waits until the controller takes a byte, or gives up. */
static void wait_to_write(void) {
    for (unsigned i = 0; i < PATIENCE && (inb(PS2_COMMAND) & PS2_INPUT_FULL) != 0; i++) {
    }
}

/* Empties the controller's output. */
static void drain(void) {
    for (unsigned i = 0; i < 16 && (inb(PS2_COMMAND) & PS2_OUTPUT_FULL) != 0; i++) {
        inb(PS2_DATA);
    }
}

void keyboard_init(void) {
    wait_to_write();
    outb(PS2_COMMAND, PS2_ENABLE_KEYBOARD);
    drain();
    wait_to_write();
    outb(PS2_COMMAND, PS2_READ_CONFIG);
    for (unsigned i = 0; i < PATIENCE && (inb(PS2_COMMAND) & PS2_OUTPUT_FULL) == 0; i++) {
    }
    uint8_t config = inb(PS2_DATA);
    wait_to_write();
    outb(PS2_COMMAND, PS2_WRITE_CONFIG);
    wait_to_write();
    outb(PS2_DATA, (uint8_t)((config | CONFIG_INTERRUPT | CONFIG_TRANSLATE) & ~CONFIG_NO_KEYBOARD));
    wait_to_write();
    drain();
}

/* Returns the character of a pressed key with the modifiers as they are, or zero. */
static char translate(uint8_t scan) {
    if (scan >= sizeof(plain) - 1) {
        return '\0';
    }
    char character = plain[scan];
    bool letter = character >= 'a' && character <= 'z';
    if (control_down) {
        return letter ? (char)(character - 'a' + 1) : '\0';
    }
    return shift_down != (caps_lock && letter) ? shifted[scan] : character;
}

/* Sends what a terminal sends for a cursor key; false if it is none. */
static bool send_cursor_key(uint8_t scan) {
    static const struct {
        uint8_t scan;
        char sequence[4];
    } keys[] = {{0x47, "[H"}, {0x48, "[A"}, {0x4B, "[D"}, {0x4D, "[C"}, {0x4F, "[F"}, {0x50, "[B"}, {0x53, "[3~"}};

    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (keys[i].scan == scan) {
            terminal_input('\033');
            for (const char* at = keys[i].sequence; *at != '\0'; at++) {
                terminal_input(*at);
            }
            return true;
        }
    }
    return false;
}

/* Takes one scan code; keys that follow an 0xE0 prefix read like their twins on the main block. */
static void take(uint8_t scan) {
    bool down = (scan & SCAN_RELEASE) == 0;
    switch (scan & ~SCAN_RELEASE) {
    case SCAN_SHIFT_LEFT:
    case SCAN_SHIFT_RIGHT:
        shift_down = down;
        return;
    case SCAN_CONTROL:
        control_down = down;
        return;
    case SCAN_CAPS_LOCK:
        caps_lock = caps_lock != down;
        return;
    default:
        break;
    }
    if (down && send_cursor_key(scan)) {
        return;
    }
    char character = down ? translate(scan) : '\0';
    if (character != '\0') {
        terminal_input(character);
    }
}

void keyboard_interrupt(void) {
    uint8_t status;
    while (((status = inb(PS2_COMMAND)) & PS2_OUTPUT_FULL) != 0) {
        uint8_t byte = inb(PS2_DATA);
        if ((status & PS2_MOUSE_BYTE) == 0) {
            take(byte);
        }
    }
}
