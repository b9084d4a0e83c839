/* Owns: the line that is typed at the prompt, and the lines typed before.
 * Callers: sh.c, where standard input is the console.
 * Promises: the console gives keys only while a line is typed; a line wider than the screen scrolls sideways once it is
 * edited. */
#ifndef FORKSCOPE_USER_SH_EDIT_H
#define FORKSCOPE_USER_SH_EDIT_H

#include <stddef.h>

#define LINE_BYTES 1024 /* with the final zero */
#define LINE_ENDS -1    /* ^D in an empty line */
#define LINE_DROPPED -2 /* ^C */

/* Prompts and reads a line of at most LINE_BYTES, without its newline. Returns its length, or LINE_ENDS, LINE_DROPPED.
 */
int edit_line(const char* prompt, char* line);

#endif
