#include "guest/kernel/traps/syscall.h"
#include "guest/abi/syscalls.h"
#include "guest/abi/trace.h"
#include "guest/kernel/devices/clock.h"
#include "guest/kernel/devices/power.h"
#include "guest/kernel/files/file.h"
#include "guest/kernel/files/pipe.h"
#include "guest/kernel/files/terminal.h"
#include "guest/kernel/layout.h"
#include "guest/kernel/memory/fail.h"
#include "guest/kernel/memory/frames.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/process/exec.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/process/signal.h"
#include "guest/kernel/traps/trap.h"

/* Each system call takes the frame, whose registers are its arguments, and returns the value for eax. */
typedef int (*system_call)(struct trap_frame* frame);

/* exit(status) */
static int sys_exit(struct trap_frame* frame) { process_exit((int)(frame->ebx & 0xFF) << 8); }

/* fork(): the personality's. */
static int sys_fork(struct trap_frame* frame) {
    (void)frame;
    return fork_process();
}

/* rfork(flags): the personality's. */
static int sys_rfork(struct trap_frame* frame) { return rfork_process(frame->ebx); }

/* exec(path, argv): does not touch eax if it succeeds, because the frame is the new program's. */
static int sys_exec(struct trap_frame* frame) { return exec_from_user(frame->ebx, frame->ecx, frame); }

/* waitpid(pid, status, options) */
static int sys_waitpid(struct trap_frame* frame) {
    return process_wait((pid_t)frame->ebx, frame->ecx, (int)frame->edx);
}

/* getpid() */
static int sys_getpid(struct trap_frame* frame) {
    (void)frame;
    return current_process->pid;
}

/* getppid(): init has no parent and gets 0. */
static int sys_getppid(struct trap_frame* frame) {
    (void)frame;
    return current_process->parent != NULL ? current_process->parent->pid : 0;
}

/* brk(end) */
static int sys_brk(struct trap_frame* frame) { return (int)vm_brk(frame->ebx); }

/* Says what is wrong with the arguments of mmap, or 0; the same for every personality. Exactly one MAP_* mode must be
 * named. */
static int check_mmap(const struct mmap_args* arguments) {
    int mode = arguments->flags & (MAP_SHARED | MAP_PRIVATE | MAP_EXCLUSIVE);
    if (mode != MAP_SHARED && mode != MAP_PRIVATE && mode != MAP_EXCLUSIVE) {
        return -EINVAL;
    }
    if (arguments->length == 0 || (arguments->protection & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) != 0 ||
        arguments->offset % PAGE_BYTES != 0) {
        return -EINVAL;
    }
    return arguments->length > USER_TOP ? -ENOMEM : 0;
}

/* mmap(arguments): finds the file of a mapping that has one. What is shared can be written only if the file can. */
static int sys_mmap(struct trap_frame* frame) {
    struct mmap_args arguments;
    if (copy_from_user(&arguments, frame->ebx, sizeof(arguments)) < 0) {
        return -EFAULT;
    }
    int error = check_mmap(&arguments);
    if ((arguments.flags & MAP_ANONYMOUS) != 0) {
        return error < 0 ? error : vm_mmap(&arguments, NULL);
    }
    struct file* file = descriptor_file(arguments.fd);
    if (file == NULL || file->flags == O_WRONLY) {
        return -EBADF;
    }
    if (file->type != FILE_REGULAR) {
        return -EACCES;
    }
    if (file->node->in_ram) {
        return -ENODEV; /* its pages come and go */
    }
    if (arguments.offset != 0 && arguments.offset > 0u - page_up(arguments.length)) {
        return -EINVAL; /* no file is that long, and its pages would be counted from zero again */
    }
    if (error == 0 && file->flags != O_RDWR && (arguments.flags & MAP_SHARED) != 0 &&
        (arguments.protection & PROT_WRITE) != 0) {
        error = -EACCES;
    }
    return error < 0 ? error : vm_mmap(&arguments, file->node);
}

/* munmap(start, length) */
static int sys_munmap(struct trap_frame* frame) {
    bool good = frame->ecx > 0 && is_page_range(frame->ebx, frame->ecx);
    return good ? vm_munmap(frame->ebx, frame->ecx) : -EINVAL;
}

/* open(path, flags) */
static int sys_open(struct trap_frame* frame) {
    char path[PATH_BYTES];
    struct file* file;
    int error = copy_string_from_user(path, frame->ebx, sizeof(path));
    if (error < 0) {
        return error;
    }
    if (!descriptor_left()) {
        return -EMFILE; /* before a file is made or emptied */
    }
    error = file_open(path, (int)frame->ecx, &file);
    if (error < 0) {
        return error;
    }
    int descriptor = descriptor_add(file);
    if (descriptor < 0) {
        file_release(file);
    }
    return descriptor;
}

