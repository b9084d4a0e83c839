/* Owns: formatted output and reading by line. One formatter, which pushes its characters into a sink. */
#include "guest/user/lib/stdio.h"

#include <stdbool.h>

#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

/* Where formatted characters go: into memory (fd -1), or through a small window to a descriptor. */
struct sink {
    char* place;
    size_t room;
    size_t used;  /* characters in `place` now */
    size_t total; /* characters that the format produced */
    int fd;
    bool failed;
};

/* One conversion as written in the format: %[flags][width][.precision]letter. */
struct conversion {
    bool left;
    bool zeros;
    int width;
    int precision; /* -1 = not given */
};

/* Writes all bytes, however many calls it takes; returns 0, or -1 with errno. */
int write_all(int fd, const void* bytes, size_t count) {
    const char* next = bytes;

    while (count > 0) {
        int written = write(fd, next, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        next += written;
        count -= (size_t)written;
    }
    return 0;
}

/* Sends what the window holds to the descriptor. */
static void flush(struct sink* sink) {
    if (sink->fd < 0 || sink->used == 0)
        return;
    if (!sink->failed && write_all(sink->fd, sink->place, sink->used) < 0)
        sink->failed = true;
    sink->used = 0;
}

/* Adds one character; in memory, characters beyond the room are counted and dropped. */
static void put(struct sink* sink, char character) {
    sink->total++;
    if (sink->fd >= 0 && sink->used == sink->room)
        flush(sink);
    if (sink->used < sink->room)
        sink->place[sink->used++] = character;
}

/* Adds a text of known length, filled up to the conversion's width. */
static void put_text(struct sink* sink, const struct conversion* how, const char* text, int length) {
    int fill = how->width > length ? how->width - length : 0;

    if (!how->left)
        for (int i = 0; i < fill; i++)
            put(sink, ' ');
    for (int i = 0; i < length; i++)
        put(sink, text[i]);
    if (how->left)
        for (int i = 0; i < fill; i++)
            put(sink, ' ');
}

/* Adds a number in the given base, with its sign, zeros and width. */
static void put_number(struct sink* sink, struct conversion* how, unsigned value, bool negative, unsigned base,
                       const char* digits) {
    char text[64];
    int at = (int)sizeof text;
    int least = how->precision >= 0 ? how->precision : 1;

    if (how->zeros && !how->left && how->precision < 0)
        least = how->width - (negative ? 1 : 0);
    if (least > 40)
        least = 40;
    while (value != 0 || least > 0) {
        text[--at] = digits[value % base];
        value /= base;
        least--;
    }
    if (negative)
        text[--at] = '-';
    put_text(sink, how, text + at, (int)sizeof text - at);
}

/* Reads a number inside a format, or takes it from the arguments for a *. */
static int take_count(const char** format, va_list* arguments) {
    int count = 0;

    if (**format == '*') {
        (*format)++;
        return va_arg(*arguments, int);
    }
    while (**format >= '0' && **format <= '9')
        count = count * 10 + (*(*format)++ - '0');
    return count;
}

/* Reads flags, width, precision and size letters; leaves the format at the conversion's letter. */
static struct conversion take_conversion(const char** format, va_list* arguments) {
    struct conversion how = {false, false, 0, -1};

    for (;; (*format)++) {
        if (**format == '-')
            how.left = true;
        else if (**format == '0')
            how.zeros = true;
        else
            break;
    }
    how.width = take_count(format, arguments);
    if (**format == '.') {
        (*format)++;
        how.precision = take_count(format, arguments);
    }
    while (**format == 'l' || **format == 'z' || **format == 'h')
        (*format)++; /* int, long and size_t all have 32 bits; short and char arrive as int */
    return how;
}

/* Adds a string; a precision limits how much of it is looked at. */
static void put_string(struct sink* sink, const struct conversion* how, const char* text) {
    int length = 0;

    if (text == NULL)
        text = "(null)";
    while ((how->precision < 0 || length < how->precision) && text[length] != '\0')
        length++;
    put_text(sink, how, text, length);
}

/* Adds one conversion; an unknown letter is printed unchanged. */
static void convert(struct sink* sink, char letter, struct conversion* how, va_list* arguments) {
    static const char lower[] = "0123456789abcdef";
    static const char upper[] = "0123456789ABCDEF";
    char character;
    int number;

    switch (letter) {
    case 'd':
    case 'i':
        number = va_arg(*arguments, int);
        put_number(sink, how, number < 0 ? 0u - (unsigned)number : (unsigned)number, number < 0, 10, lower);
        break;
    case 'u':
        put_number(sink, how, va_arg(*arguments, unsigned), false, 10, lower);
        break;
    case 'o':
        put_number(sink, how, va_arg(*arguments, unsigned), false, 8, lower);
        break;
    case 'x':
        put_number(sink, how, va_arg(*arguments, unsigned), false, 16, lower);
        break;
    case 'X':
        put_number(sink, how, va_arg(*arguments, unsigned), false, 16, upper);
        break;
    case 'p':
        how->precision = 8;
        put(sink, '0');
        put(sink, 'x');
        put_number(sink, how, (unsigned)va_arg(*arguments, void*), false, 16, lower);
        break;
    case 'c':
        character = (char)va_arg(*arguments, int);
        put_text(sink, how, &character, 1);
        break;
    case 's':
        put_string(sink, how, va_arg(*arguments, const char*));
        break;
    default:
        put(sink, letter);
    }
}

/* Runs through the format and fills the sink. */
static void format_into(struct sink* sink, const char* format, va_list* arguments) {
    while (*format != '\0') {
        if (*format != '%') {
            put(sink, *format++);
            continue;
        }
        format++;
        struct conversion how = take_conversion(&format, arguments);
        if (*format == '\0')
            break;
        convert(sink, *format++, &how, arguments);
    }
}

/* Formats into memory, cut to size - 1 characters and ended; returns the length without the cut. */
int vsnprintf(char* to, size_t size, const char* format, va_list arguments) {
    struct sink sink = {to, size > 0 ? size - 1 : 0, 0, 0, -1, false};
    va_list copy;

    va_copy(copy, arguments);
    format_into(&sink, format, &copy);
    va_end(copy);
    if (size > 0)
        to[sink.used] = '\0';
    return (int)sink.total;
}

/* Formats to a descriptor; returns the number of characters, or -1 with errno. */
int vdprintf(int fd, const char* format, va_list arguments) {
    char window[256];
    struct sink sink = {window, sizeof window, 0, 0, fd, false};
    va_list copy;

    va_copy(copy, arguments);
    format_into(&sink, format, &copy);
    va_end(copy);
    flush(&sink);
    return sink.failed ? -1 : (int)sink.total;
}

/* Formats into memory; see vsnprintf. */
int snprintf(char* to, size_t size, const char* format, ...) {
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(to, size, format, arguments);
    va_end(arguments);
    return length;
}

/* Formats to a descriptor; see vdprintf. */
int dprintf(int fd, const char* format, ...) {
    va_list arguments;

    va_start(arguments, format);
    int length = vdprintf(fd, format, arguments);
    va_end(arguments);
    return length;
}

/* Formats to standard output; see vdprintf. */
int printf(const char* format, ...) {
    va_list arguments;

    va_start(arguments, format);
    int length = vdprintf(STDOUT, format, arguments);
    va_end(arguments);
    return length;
}

/* Writes a text and a newline to standard output. */
int puts(const char* text) { return printf("%s\n", text); }

/* Reads up to and including the next newline, which it drops; returns the length, or -1 at the end or on an error.
 * Reads byte by byte, so that the next reader of the descriptor gets the whole of the following line. */
int read_line(int fd, char* line, size_t size) {
    size_t length = 0;
    int got;

    while ((got = read(fd, line + length, 1)) == 1) {
        if (line[length] == '\n')
            break;
        if (length + 1 < size)
            length++;
    }
    line[length] = '\0';
    return got == 1 || length > 0 ? (int)length : -1;
}

/* Says on standard error what went wrong with `what`, from errno. */
void complain(const char* program, const char* what) {
    dprintf(STDERR, "%s: %s: %s\n", program, what, error_text(errno));
}
