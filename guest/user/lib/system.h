/* Owns: the system calls as C functions, one each, and errno.
 * Callers: every user program.
 * Promises: a failing call returns -1 and sets errno. errno is one variable for all threads of a process; a program
 * with threads uses system_call() and reads the error from the (negative) result instead. */
#ifndef FORKSCOPE_USER_SYSTEM_H
#define FORKSCOPE_USER_SYSTEM_H

#include <stddef.h>

#include "guest/abi/syscalls.h"

#define PAGE_BYTES 4096u
#define MAP_FAILED ((void*)-1)

extern int errno;

/* Makes system call `number` with up to five arguments; returns the kernel's bare result, negative = -errno. */
static inline int system_call(int number, unsigned a, unsigned b, unsigned c, unsigned d, unsigned e) {
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory", "cc");
    return result;
}

void exit(int status) __attribute__((noreturn));
int fork(void);
int exec(const char* path, char* const argv[]);
int rfork_call(unsigned flags, void* stack_top, int (*function)(void*), void* argument);
int waitpid(int pid, int* status, int options);
int wait(int* status);
int getpid(void);
int getppid(void);
int brk(void* end);
void* sbrk(int change);
void* mmap(void* address, size_t length, int protection, int flags, int fd, unsigned offset);
int munmap(void* start, size_t length);
int minherit(void* start, size_t length, int inheritance);
int open(const char* path, int flags);
int close(int fd);
int read(int fd, void* buffer, size_t count);
int write(int fd, const void* buffer, size_t count);
int lseek(int fd, int offset, int whence);
int dup(int fd);
int dup2(int from, int to);
int pipe(int fds[2]);
int stat(const char* path, struct stat* result);
int fstat(int fd, struct stat* result);
int getcwd(char* buffer, size_t size);
int chdir(const char* path);
int readdir(int fd, struct dirent* entry);
int mkdir(const char* path);
int rmdir(const char* path);
int unlink(const char* path);
int rename(const char* from, const char* to);
int terminal(int fd, int mode);
int kill(int pid, int signal);
int sigaction(int signal, const struct sigaction* new_action, struct sigaction* old_action);
int sigprocmask(int how, const unsigned* set, unsigned* old);
int sleep_ms(unsigned milliseconds);
int yield(void);
unsigned uptime_ms(void);
int meminfo(struct meminfo* result);
int procinfo(int index, struct procinfo* result);
int tracepoint(unsigned id, unsigned argument);
int poweroff(int status);
unsigned failalloc(unsigned k);

typedef void (*signal_handler)(int signal);
int on_signal(int signal, signal_handler handler);
void signal_restorer(void);

static inline unsigned signal_bit(int signal) { return 1u << signal; }
static inline int status_exited(int status) { return (status & 0xFF) == 0; }
static inline int status_code(int status) { return (status >> 8) & 0xFF; }
static inline int status_signal(int status) { return status & 0x7F; }

const char* error_text(int error);
const char* signal_name(int signal);

#endif
