/* Owns: the patterns that name files.
 * Callers: sh.c. Promises: matches come in the order of their names; a name that begins with a dot needs a dot. */
#ifndef FORKSCOPE_USER_SH_GLOB_H
#define FORKSCOPE_USER_SH_GLOB_H

#include <stdbool.h>

/* What stands for an unquoted * or ? in a pattern; every other character is itself. */
#define GLOB_MANY '\1'
#define GLOB_ONE '\2'

/* Says whether a word is a pattern. */
bool is_pattern(const char* word);
/* Calls `found` with each path that matches, until it returns false. */
void for_each_match(const char* pattern, bool (*found)(const char* path));

#endif
