/* Owns: the names of errors and signals. */
#include "guest/user/lib/system.h"

/* Returns what an errno value means, in words. */
const char* error_text(int error) {
    static const char* const texts[] = {
        [0] = "no error",
        [EPERM] = "operation not permitted",
        [ENOENT] = "no such file or directory",
        [ESRCH] = "no such process",
        [EINTR] = "interrupted by a signal",
        [EIO] = "input/output error",
        [E2BIG] = "argument list too long",
        [ENOEXEC] = "not an executable",
        [EBADF] = "bad file descriptor",
        [ECHILD] = "no child process",
        [EAGAIN] = "try again",
        [ENOMEM] = "out of memory",
        [EACCES] = "permission denied",
        [EFAULT] = "bad address",
        [EBUSY] = "busy",
        [EEXIST] = "exists already",
        [ENODEV] = "not possible with this file",
        [ENOTDIR] = "not a directory",
        [EISDIR] = "is a directory",
        [EINVAL] = "invalid argument",
        [ENFILE] = "too many open files in the system",
        [EMFILE] = "too many open files",
        [ENOTTY] = "not a terminal",
        [EFBIG] = "file too large",
        [ENOSPC] = "no space left",
        [ESPIPE] = "a pipe has no position",
        [EROFS] = "read-only file system",
        [EPIPE] = "broken pipe",
        [EDEADLK] = "would wait for itself",
        [ENAMETOOLONG] = "name too long",
        [ENOSYS] = "this kernel does not have it",
        [ENOTEMPTY] = "directory not empty",
    };

    if (error < 0 || error >= (int)(sizeof texts / sizeof texts[0]) || texts[error] == NULL)
        return "unknown error";
    return texts[error];
}

/* Returns the name of a signal, without SIG. */
const char* signal_name(int signal) {
    static const char* const names[NSIG] = {
        [SIGHUP] = "HUP",   [SIGINT] = "INT",   [SIGQUIT] = "QUIT", [SIGILL] = "ILL",   [SIGTRAP] = "TRAP",
        [SIGABRT] = "ABRT", [SIGFPE] = "FPE",   [SIGKILL] = "KILL", [SIGUSR1] = "USR1", [SIGSEGV] = "SEGV",
        [SIGUSR2] = "USR2", [SIGPIPE] = "PIPE", [SIGALRM] = "ALRM", [SIGTERM] = "TERM", [SIGCHLD] = "CHLD",
    };

    if (signal < 0 || signal >= NSIG || names[signal] == NULL)
        return "?";
    return names[signal];
}
