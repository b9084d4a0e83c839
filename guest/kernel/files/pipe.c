#include "guest/kernel/files/pipe.h"
#include "guest/kernel/files/file.h"
#include "guest/kernel/memory/heap.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/process/schedule.h"
#include "guest/kernel/process/signal.h"

#define PIPE_CAPACITY 4096u
#define PIPE_ATOMIC 512u

struct pipe {
    uint8_t* bytes;
    unsigned read_mark, write_mark; /* counted for ever; their difference is what waits */
    unsigned readers, writers;
    struct mutex lock; /* held while bytes move, because a copy may sleep; never while waiting for the other end */
    struct wait_queue waiting_readers, waiting_writers;
};

int pipe_create(struct file** read_end, struct file** write_end) {
    struct pipe* pipe = kzalloc(sizeof(*pipe));
    if (pipe == NULL) {
        return -ENOMEM;
    }
    pipe->bytes = kmalloc(PIPE_CAPACITY);
    if (pipe->bytes == NULL) {
        goto fail_pipe;
    }
    *read_end = file_create(FILE_PIPE, O_RDONLY);
    if (*read_end == NULL) {
        goto fail_bytes;
    }
    *write_end = file_create(FILE_PIPE, O_WRONLY);
    if (*write_end == NULL) {
        goto fail_read_end;
    }
    mutex_init(&pipe->lock);
    wait_queue_init(&pipe->waiting_readers);
    wait_queue_init(&pipe->waiting_writers);
    pipe->readers = pipe->writers = 1;
    (*read_end)->pipe = (*write_end)->pipe = pipe;
    return 0;

fail_read_end:
    kfree(*read_end);
fail_bytes:
    kfree(pipe->bytes);
fail_pipe:
    kfree(pipe);
    return -ENOMEM;
}

unsigned pipe_bytes(const struct pipe* pipe) { return pipe->write_mark - pipe->read_mark; }

/* Returns how many bytes from a mark on lie in one piece, of those wanted. */
static size_t one_piece(unsigned mark, size_t wanted) {
    size_t to_end = PIPE_CAPACITY - mark % PIPE_CAPACITY;
    return wanted < to_end ? wanted : to_end;
}

/* Moves what is in the pipe, which is locked, into user memory, as far as it fits. Returns the bytes moved, or -EFAULT.
 * */
static int move_out(struct pipe* pipe, ptr_t buffer, size_t bytes) {
    size_t done = 0;
    while (done < bytes && pipe_bytes(pipe) > 0) {
        size_t wanted = bytes - done < pipe_bytes(pipe) ? bytes - done : pipe_bytes(pipe);
        size_t piece = one_piece(pipe->read_mark, wanted);
        if (copy_to_user(buffer + done, &pipe->bytes[pipe->read_mark % PIPE_CAPACITY], piece) < 0) {
            break;
        }
        pipe->read_mark += piece;
        done += piece;
    }
    wake_all(&pipe->waiting_writers);
    return done > 0 || bytes == 0 ? (int)done : -EFAULT;
}

int pipe_read(struct pipe* pipe, ptr_t buffer, size_t bytes) {
    mutex_lock(&pipe->lock);
    while (bytes > 0 && pipe_bytes(pipe) == 0) {
        bool at_end = pipe->writers == 0;
        mutex_unlock(&pipe->lock);
        int error = at_end ? 0 : wait_on(&pipe->waiting_readers);
        if (at_end || error < 0) {
            return error;
        }
        mutex_lock(&pipe->lock);
    }
    int result = move_out(pipe, buffer, bytes);
    mutex_unlock(&pipe->lock);
    return result;
}

/* Waits until so many bytes fit, and locks the pipe. 0; or -EINTR, or -EPIPE with the signal where no reader is left,
 * and the pipe is not locked then. */
static int lock_with_room(struct pipe* pipe, size_t bytes) {
    for (;;) {
        mutex_lock(&pipe->lock);
        if (pipe->readers > 0 && PIPE_CAPACITY - pipe_bytes(pipe) >= bytes) {
            return 0;
        }
        mutex_unlock(&pipe->lock);
        if (pipe->readers == 0) {
            signal_send(current_process, SIGPIPE);
            return -EPIPE;
        }
        int error = wait_on(&pipe->waiting_writers);
        if (error < 0) {
            return error;
        }
    }
}

/* Moves user memory into the pipe, which is locked, as far as there is room; an atomic write fits. Returns the bytes
 * moved, or -EFAULT if none was. */
static int move_in(struct pipe* pipe, ptr_t buffer, size_t bytes) {
    size_t done = 0;
    while (done < bytes && pipe_bytes(pipe) < PIPE_CAPACITY) {
        size_t room = PIPE_CAPACITY - pipe_bytes(pipe);
        size_t piece = one_piece(pipe->write_mark, bytes - done < room ? bytes - done : room);
        if (copy_from_user(&pipe->bytes[pipe->write_mark % PIPE_CAPACITY], buffer + done, piece) < 0) {
            break;
        }
        pipe->write_mark += piece;
        done += piece;
        wake_all(&pipe->waiting_readers);
    }
    return done > 0 ? (int)done : -EFAULT;
}

int pipe_write(struct pipe* pipe, ptr_t buffer, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        int error = lock_with_room(pipe, bytes <= PIPE_ATOMIC ? bytes - done : 1);
        if (error < 0) {
            return done > 0 ? (int)done : error;
        }
        int moved = move_in(pipe, buffer + done, bytes - done);
        mutex_unlock(&pipe->lock);
        if (moved < 0) {
            return done > 0 ? (int)done : moved;
        }
        done += (size_t)moved;
    }
    return (int)done;
}

void pipe_close(struct pipe* pipe, int flags) {
    unsigned* ends = flags == O_RDONLY ? &pipe->readers : &pipe->writers;
    (*ends)--;
    wake_all(&pipe->waiting_readers);
    wake_all(&pipe->waiting_writers);
    if (pipe->readers == 0 && pipe->writers == 0) {
        kfree(pipe->bytes);
        kfree(pipe);
    }
}
