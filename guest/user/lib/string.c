/* Owns: bytes and strings. Plain loops and string instructions: short enough to read, fast enough here. */
#include "guest/user/lib/string.h"

/* Copies `count` bytes between two places that do not overlap. */
void* memcpy(void* to, const void* from, size_t count) {
    void* destination = to;
    size_t words = count / 4;
    size_t rest = count % 4;

    __asm__ volatile("rep movsl" : "+D"(destination), "+S"(from), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(destination), "+S"(from), "+c"(rest) : : "memory");
    return to;
}

/* Copies `count` bytes; the two places may overlap. */
void* memmove(void* to, const void* from, size_t count) {
    char* destination = to;
    const char* source = from;

    if (destination <= source || destination >= source + count)
        return memcpy(to, from, count);
    while (count-- > 0)
        destination[count] = source[count];
    return to;
}

/* Fills `count` bytes with one value. */
void* memset(void* to, int byte, size_t count) {
    void* destination = to;
    unsigned pattern = (unsigned char)byte * 0x01010101u;
    size_t words = count / 4;
    size_t rest = count % 4;

    __asm__ volatile("rep stosl" : "+D"(destination), "+c"(words) : "a"(pattern) : "memory");
    __asm__ volatile("rep stosb" : "+D"(destination), "+c"(rest) : "a"(pattern) : "memory");
    return to;
}

/* Compares bytes; the sign of the result is the sign of the first difference. */
int memcmp(const void* left, const void* right, size_t count) {
    const unsigned char* a = left;
    const unsigned char* b = right;

    for (size_t i = 0; i < count; i++)
        if (a[i] != b[i])
            return a[i] - b[i];
    return 0;
}

/* Returns the number of bytes before the zero byte. */
size_t strlen(const char* text) {
    size_t length = 0;

    while (text[length] != '\0')
        length++;
    return length;
}

/* Compares two strings; the sign of the result is the sign of the first difference. */
int strcmp(const char* left, const char* right) { return strncmp(left, right, (size_t)-1); }

/* Compares at most `count` bytes of two strings. */
int strncmp(const char* left, const char* right, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (left[i] != right[i])
            return (unsigned char)left[i] - (unsigned char)right[i];
        if (left[i] == '\0')
            break;
    }
    return 0;
}

/* Returns the first place of `wanted` in the text, its zero byte included, or NULL. */
char* strchr(const char* text, int wanted) {
    for (;; text++) {
        if (*text == (char)wanted)
            return (char*)text;
        if (*text == '\0')
            return NULL;
    }
}

/* Returns the first place where `wanted` begins in the text, or NULL. */
char* strstr(const char* text, const char* wanted) {
    size_t length = strlen(wanted);

    for (; *text != '\0' || length == 0; text++)
        if (strncmp(text, wanted, length) == 0)
            return (char*)text;
    return NULL;
}

/* Copies a string into `size` bytes, cut if need be and always ended; returns the length it wanted to have. */
size_t strlcpy(char* to, const char* from, size_t size) {
    size_t length = strlen(from);
    size_t copied = length < size ? length : size - 1;

    if (size == 0)
        return length;
    memcpy(to, from, copied);
    to[copied] = '\0';
    return length;
}
