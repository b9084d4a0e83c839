#include "guest/kernel/print.h"
#include "guest/abi/ports.h"
#include "guest/kernel/devices/console.h"
#include "guest/kernel/string.h"
#include "guest/kernel/x86.h"

#define LINE_CAPACITY 256

bool print_quiet;

/* Where formatted characters go. */
struct sink {
    char* text;
    size_t used, capacity;
};

/* Appends one character; what does not fit is dropped. */
static void put(struct sink* sink, char character) {
    if (sink->used + 1 < sink->capacity) {
        sink->text[sink->used++] = character;
    }
}

/* Appends a string, padded on the left to a width. */
static void put_string(struct sink* sink, const char* text, unsigned width, char padding) {
    for (size_t length = strlen(text); length < width; length++) {
        put(sink, padding);
    }
    while (*text != '\0') {
        put(sink, *text++);
    }
}

/* Appends a number in a base up to 16, padded on the left to a width. */
static void put_number(struct sink* sink, uint32_t number, bool negative, unsigned base, unsigned width, char padding) {
    char digits[16];
    unsigned at = sizeof(digits);
    digits[--at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    if (negative) {
        digits[--at] = '-';
    }
    put_string(sink, &digits[at], width, padding);
}

/* Formats one conversion, whose letter `format` points to; returns the position after it. */
static const char* put_conversion(struct sink* sink, const char* format, unsigned width, char padding,
                                  va_list* arguments) {
    switch (*format) {
    case 's': {
        const char* text = va_arg(*arguments, const char*);
        put_string(sink, text != NULL ? text : "(null)", width, ' ');
        break;
    }
    case 'c':
        put(sink, (char)va_arg(*arguments, int));
        break;
    case 'd': {
        int number = va_arg(*arguments, int);
        put_number(sink, number < 0 ? 0u - (uint32_t)number : (uint32_t)number, number < 0, 10, width, padding);
        break;
    }
    case 'u':
        put_number(sink, va_arg(*arguments, uint32_t), false, 10, width, padding);
        break;
    case 'x':
        put_number(sink, va_arg(*arguments, uint32_t), false, 16, width, padding);
        break;
    default:
        put(sink, *format);
        break;
    }
    return *format != '\0' ? format + 1 : format;
}

size_t format_text(char* text, size_t capacity, const char* format, va_list arguments) {
    struct sink sink = {text, 0, capacity};
    va_list list;
    va_copy(list, arguments);
    while (*format != '\0') {
        if (*format != '%') {
            put(&sink, *format++);
            continue;
        }
        format++;
        char padding = *format == '0' ? '0' : ' ';
        unsigned width = 0;
        while (*format >= '0' && *format <= '9') {
            width = width * 10 + (unsigned)(*format++ - '0');
        }
        format = put_conversion(&sink, format, width, padding, &list);
    }
    va_end(list);
    text[sink.used] = '\0';
    return sink.used;
}

void vprintk(const char* format, va_list arguments) {
    char line[LINE_CAPACITY];
    size_t length = format_text(line, sizeof(line), format, arguments);
    console_write(line, length);
    if (inb(ABI_PORT_DEBUG_CONSOLE) == ABI_PORT_DEBUG_CONSOLE) {
        for (size_t i = 0; i < length; i++) {
            outb(ABI_PORT_DEBUG_CONSOLE, (uint8_t)line[i]);
        }
    }
}

void printk(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vprintk(format, arguments);
    va_end(arguments);
}
