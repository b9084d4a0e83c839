#include "guest/kernel/string.h"

/* Copies bytes between areas that do not overlap. */
void* memcpy(void* destination, const void* source, size_t bytes) {
    void* to = destination;
    size_t words = bytes / 4;
    size_t rest = bytes % 4;
    __asm__ volatile("rep movsl\n\tmovl %3, %%ecx\n\trep movsb"
                     : "+D"(to), "+S"(source), "+c"(words)
                     : "r"(rest)
                     : "memory");
    return destination;
}

/* Copies bytes between areas that may overlap. */
void* memmove(void* destination, const void* source, size_t bytes) {
    char* to = destination;
    const char* from = source;
    if (to <= from || to >= from + bytes) {
        return memcpy(destination, source, bytes);
    }
    while (bytes-- > 0) {
        to[bytes] = from[bytes];
    }
    return destination;
}

/* Fills an area with one byte value. */
void* memset(void* destination, int value, size_t bytes) {
    void* to = destination;
    size_t words = bytes / 4;
    size_t rest = bytes % 4;
    uint32_t pattern = (uint8_t)value * 0x01010101u;
    __asm__ volatile("rep stosl\n\tmovl %3, %%ecx\n\trep stosb"
                     : "+D"(to), "+c"(words)
                     : "a"(pattern), "r"(rest)
                     : "memory");
    return destination;
}

/* Compares two areas; negative, zero or positive like the first difference. */
int memcmp(const void* left, const void* right, size_t bytes) {
    const uint8_t* a = left;
    const uint8_t* b = right;
    for (size_t i = 0; i < bytes; i++) {
        if (a[i] != b[i]) {
            return a[i] - b[i];
        }
    }
    return 0;
}

/* Counts the characters before the final zero. */
size_t strlen(const char* text) {
    size_t length = 0;
    while (text[length] != '\0') {
        length++;
    }
    return length;
}

/* Compares two strings; negative, zero or positive like the first difference. */
int strcmp(const char* left, const char* right) {
    while (*left != '\0' && *left == *right) {
        left++;
        right++;
    }
    return (uint8_t)*left - (uint8_t)*right;
}

/* Compares at most the given number of characters of two strings. */
int strncmp(const char* left, const char* right, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        if (left[i] != right[i] || left[i] == '\0') {
            return (uint8_t)left[i] - (uint8_t)right[i];
        }
    }
    return 0;
}

void string_copy(char* destination, const char* source, size_t capacity) {
    size_t i = 0;
    while (i + 1 < capacity && source[i] != '\0') {
        destination[i] = source[i];
        i++;
    }
    destination[i] = '\0';
}
