/* Owns: pipes: one page of bytes between readers and writers. file.c and the system call use it.
 * Promises: writes of up to 512 bytes are not torn; an end without its other end gets end of file or SIGPIPE. */
#ifndef KERNEL_PIPE_H
#define KERNEL_PIPE_H

#include "guest/kernel/types.h"

struct file;
struct pipe;

/* Makes a pipe and its two open files. 0 or -ENOMEM. */
int pipe_create(struct file** read_end, struct file** write_end);
/* Read and write user memory; block. Bytes done, 0 at the end, -EINTR, -EFAULT, -EPIPE. */
int pipe_read(struct pipe* pipe, ptr_t buffer, size_t bytes);
int pipe_write(struct pipe* pipe, ptr_t buffer, size_t bytes);
/* Closes one end; the last one frees the pipe. */
void pipe_close(struct pipe* pipe, int flags);
/* Returns how many bytes wait. */
unsigned pipe_bytes(const struct pipe* pipe);

#endif