/* close(fd) */
static int sys_close(struct trap_frame* frame) { return descriptor_close((int)frame->ebx); }

/* Reads or writes with a reference of its own, because another thread may close the descriptor during the copy. */
static int transfer(struct trap_frame* frame, int (*act)(struct file*, ptr_t, size_t)) {
    struct file* file = descriptor_file((int)frame->ebx);
    if (file == NULL) {
        return -EBADF;
    }
    if ((int)frame->edx < 0) {
        return -EFAULT; /* no buffer can be that long */
    }
    file_share(file);
    int result = act(file, frame->ecx, frame->edx);
    file_release(file);
    return result;
}

/* read(fd, buffer, count) */
static int sys_read(struct trap_frame* frame) { return transfer(frame, file_read); }

/* write(fd, buffer, count) */
static int sys_write(struct trap_frame* frame) { return transfer(frame, file_write); }

/* lseek(fd, offset, whence) */
static int sys_lseek(struct trap_frame* frame) {
    struct file* file = descriptor_file((int)frame->ebx);
    if (file == NULL) {
        return -EBADF;
    }
    file_share(file);
    mutex_lock(&file->lock);
    int result = file_seek(file, (int)frame->ecx, (int)frame->edx);
    mutex_unlock(&file->lock);
    file_release(file);
    return result;
}

/* dup(fd) */
static int sys_dup(struct trap_frame* frame) { return descriptor_dup((int)frame->ebx); }

/* dup2(from, to) */
static int sys_dup2(struct trap_frame* frame) { return descriptor_dup2((int)frame->ebx, (int)frame->ecx); }

/* pipe(fds): either both descriptors come into being or neither. */
static int sys_pipe(struct trap_frame* frame) {
    struct file *read_end, *write_end;
    int descriptors[2] = {-1, -1};
    int error = pipe_create(&read_end, &write_end);
    if (error < 0) {
        return error;
    }
    error = descriptors[0] = descriptor_add(read_end);
    if (error < 0) {
        goto fail_files;
    }
    error = descriptors[1] = descriptor_add(write_end);
    if (error < 0) {
        goto fail_read_descriptor;
    }
    error = copy_to_user(frame->ebx, descriptors, sizeof(descriptors));
    if (error < 0) {
        goto fail_descriptors;
    }
    return 0;

fail_descriptors: /* another thread may have closed them while the copy slept */
    if (descriptor_file(descriptors[1]) == write_end) {
        descriptor_close(descriptors[1]);
    }
    if (descriptor_file(descriptors[0]) == read_end) {
        descriptor_close(descriptors[0]);
    }
    return error;
fail_read_descriptor:
    descriptor_take_back(descriptors[0]);
fail_files:
    file_release(write_end);
    file_release(read_end);
    return error;
}

/* stat(path, description) */
static int sys_stat(struct trap_frame* frame) {
    char path[PATH_BYTES];
    struct node* node;
    struct stat description;
    int error = copy_string_from_user(path, frame->ebx, sizeof(path));
    if (error < 0) {
        return error;
    }
    error = node_find(path, &node);
    if (error < 0) {
        return error;
    }
    node_describe(node, &description);
    return copy_to_user(frame->ecx, &description, sizeof(description));
}

/* fstat(fd, description) */
static int sys_fstat(struct trap_frame* frame) {
    struct stat description;
    struct file* file = descriptor_file((int)frame->ebx);
    if (file == NULL) {
        return -EBADF;
    }
    file_describe(file, &description);
    return copy_to_user(frame->ecx, &description, sizeof(description));
}

/* getcwd(buffer, size) */
static int sys_getcwd(struct trap_frame* frame) {
    char path[PATH_BYTES];
    size_t capacity = frame->ecx < sizeof(path) ? frame->ecx : sizeof(path);
    int length = node_path(current_process->working_directory, path, capacity);
    if (length >= 0 && copy_to_user(frame->ebx, path, (size_t)length + 1) < 0) {
        return -EFAULT;
    }
    return length;
}

/* chdir(path) */
static int sys_chdir(struct trap_frame* frame) {
    char path[PATH_BYTES];
    struct node* node;
    int error = copy_string_from_user(path, frame->ebx, sizeof(path));
    if (error < 0) {
        return error;
    }
    error = node_find(path, &node);
    if (error < 0) {
        return error;
    }
    if (node->type != FILE_DIRECTORY) {
        return -ENOTDIR;
    }
    node_share(node);
    node_release(current_process->working_directory);
    current_process->working_directory = node;
    return 0;
}

