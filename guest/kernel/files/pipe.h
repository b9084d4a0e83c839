/* Owns: pipes: one page of bytes between readers and writers. file.c and the system call use it.
 * Promises: writes of up to 512 bytes are not torn; an end without its other end gets end of file or SIGPIPE. */
#ifndef KERNEL_PIPE_H
#define KERNEL_PIPE_H

#include "guest/kernel/types.h"

struct file;
struct pipe;

/* Makes a pipe and its two open files. 0, or -ENOMEM with nothing left behind. */
int pipe_create(struct file** read_end, struct file** write_end);
/* Reads what is there into user memory; blocks while the pipe is empty and a writer is left. Returns the bytes read, 0
 * at the end, -EINTR or -EFAULT. */
int pipe_read(struct pipe* pipe, ptr_t buffer, size_t bytes);
/* Writes all bytes; blocks while the pipe is full. Returns the bytes written, or an error if there were none. */
int pipe_write(struct pipe* pipe, ptr_t buffer, size_t bytes);
/* Closes one end and wakes the other; the last one frees the pipe. file_release() calls it. */
void pipe_close(struct pipe* pipe, int flags);
/* Returns how many bytes can be read; fstat asks. */
unsigned pipe_bytes(const struct pipe* pipe);

#endif
