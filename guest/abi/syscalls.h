/* Owns: the system call interface between the guest kernel (all personalities) and user programs.
 * Callers: guest/kernel and guest/user only.
 * Convention: int 0x80; number in eax, arguments in ebx, ecx, edx, esi, edi; result in eax, negative = -errno. */
#ifndef FORKSCOPE_ABI_SYSCALLS_H
#define FORKSCOPE_ABI_SYSCALLS_H

#define SYS_exit          1  /* (int status): never returns */
#define SYS_fork          2  /* () -> pid, 0 in the child */
#define SYS_exec          3  /* (const char *path, char *const argv[]) */
#define SYS_waitpid       4  /* (int pid, int *status, int options) -> pid; pid -1 = any child */
#define SYS_getpid        5
#define SYS_getppid       6
#define SYS_brk           7  /* (void *end) -> the new end of the heap; 0 asks for the present one */
#define SYS_mmap          8  /* (const struct mmap_args *) -> address */
#define SYS_munmap        9  /* (void *start, size_t length) */
#define SYS_open         10  /* (const char *path, int flags) -> fd */
#define SYS_close        11
#define SYS_read         12  /* (int fd, void *buffer, size_t count) */
#define SYS_write        13
#define SYS_lseek        14  /* (int fd, long offset, int whence) -> offset */
#define SYS_dup          15
#define SYS_dup2         16
#define SYS_pipe         17  /* (int fds[2]) */
#define SYS_stat         18  /* (const char *path, struct stat *) */
#define SYS_fstat        19  /* (int fd, struct stat *) */
#define SYS_getcwd       20  /* (char *buffer, size_t size) -> length */
#define SYS_chdir        21
#define SYS_readdir      22  /* (int fd, struct dirent *) -> 1, or 0 at the end */
#define SYS_kill         23  /* (int pid, int signal) */
#define SYS_sigaction    24  /* (int signal, const struct sigaction *new, struct sigaction *old) */
#define SYS_sigreturn    25  /* (): only the signal trampoline calls it */
#define SYS_thread_create 26 /* (void (*entry)(void *), void *argument, size_t stack_bytes) -> thread id */
#define SYS_thread_join  27  /* (int thread, int *value) */
#define SYS_thread_exit  28  /* (int value): never returns */
#define SYS_sleep        29  /* (unsigned milliseconds) */
#define SYS_yield        30
#define SYS_uptime       31  /* () -> milliseconds since boot */
#define SYS_meminfo      32  /* (struct meminfo *) */
#define SYS_procinfo     33  /* (int index, struct procinfo *) -> 1, or 0 past the last process */
#define SYS_tracepoint   34  /* (unsigned id, unsigned arg2): a user program marks the trace (TP_WORKLOAD_*) */
#define SYS_poweroff     35  /* (int status): ends the machine */
#define SYS_minherit     36  /* (void *start, size_t length, int inheritance) */
#define SYS_thread_self  37
#define SYS_sigprocmask  38  /* (int how, const unsigned *set, unsigned *old) */
#define SYS_rfork        39  /* (unsigned flags) -> pid, 0 in the child; ENOSYS where the personality has only fork */
#define SYS_failalloc    40  /* (unsigned k): the k-th allocation of kernel memory from now on fails, once; 0 = none.
                              * -> how many of the last order's k were still to come, 0 if it has fired */
#define SYS_mkdir        41  /* (const char *path) */
#define SYS_rmdir        42  /* (const char *path): the directory must be empty */
#define SYS_unlink       43  /* (const char *path): removes a file's name; who has it open keeps it */
#define SYS_rename       44  /* (const char *from, const char *to) */
#define SYS_terminal     45  /* (int fd, int mode) -> the mode before; of all readers of the console */

/* Numbers from here on belong to the personality: how its servers reach the kernel, where it has servers. */
#define SYS_PERSONALITY  0x100

