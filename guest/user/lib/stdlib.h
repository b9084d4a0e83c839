/* Owns: the heap and numbers from text.
 * Callers: every user program.
 * Promises: malloc and free may be called by several threads at once; memory comes from brk and is reused. */
#ifndef FORKSCOPE_USER_STDLIB_H
#define FORKSCOPE_USER_STDLIB_H

#include <stdbool.h>
#include <stddef.h>

void* malloc(size_t bytes);
void* realloc(void* old, size_t bytes);
void free(void* memory);

long strtol(const char* text, char** end, int base);
bool parse_number(const char* text, int* value);
void sort(void* items, size_t count, size_t bytes, int (*compare)(const void* left, const void* right));

#endif
