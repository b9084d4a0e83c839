/* Owns: the system calls as C functions. Each is the kernel's call and nothing more, unless its comment says so. */
#include "guest/user/lib/system.h"

int errno;

/* Turns the kernel's result into C's convention: a negative result becomes errno and -1. */
static int checked(int result) {
    if (result < 0 && result >= -4095) {
        errno = -result;
        return -1;
    }
    return result;
}

static int call0(int number) { return checked(system_call(number, 0, 0, 0, 0, 0)); }
static int call1(int number, unsigned a) { return checked(system_call(number, a, 0, 0, 0, 0)); }
static int call2(int number, unsigned a, unsigned b) { return checked(system_call(number, a, b, 0, 0, 0)); }
static int call3(int number, unsigned a, unsigned b, unsigned c) { return checked(system_call(number, a, b, c, 0, 0)); }

/* Ends the process with all its threads; the parent's waitpid sees status << 8. */
void exit(int status) {
    for (;;)
        system_call(SYS_exit, (unsigned)status, 0, 0, 0, 0);
}

/* Duplicates the process: returns the child's pid here and 0 in the child. */
int fork(void) { return call0(SYS_fork); }

/* Makes a process as the RF* flags say; returns its pid. The child calls the function on the given stack, for with
 * RFMEM the caller's is in use, and exits with what it returns. */
int rfork_call(unsigned flags, void* stack_top, int (*function)(void*), void* argument) {
    unsigned* stack = (unsigned*)stack_top - 4;
    int result;

    stack[0] = (unsigned)function;
    stack[1] = (unsigned)argument;
    __asm__ volatile("int $0x80\n\t"
                     "testl %%eax, %%eax\n\t"
                     "jnz 1f\n\t"
                     "movl %%esi, %%esp\n\t"
                     "xorl %%ebp, %%ebp\n\t"
                     "popl %%eax\n\t"
                     "call *%%eax\n\t"
                     "movl %%eax, %%ebx\n\t"
                     "movl %4, %%eax\n\t"
                     "int $0x80\n"
                     "1:"
                     : "=a"(result)
                     : "0"(SYS_rfork), "b"(flags), "S"(stack), "i"(SYS_exit)
                     : "memory", "cc");
    return checked(result);
}

/* Replaces the program by the one at `path`; returns only on failure. argv ends with NULL. */
int exec(const char* path, char* const argv[]) { return call2(SYS_exec, (unsigned)path, (unsigned)argv); }

/* Waits for child `pid` (-1 = any) to end and reaps it; with WNOHANG returns 0 if none has ended yet. */
int waitpid(int pid, int* status, int options) {
    return call3(SYS_waitpid, (unsigned)pid, (unsigned)status, (unsigned)options);
}

/* Waits for any child to end and reaps it. */
int wait(int* status) { return waitpid(-1, status, 0); }

int getpid(void) { return call0(SYS_getpid); }
int getppid(void) { return call0(SYS_getppid); }

/* Moves the end of the heap to `end`; returns 0, or -1 if the kernel did not go there. */
int brk(void* end) {
    int result = system_call(SYS_brk, (unsigned)end, 0, 0, 0, 0);

    if ((unsigned)result == (unsigned)end)
        return 0;
    errno = result < 0 && result >= -4095 ? -result : ENOMEM;
    return -1;
}

/* Moves the end of the heap by `change` bytes; returns where it was before, MAP_FAILED on failure. */
void* sbrk(int change) {
    unsigned old_end = (unsigned)system_call(SYS_brk, 0, 0, 0, 0, 0);

    if (change != 0 && brk((void*)(old_end + (unsigned)change)) < 0)
        return MAP_FAILED;
    return (void*)old_end;
}

/* Maps memory; see struct mmap_args. Returns MAP_FAILED on failure. */
void* mmap(void* address, size_t length, int protection, int flags, int fd, unsigned offset) {
    struct mmap_args arguments = {(unsigned)address, length, protection, flags, fd, offset};

    return (void*)call1(SYS_mmap, (unsigned)&arguments);
}

int munmap(void* start, size_t length) { return call2(SYS_munmap, (unsigned)start, length); }

/* Says what fork does with a mapping: INHERIT_SHARE, INHERIT_COPY or INHERIT_NONE. Not every kernel has it. */
int minherit(void* start, size_t length, int inheritance) {
    return call3(SYS_minherit, (unsigned)start, length, (unsigned)inheritance);
}

