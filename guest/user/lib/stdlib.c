/* Owns: numbers from text, and sorting. */
#include "guest/user/lib/stdlib.h"

#include <stdint.h>

#include "guest/user/lib/string.h"

/* Returns the value of a digit in any base up to 36, or 99 for another character. */
static unsigned digit_value(char character) {
    if (character >= '0' && character <= '9')
        return (unsigned)(character - '0');
    if (character >= 'a' && character <= 'z')
        return (unsigned)(character - 'a') + 10;
    if (character >= 'A' && character <= 'Z')
        return (unsigned)(character - 'A') + 10;
    return 99;
}

/* Reads a number as C's strtol does: base 0 understands 0x and a leading 0; out of range stops at the limit. */
long strtol(const char* text, char** end, int base) {
    const char* start = text;
    bool negative = false;
    bool any = false;
    unsigned long value = 0;

    while (*text == ' ' || (*text >= '\t' && *text <= '\r'))
        text++;
    if (*text == '-' || *text == '+')
        negative = *text++ == '-';
    if ((base == 0 || base == 16) && text[0] == '0' && (text[1] | 0x20) == 'x' && digit_value(text[2]) < 16) {
        text += 2;
        base = 16;
    } else if (base == 0) {
        base = *text == '0' ? 8 : 10;
    }
    unsigned long limit = negative ? (unsigned long)INT32_MAX + 1 : INT32_MAX;
    for (unsigned digit; (digit = digit_value(*text)) < (unsigned)base; text++) {
        any = true;
        value = value > (limit - digit) / (unsigned)base ? limit : value * (unsigned)base + digit;
    }
    if (end != NULL)
        *end = (char*)(any ? text : start);
    return negative ? (long)(0 - value) : (long)value;
}

/* Reads a whole text as one number in C's notation; returns false, leaving `value`, if it is not one. */
bool parse_number(const char* text, int* value) {
    char* end;
    long number = strtol(text, &end, 0);

    if (*text == '\0' || *end != '\0')
        return false;
    *value = (int)number;
    return true;
}

/* Swaps two items of the given size. */
static void swap(char* left, char* right, size_t bytes) {
    while (bytes-- > 0) {
        char byte = left[bytes];
        left[bytes] = right[bytes];
        right[bytes] = byte;
    }
}

/* Sorts items in place, smallest first: heap sort, so that no order of the input makes it slow. */
void sort(void* items, size_t count, size_t bytes, int (*compare)(const void* left, const void* right)) {
    char* base = items;
    size_t root = count / 2;

    while (count > 1) {
        if (root > 0)
            root--;
        else
            swap(base, base + --count * bytes, bytes);
        for (size_t parent = root, child; (child = 2 * parent + 1) < count; parent = child) {
            if (child + 1 < count && compare(base + child * bytes, base + (child + 1) * bytes) < 0)
                child++;
            if (compare(base + parent * bytes, base + child * bytes) >= 0)
                break;
            swap(base + parent * bytes, base + child * bytes, bytes);
        }
    }
}