/* readdir(fd, entry) */
static int sys_readdir(struct trap_frame* frame) {
    struct dirent entry;
    struct file* file = descriptor_file((int)frame->ebx);
    if (file == NULL) {
        return -EBADF;
    }
    file_share(file);
    mutex_lock(&file->lock);
    int result = file_next_entry(file, &entry);
    if (result > 0 && copy_to_user(frame->ecx, &entry, sizeof(entry)) < 0) {
        file->offset--;
        result = -EFAULT;
    }
    mutex_unlock(&file->lock);
    file_release(file);
    return result;
}

/* kill(pid, signal): signal 0 only asks whether the process is there. */
static int sys_kill(struct trap_frame* frame) {
    int signal = (int)frame->ecx;
    struct process* process = process_find((pid_t)frame->ebx);
    if (signal < 0 || signal >= NSIG) {
        return -EINVAL;
    }
    if (process == NULL) {
        return -ESRCH;
    }
    if (signal != 0) {
        signal_send(process, signal);
    }
    return 0;
}

/* sigaction(signal, new, old) */
static int sys_sigaction(struct trap_frame* frame) { return signal_action((int)frame->ebx, frame->ecx, frame->edx); }

/* sigreturn() */
static int sys_sigreturn(struct trap_frame* frame) { return signal_return(frame); }

/* thread_create(entry, argument, stack_bytes) */
static int sys_thread_create(struct trap_frame* frame) { return thread_create(frame->ebx, frame->ecx, frame->edx); }

/* thread_join(thread, value) */
static int sys_thread_join(struct trap_frame* frame) { return thread_join((int)frame->ebx, frame->ecx); }

/* thread_exit(value) */
static int sys_thread_exit(struct trap_frame* frame) { thread_finish((int)frame->ebx); }

/* sleep(milliseconds) */
static int sys_sleep(struct trap_frame* frame) { return clock_sleep(frame->ebx); }

/* yield() */
static int sys_yield(struct trap_frame* frame) {
    (void)frame;
    schedule_yield();
    return 0;
}

/* uptime() */
static int sys_uptime(struct trap_frame* frame) {
    (void)frame;
    return (int)clock_milliseconds();
}

/* meminfo(info) */
static int sys_meminfo(struct trap_frame* frame) {
    struct meminfo info;
    frames_count(&info);
    info.forks = forks_since_boot;
    info.faults = faults_since_boot;
    info.cow_copies = cow_copies_since_boot;
    return copy_to_user(frame->ebx, &info, sizeof(info));
}

/* procinfo(index, info) */
static int sys_procinfo(struct trap_frame* frame) {
    struct procinfo info;
    if ((int)frame->ebx < 0) {
        return -EINVAL;
    }
    if (!process_describe((int)frame->ebx, &info)) {
        return 0;
    }
    return copy_to_user(frame->ecx, &info, sizeof(info)) < 0 ? -EFAULT : 1;
}

/* tracepoint(id, parameter): users may mark workloads and nothing else. */
static int sys_tracepoint(struct trap_frame* frame) {
    unsigned id = frame->ebx;
    if (id != TP_WORKLOAD_BEGIN && id != TP_WORKLOAD_END) {
        return -EINVAL;
    }
    current_process->workload = id == TP_WORKLOAD_BEGIN ? frame->ecx : 0;
    trace(id, (uint32_t)current_process->pid, (uint32_t)current_thread->id, frame->ecx);
    return 0;
}

/* poweroff(status) */
static int sys_poweroff(struct trap_frame* frame) { power_off((uint8_t)frame->ebx); }

/* minherit(start, length, inheritance) */
static int sys_minherit(struct trap_frame* frame) {
    int inheritance = (int)frame->edx;
    bool good = frame->ecx > 0 && is_page_range(frame->ebx, frame->ecx) && inheritance >= INHERIT_SHARE &&
                inheritance <= INHERIT_NONE;
    return good ? vm_minherit(frame->ebx, frame->ecx, inheritance) : -EINVAL;
}

/* thread_self() */
static int sys_thread_self(struct trap_frame* frame) {
    (void)frame;
    return current_thread->id;
}

/* sigprocmask(how, new, old) */
static int sys_sigprocmask(struct trap_frame* frame) { return signal_mask((int)frame->ebx, frame->ecx, frame->edx); }

