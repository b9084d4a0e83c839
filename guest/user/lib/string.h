/* Owns: bytes and strings, with the names and promises of the C standard.
 * Callers: every user program, and the compiler, which may emit calls of memcpy, memmove, memset and memcmp. */
#ifndef FORKSCOPE_USER_STRING_H
#define FORKSCOPE_USER_STRING_H

#include <stddef.h>

void* memcpy(void* to, const void* from, size_t count);
void* memmove(void* to, const void* from, size_t count);
void* memset(void* to, int byte, size_t count);
int memcmp(const void* left, const void* right, size_t count);
size_t strlen(const char* text);
int strcmp(const char* left, const char* right);
int strncmp(const char* left, const char* right, size_t count);
char* strchr(const char* text, int wanted);
char* strstr(const char* text, const char* wanted);
size_t strlcpy(char* to, const char* from, size_t size);

#endif
