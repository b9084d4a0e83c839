#include "case.h"
#include "memory.h"

static u8 buffer[4096];
static u32 used;

void log_flush(void) {
    const u8* at = buffer;
    u32 count = used;
    __asm__ volatile("rep outsb" : "+S"(at), "+c"(count) : "d"(0xE9) : "memory");
    used = 0;
}

void log_character(char character) {
    buffer[used++] = (u8)character;
    if (used == sizeof buffer) {
        log_flush();
    }
}

void log_text(const char* text) {
    while (*text != '\0') {
        log_character(*text++);
    }
}

/* Without leading zeros: most words are small. */
void log_hexadecimal(u32 value) {
    u32 shift = 28;
    while (shift != 0 && (value >> shift) == 0) {
        shift -= 4;
    }
    for (;; shift -= 4) {
        log_character("0123456789ABCDEF"[(value >> shift) & 15]);
        if (shift == 0) {
            return;
        }
    }
}