/* failalloc(k) */
static int sys_failalloc(struct trap_frame* frame) { return (int)fail_order(frame->ebx); }

/* mkdir(path) */
static int sys_mkdir(struct trap_frame* frame) {
    char path[PATH_BYTES];
    struct node* made;
    int error = copy_string_from_user(path, frame->ebx, sizeof(path));
    return error < 0 ? error : node_create(path, FILE_DIRECTORY, &made);
}

/* rmdir(path) */
static int sys_rmdir(struct trap_frame* frame) {
    char path[PATH_BYTES];
    int error = copy_string_from_user(path, frame->ebx, sizeof(path));
    return error < 0 ? error : node_remove(path, FILE_DIRECTORY);
}

/* unlink(path) */
static int sys_unlink(struct trap_frame* frame) {
    char path[PATH_BYTES];
    int error = copy_string_from_user(path, frame->ebx, sizeof(path));
    return error < 0 ? error : node_remove(path, FILE_REGULAR);
}

/* rename(from, to) */
static int sys_rename(struct trap_frame* frame) {
    char from[PATH_BYTES], to[PATH_BYTES];
    int error = copy_string_from_user(from, frame->ebx, sizeof(from));
    if (error >= 0) {
        error = copy_string_from_user(to, frame->ecx, sizeof(to));
    }
    return error < 0 ? error : node_rename(from, to);
}

/* terminal(fd, mode) */
static int sys_terminal(struct trap_frame* frame) {
    struct file* file = descriptor_file((int)frame->ebx);
    if (file == NULL) {
        return -EBADF;
    }
    if (file->type != FILE_DEVICE || file->node->device != DEVICE_CONSOLE) {
        return -ENOTTY;
    }
    return frame->ecx <= TERMINAL_KEYS ? terminal_set_mode((int)frame->ecx) : -EINVAL;
}

static const system_call system_calls[] = {
    [SYS_exit] = sys_exit,
    [SYS_fork] = sys_fork,
    [SYS_exec] = sys_exec,
    [SYS_waitpid] = sys_waitpid,
    [SYS_getpid] = sys_getpid,
    [SYS_getppid] = sys_getppid,
    [SYS_brk] = sys_brk,
    [SYS_mmap] = sys_mmap,
    [SYS_munmap] = sys_munmap,
    [SYS_open] = sys_open,
    [SYS_close] = sys_close,
    [SYS_read] = sys_read,
    [SYS_write] = sys_write,
    [SYS_lseek] = sys_lseek,
    [SYS_dup] = sys_dup,
    [SYS_dup2] = sys_dup2,
    [SYS_pipe] = sys_pipe,
    [SYS_stat] = sys_stat,
    [SYS_fstat] = sys_fstat,
    [SYS_getcwd] = sys_getcwd,
    [SYS_chdir] = sys_chdir,
    [SYS_readdir] = sys_readdir,
    [SYS_kill] = sys_kill,
    [SYS_sigaction] = sys_sigaction,
    [SYS_sigreturn] = sys_sigreturn,
    [SYS_thread_create] = sys_thread_create,
    [SYS_thread_join] = sys_thread_join,
    [SYS_thread_exit] = sys_thread_exit,
    [SYS_sleep] = sys_sleep,
    [SYS_yield] = sys_yield,
    [SYS_uptime] = sys_uptime,
    [SYS_meminfo] = sys_meminfo,
    [SYS_procinfo] = sys_procinfo,
    [SYS_tracepoint] = sys_tracepoint,
    [SYS_poweroff] = sys_poweroff,
    [SYS_minherit] = sys_minherit,
    [SYS_thread_self] = sys_thread_self,
    [SYS_sigprocmask] = sys_sigprocmask,
    [SYS_rfork] = sys_rfork,
    [SYS_failalloc] = sys_failalloc,
    [SYS_mkdir] = sys_mkdir,
    [SYS_rmdir] = sys_rmdir,
    [SYS_unlink] = sys_unlink,
    [SYS_rename] = sys_rename,
    [SYS_terminal] = sys_terminal,
};

void syscall_dispatch(struct trap_frame* frame) {
    unsigned number = frame->eax;
    if (number >= SYS_PERSONALITY) {
        frame->eax = (uint32_t)personality_call(frame);
        return;
    }
    if (number >= sizeof(system_calls) / sizeof(system_calls[0]) || system_calls[number] == NULL) {
        frame->eax = (uint32_t)-ENOSYS;
        return;
    }
    frame->eax = (uint32_t)system_calls[number](frame);
}
