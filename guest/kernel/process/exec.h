/* Owns: the mechanism of exec: arguments, ELF headers, the order of the steps. The personality builds the memory. */
#ifndef KERNEL_EXEC_H
#define KERNEL_EXEC_H

#include "guest/kernel/types.h"

struct node;
struct trap_frame;

#define EXEC_SEGMENTS 8u

/* One part of a program: [start, start + memory_bytes) of memory, whose first file_bytes come from the file. The start
 * is page aligned, and so is the offset. */
struct segment {
    ptr_t start;
    uint32_t memory_bytes, file_bytes, file_offset;
    int protection; /* PROT_* */
};

struct executable {
    struct node* node;
    ptr_t entry;
    ptr_t end; /* one past the highest segment */
    unsigned segment_count;
    struct segment segments[EXEC_SEGMENTS];
};

/* Fills in what the headers of image->node say. 0, or -ENOEXEC if it is no static 32-bit program for this machine. */
int exec_read_image(struct executable* image);
/* Replaces the running process's program; exec and the start of init call it. The strings are in kernel memory: `count`
 * of them, one after another, each with its zero. Returns 0, and the frame leads to the new program, or a negative
 * error with nothing changed. */
int exec_program(const char* path, const char* strings, size_t bytes, unsigned count, struct trap_frame* frame);
/* The system call: copies path and arguments from user memory, then calls exec_program(). 0 or a negative error. */
int exec_from_user(ptr_t path, ptr_t arguments, struct trap_frame* frame);

#endif