int open(const char* path, int flags) { return call2(SYS_open, (unsigned)path, (unsigned)flags); }
int close(int fd) { return call1(SYS_close, (unsigned)fd); }
int read(int fd, void* buffer, size_t count) { return call3(SYS_read, (unsigned)fd, (unsigned)buffer, count); }
int write(int fd, const void* buffer, size_t count) { return call3(SYS_write, (unsigned)fd, (unsigned)buffer, count); }
int lseek(int fd, int offset, int whence) { return call3(SYS_lseek, (unsigned)fd, (unsigned)offset, (unsigned)whence); }
int dup(int fd) { return call1(SYS_dup, (unsigned)fd); }
int dup2(int from, int to) { return call2(SYS_dup2, (unsigned)from, (unsigned)to); }

/* Makes a pipe: fds[0] is its reading end, fds[1] its writing end. */
int pipe(int fds[2]) { return call1(SYS_pipe, (unsigned)fds); }

int stat(const char* path, struct stat* result) { return call2(SYS_stat, (unsigned)path, (unsigned)result); }
int fstat(int fd, struct stat* result) { return call2(SYS_fstat, (unsigned)fd, (unsigned)result); }

/* Writes the working directory's path with its zero byte; returns the length without it. */
int getcwd(char* buffer, size_t size) { return call2(SYS_getcwd, (unsigned)buffer, size); }
int chdir(const char* path) { return call1(SYS_chdir, (unsigned)path); }

/* Reads the next entry of an open directory; returns 1, or 0 at the end. */
int readdir(int fd, struct dirent* entry) { return call2(SYS_readdir, (unsigned)fd, (unsigned)entry); }

int mkdir(const char* path) { return call1(SYS_mkdir, (unsigned)path); }
int rmdir(const char* path) { return call1(SYS_rmdir, (unsigned)path); }
int unlink(const char* path) { return call1(SYS_unlink, (unsigned)path); }
int rename(const char* from, const char* to) { return call2(SYS_rename, (unsigned)from, (unsigned)to); }

/* Chooses whether the console gives lines or keys; returns what it was. */
int terminal(int fd, int mode) { return call2(SYS_terminal, (unsigned)fd, (unsigned)mode); }

int kill(int pid, int signal) { return call2(SYS_kill, (unsigned)pid, (unsigned)signal); }

/* Sets and gets the action of a signal; either pointer may be NULL. The caller fills in the restorer. */
int sigaction(int signal, const struct sigaction* new_action, struct sigaction* old_action) {
    return call3(SYS_sigaction, (unsigned)signal, (unsigned)new_action, (unsigned)old_action);
}

/* Sets the action of a signal the short way: no further signal blocked, our own restorer. */
int on_signal(int signal, signal_handler handler) {
    struct sigaction action = {(unsigned)handler, 0, (unsigned)signal_restorer};

    return sigaction(signal, &action, NULL);
}

/* Changes which signals the running thread blocks, and tells which it did before. */
int sigprocmask(int how, const unsigned* set, unsigned* old) {
    return call3(SYS_sigprocmask, (unsigned)how, (unsigned)set, (unsigned)old);
}

int sleep_ms(unsigned milliseconds) { return call1(SYS_sleep, milliseconds); }
int yield(void) { return call0(SYS_yield); }

/* Returns the milliseconds since boot; wraps after 49 days, so it is no candidate for checked(). */
unsigned uptime_ms(void) { return (unsigned)system_call(SYS_uptime, 0, 0, 0, 0, 0); }

int meminfo(struct meminfo* result) { return call1(SYS_meminfo, (unsigned)result); }

/* Describes the process at place `index` of the kernel's list; returns 1, or 0 past the last one. */
int procinfo(int index, struct procinfo* result) { return call2(SYS_procinfo, (unsigned)index, (unsigned)result); }

/* Marks the trace if one is recorded; harmless otherwise. */
int tracepoint(unsigned id, unsigned argument) { return call2(SYS_tracepoint, id, argument); }

/* Makes the kernel's k-th allocation from now on fail, once; 0 cancels the order. Returns how many the last order still
 * had to wait for, 0 if it has fired. */
unsigned failalloc(unsigned k) { return (unsigned)system_call(SYS_failalloc, k, 0, 0, 0, 0); }

/* Ends the machine; returns only if the kernel refuses. */
int poweroff(int status) { return call1(SYS_poweroff, (unsigned)status); }
