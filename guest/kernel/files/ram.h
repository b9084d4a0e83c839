/* Owns: the contents of files in RAM: page by page from the heap, with holes that read as zeroes. file.c and node.c
 * call. Promises: a write that fails half-way keeps what was written before; nothing remains when a file is emptied. */
#ifndef KERNEL_RAM_H
#define KERNEL_RAM_H

#include "guest/kernel/files/file.h"

/* Prepares the lock; files_init() calls it. */
void ram_init(void);
/* Reads into user memory at an offset. Returns the bytes read, 0 at the end, or -EFAULT. May sleep. */
int ram_read(const struct node* node, unsigned offset, ptr_t buffer, size_t bytes);
/* Writes from user memory at an offset, or at the end, and moves the offset behind it. Returns the bytes written, or if
 * there are none -EFAULT, -EFBIG, -ENOMEM. May sleep. */
int ram_write(struct node* node, unsigned* offset, bool append, ptr_t buffer, size_t bytes);
/* Empties a file; waits for reads and writes that are on their way. */
void ram_truncate(struct node* node);
/* Frees the contents of a file that nobody uses. */
void ram_free(struct node* node);

#endif
