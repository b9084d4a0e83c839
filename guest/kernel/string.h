/* Owns: memory and string functions; the compiler may emit calls of the first four. Nothing here fails. */
#ifndef KERNEL_STRING_H
#define KERNEL_STRING_H

#include "guest/kernel/types.h"

void* memcpy(void* destination, const void* source, size_t bytes);
void* memmove(void* destination, const void* source, size_t bytes);
void* memset(void* destination, int value, size_t bytes);
int memcmp(const void* left, const void* right, size_t bytes);
size_t strlen(const char* text);
int strcmp(const char* left, const char* right);
int strncmp(const char* left, const char* right, size_t bytes);
/* Copies at most capacity - 1 characters and always ends the copy with a zero. */
void string_copy(char* destination, const char* source, size_t capacity);

#endif
