#include "guest/kernel/devices/console.h"
#include "guest/kernel/boot_info.h"
#include "guest/kernel/files/terminal.h"
#include "guest/kernel/layout.h"
#include "guest/kernel/string.h"
#include "guest/kernel/x86.h"

#define COLUMNS 80
#define ROWS 25
#define ATTRIBUTE 0x0700u /* light grey on black */
#define SCREEN_PHYSICAL 0xB8000u
#define CRTC_INDEX 0x3D4
#define CRTC_DATA 0x3D5
#define CRTC_CURSOR 0x0E

#define SERIAL 0x3F8
#define SERIAL_SCRATCH (SERIAL + 7)
#define LINE_STATUS (SERIAL + 5)
#define LINE_RECEIVED 0x01
#define LINE_SEND_EMPTY 0x20
#define SEND_PATIENCE 100000

static uint16_t* const screen = (uint16_t*)(KERNEL_BASE + SCREEN_PHYSICAL);
static unsigned cursor; /* cell index */
static bool serial_present, serial_enabled, screen_enabled;

/* Moves the blinking cursor to where the next character will go. */
static void show_cursor(void) {
    outb(CRTC_INDEX, CRTC_CURSOR);
    outb(CRTC_DATA, (uint8_t)(cursor >> 8));
    outb(CRTC_INDEX, CRTC_CURSOR + 1);
    outb(CRTC_DATA, (uint8_t)cursor);
}

/* Fills cells with blanks. */
static void blank(unsigned first, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        screen[first + i] = ATTRIBUTE | ' ';
    }
}

/* Writes one character on the screen, scrolling where the last line is full. */
static void screen_put(char character) {
    switch (character) {
    case '\n':
        cursor += COLUMNS - cursor % COLUMNS;
        break;
    case '\r':
        cursor -= cursor % COLUMNS;
        break;
    case '\b':
        cursor -= cursor > 0 ? 1 : 0;
        break;
    case '\t':
        cursor += 8 - cursor % 8;
        break;
    case '\f':
        blank(0, COLUMNS * ROWS);
        cursor = 0;
        break;
    default:
        screen[cursor++] = (uint16_t)(ATTRIBUTE | (uint8_t)character);
        break;
    }
    if (cursor >= COLUMNS * ROWS) {
        memmove(screen, screen + COLUMNS, COLUMNS * (ROWS - 1) * sizeof(screen[0]));
        blank(COLUMNS * (ROWS - 1), COLUMNS);
        cursor -= COLUMNS;
    }
}

/* Sends one byte on the serial line, giving up where the line is stuck. */
static void serial_put(char character) {
    for (unsigned i = 0; i < SEND_PATIENCE && (inb(LINE_STATUS) & LINE_SEND_EMPTY) == 0; i++) {
    }
    outb(SERIAL, (uint8_t)character);
}

/* Sets up 115200 baud, 8N1, FIFOs, the receive interrupt; notes where there is no such chip. */
static void serial_init(void) {
    outb(SERIAL_SCRATCH, 0x5A);
    serial_present = inb(SERIAL_SCRATCH) == 0x5A;
    if (!serial_present) {
        return;
    }
    outb(SERIAL + 3, 0x80); /* the divisor latch is accessible */
    outb(SERIAL + 0, 1);
    outb(SERIAL + 1, 0);
    outb(SERIAL + 3, 0x03);
    outb(SERIAL + 2, 0x07);
    outb(SERIAL + 4, 0x0B); /* DTR, RTS, OUT2: lets interrupts through */
    outb(SERIAL + 1, 0x01);
}

void console_init(void) {
    serial_init();
    serial_enabled = serial_present;
    screen_enabled = true;
    blank(0, COLUMNS * ROWS);
    show_cursor();
}

void console_configure(void) {
    char value[8];
    if (!boot_option("console", value, sizeof(value))) {
        return;
    }
    screen_enabled = strcmp(value, "serial") != 0 || !serial_present;
    serial_enabled = serial_present && strcmp(value, "vga") != 0;
}

void console_write(const char* text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        if (serial_enabled) {
            if (text[i] == '\n') {
                serial_put('\r');
            }
            serial_put(text[i]);
        }
        if (screen_enabled) {
            screen_put(text[i]);
        }
    }
    if (screen_enabled) {
        show_cursor();
    }
}

void console_serial_interrupt(void) {
    while (serial_present && (inb(LINE_STATUS) & LINE_RECEIVED) != 0) {
        terminal_input((char)inb(SERIAL));
    }
}