#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EIO 5
#define E2BIG 7
#define ENOEXEC 8
#define EBADF 9
#define ECHILD 10
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define ENODEV 19
#define ENOTDIR 20
#define EISDIR 21
#define EINVAL 22
#define ENFILE 23
#define EMFILE 24
#define ENOTTY 25
#define EFBIG 27
#define ENOSPC 28
#define ESPIPE 29
#define EROFS 30
#define EPIPE 32
#define EDEADLK 35
#define ENAMETOOLONG 36
#define ENOSYS 38
#define ENOTEMPTY 39

#define O_RDONLY 0
#define O_WRONLY 1
#define O_RDWR   2
#define O_CREAT  0x040 /* makes the file where there is none; only /tmp can be changed */
#define O_TRUNC  0x200 /* empties it */
#define O_APPEND 0x400 /* each write goes to its end */
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define WNOHANG  1
#define TERMINAL_LINES 0 /* echo, backspace, ^U, ^C and ^D are the kernel's; reads give lines */
#define TERMINAL_KEYS  1 /* reads give each key as it is typed, without echo */

/* Status from waitpid: exited with code c = c << 8; killed by signal s = s. */

#define PROT_READ   1
#define PROT_WRITE  2
#define PROT_EXEC   4
#define MAP_SHARED    0x01 /* both processes keep the same frames, writable */
#define MAP_PRIVATE   0x02 /* shared for reading, copied on write */
#define MAP_EXCLUSIVE 0x04 /* not inherited by fork */
#define MAP_FIXED     0x10
#define MAP_ANONYMOUS 0x20
#define MAP_STACK     0x40 /* grows down; a guard page lies below */

#define INHERIT_SHARE 0
#define INHERIT_COPY  1
#define INHERIT_NONE  2

/* What rfork's child has of its own, and what in common with its parent. */
#define RFFDG  0x0004 /* a copy of the descriptor table */
#define RFPROC 0x0010 /* a new process; must be given */
#define RFMEM  0x0020 /* the same address space */
#define RFCFDG 0x1000 /* an empty descriptor table; without RFFDG and RFCFDG both use one table */

struct mmap_args {
    unsigned address; /* a wish, or with MAP_FIXED an order; 0 = kernel chooses */
    unsigned length;  /* bytes, rounded up to pages */
    int protection;
    int flags;
    int fd;           /* -1 with MAP_ANONYMOUS */
    unsigned offset;  /* bytes into the file, page aligned */
};

#define FILE_REGULAR   1
#define FILE_DIRECTORY 2
#define FILE_DEVICE    3
#define FILE_PIPE      4
struct stat {
    unsigned type; /* FILE_* */
    unsigned size; /* bytes */
    unsigned inode;
    unsigned references; /* open file objects on it */
};
#define NAME_LENGTH 255 /* without the final zero */
struct dirent {
    unsigned type;
    unsigned size;
    char name[NAME_LENGTH + 1];
};

#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGILL 4
#define SIGTRAP 5
#define SIGABRT 6
#define SIGFPE 8
#define SIGKILL 9
#define SIGUSR1 10
#define SIGSEGV 11
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGCHLD 17
#define NSIG 32
#define SIG_DFL 0
#define SIG_IGN 1
#define SIG_BLOCK 0
#define SIG_UNBLOCK 1
#define SIG_SETMASK 2
struct sigaction {
    unsigned handler;  /* SIG_DFL, SIG_IGN or a function address */
    unsigned mask;     /* signals blocked while the handler runs, bit n = signal n */
    unsigned restorer; /* address of the code that calls SYS_sigreturn */
};

struct meminfo {
    unsigned page_bytes;
    unsigned frames_total;     /* frames the allocator manages */
    unsigned frames_free;
    unsigned frames_kernel;    /* page tables, kernel stacks, kernel heap */
    unsigned frames_shared;    /* frames with more than one reference */
    unsigned forks;            /* forks since boot */
    unsigned faults;           /* page faults since boot */
    unsigned cow_copies;       /* frames copied on write since boot */
};

#define PROC_RUNNING 1
#define PROC_READY   2
#define PROC_BLOCKED 3
#define PROC_ZOMBIE  4
struct procinfo {
    int pid;
    int parent;
    unsigned state; /* PROC_* */
    unsigned threads;
    unsigned pages; /* present user pages */
    unsigned ticks; /* timer ticks used */
    char name[32];
};

#endif
