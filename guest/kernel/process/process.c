#include "guest/kernel/process/process.h"
#include "guest/abi/trace.h"
#include "guest/kernel/memory/heap.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/string.h"
#include "guest/kernel/traps/trap.h"

unsigned forks_since_boot, faults_since_boot, cow_copies_since_boot;

static struct list processes;
static unsigned process_count;
static pid_t last_pid;
static int last_thread_id;

void processes_init(void) { list_init(&processes); }

struct process* process_search(pid_t pid) {
    struct process *process, *following;
    list_for_each(process, following, &processes, link) {
        if (process->pid == pid && process->state != PROCESS_NEW) {
            return process;
        }
    }
    return NULL;
}

pid_t process_next_pid(void) {
    for (;;) {
        last_pid = last_pid >= PID_LIMIT ? INIT_PID + 1 : last_pid + 1;
        struct process *process, *following;
        bool taken = false;
        list_for_each(process, following, &processes, link) { taken = taken || process->pid == last_pid; }
        if (!taken) {
            return last_pid;
        }
    }
}

struct process* alloc_process(void) {
    if (process_count >= PROCESS_LIMIT) {
        return NULL;
    }
    struct process* process = kzalloc(sizeof(*process));
    if (process == NULL) {
        return NULL;
    }
    process->vm = vm_alloc(process);
    if (process->vm == NULL) {
        kfree(process);
        return NULL;
    }
    process->state = PROCESS_NEW;
    list_init(&process->children);
    list_init(&process->sibling);
    list_init(&process->threads);
    wait_queue_init(&process->child_waiters);
    wait_queue_init(&process->thread_waiters);
    list_append(&processes, &process->link);
    process_count++;
    return process;
}

void commit_process(struct process* process) {
    process->state = PROCESS_ALIVE;
    if (process->parent != NULL) {
        list_append(&process->parent->children, &process->sibling);
    }
    trace(TP_PROCESS_START, (uint32_t)process->pid, process->parent != NULL ? (uint32_t)process->parent->pid : 0,
          process->page_directory);
}

/* Lets go of the descriptors, which closes them unless they are shared, and of the working directory; exit and
 * delete_process() call it. */
static void release_files(struct process* process) {
    if (process->descriptors != NULL) {
        descriptors_release(process->descriptors);
        process->descriptors = NULL;
    }
    if (process->working_directory != NULL) {
        node_release(process->working_directory);
        process->working_directory = NULL;
    }
}

void delete_process(struct process* process) {
    struct thread *thread, *following;
    list_for_each(thread, following, &process->threads, link) { delete_thread(thread); }
    release_files(process);
    list_remove(&process->sibling);
    list_remove(&process->link); /* vm_destroy() may sleep: a process that is half gone must not be found */
    vm_destroy(process);
    process_count--;
    kfree(process->command);
    kfree(process);
}

struct thread* alloc_thread(struct process* process) {
    struct thread* thread = kzalloc(sizeof(*thread));
    if (thread == NULL) {
        return NULL;
    }
    thread->process = process;
    if (!thread_attach(thread)) {
        kfree(thread);
        return NULL;
    }
    thread->id = ++last_thread_id;
    thread->state = THREAD_NEW;
    list_init(&thread->queue_link);
    list_append(&process->threads, &thread->link);
    return thread;
}

bool thread_map_kstack(struct thread* thread) {
    ptr_t top = pmap_kstack_free(thread->process->page_directory);
    if (top == 0 || !pmap_kstack_map(thread->process->page_directory, top)) {
        return false;
    }
    thread->kstack = top;
    return true;
}

struct trap_frame* thread_first_frame(const struct thread* thread) {
    return (struct trap_frame*)(thread->kstack - thread->kstack_kept) - 1;
}

void delete_thread(struct thread* thread) {
    if (thread->kstack != 0) {
        pmap_kstack_unmap(thread->process->page_directory, thread->kstack);
    }
    list_remove(&thread->link);
    thread_detach(thread);
    kfree(thread);
}

void commit_thread(struct thread* thread) {
    thread->saved_esp = (ptr_t)thread->hstate;
    thread->saved_eip = (ptr_t)trap_return;
    thread->process->live_threads++;
    schedule_add(thread, READY_NEW);
}

/* Orders every other thread of the running process to die; they do so on their way to user mode. */
static void doom_others(void) {
    struct thread *thread, *following;
    list_for_each(thread, following, &current_process->threads, link) {
        if (thread != current_thread && thread->state != THREAD_DEAD) {
            thread->doomed = true;
            schedule_interrupt(thread);
        }
    }
}

/* Gives the children of a dying process to init, and tells init where one of them is dead already. */
static void orphan_children(struct process* process) {
    struct process* init = process_find(INIT_PID);
    struct process *child, *following;
    list_for_each(child, following, &process->children, sibling) {
        list_remove(&child->sibling);
        child->parent = init;
        list_append(&init->children, &child->sibling);
        if (child->state == PROCESS_DEAD) {
            wake_all(&init->child_waiters);
            signal_send(init, SIGCHLD);
        }
    }
}

/* The last part of a process's death: only its slot, its directory and this kernel stack remain. Init and servers have
 * no parent that could wait for them. */
static void process_finish(struct process* process) {
    if (process->parent == NULL) {
        panic("%s is gone (status %x)", process->pid == INIT_PID ? "init" : process->name,
              (unsigned)process->exit_status);
    }
    trace(TP_PROCESS_EXIT, (uint32_t)process->pid, (uint32_t)process->parent->pid, (uint32_t)process->exit_status);
    release_files(process);
    vm_exit(process);
    orphan_children(process);
    process->state = PROCESS_DEAD;
    wake_all(&process->parent->child_waiters);
    signal_send(process->parent, SIGCHLD);
}

void thread_finish(int value) {
    struct process* process = current_process;
    current_thread->exit_value = value;
    current_thread->doomed = true; /* no signal is for us any more */
    if (process->live_threads > 1 && !process->exiting) {
        vm_thread_exit(current_thread); /* may sleep: we must still count as alive */
    }
    process->live_threads--;
    if (process->live_threads == 0) {
        process_finish(process);
    }
    current_thread->state = THREAD_DEAD;
    wake_all(&process->thread_waiters);
    schedule();
    panic("a dead thread ran");
}

void process_exit(int status) {
    if (!current_process->exiting) {
        current_process->exiting = true;
        current_process->exit_status = status;
        doom_others();
    }
    thread_finish(0);
}

int thread_end_others(void) {
    if (current_thread->doomed) {
        return -EINTR; /* the thread that doomed us lives on, and must not be doomed in turn */
    }
    doom_others();
    while (current_process->live_threads > 1) {
        int error = wait_on_killable(&current_process->thread_waiters);
        if (error < 0) {
            return error;
        }
    }
    struct thread *thread, *following;
    list_for_each(thread, following, &current_process->threads, link) {
        if (thread != current_thread) {
            delete_thread(thread);
        }
    }
    return current_thread->doomed ? -EINTR : 0;
}

void process_signal_all(int signal) {
    struct process *process, *following;
    list_for_each(process, following, &processes, link) {
        if (process->pid != INIT_PID && process->state == PROCESS_ALIVE) {
            signal_send(process, signal);
        }
    }
}

/* Returns the PROC_* state that ps shows: the liveliest of the threads. */
static unsigned describe_state(const struct process* process) {
    unsigned best = process->state == PROCESS_DEAD ? PROC_ZOMBIE : PROC_BLOCKED;
    struct thread *thread, *following;
    list_for_each(thread, following, &process->threads, link) {
        unsigned state = thread->state == THREAD_RUNNING ? PROC_RUNNING
                         : thread->state == THREAD_READY ? PROC_READY
                                                         : best;
        best = state < best ? state : best;
    }
    return best;
}

bool process_describe(int index, struct procinfo* info) {
    struct process *process, *following;
    list_for_each(process, following, &processes, link) {
        if (process->state == PROCESS_NEW || index-- > 0) {
            continue;
        }
        memset(info, 0, sizeof(*info));
        info->pid = process->pid;
        info->parent = process->parent != NULL ? process->parent->pid : 0;
        info->state = describe_state(process);
        info->threads = process->live_threads;
        info->pages = pmap_count_user_pages(process->page_directory);
        info->ticks = process->ticks;
        string_copy(info->name, process->name, sizeof(info->name));
        return true;
    }
    return false;
}

int process_inherit_name(struct process* child, const struct process* parent) {
    string_copy(child->name, parent->name, sizeof(child->name));
    if (parent->command == NULL) {
        return 0;
    }
    child->command = kmalloc(parent->command_bytes);
    if (child->command == NULL) {
        return -ENOMEM;
    }
    child->command_bytes = parent->command_bytes;
    memcpy(child->command, parent->command, child->command_bytes);
    return 0;
}

void process_rename(const char* path, char* command, size_t command_bytes) {
    const char* name = path;
    for (const char* at = path; *at != '\0'; at++) {
        if (*at == '/' && at[1] != '\0') {
            name = at + 1;
        }
    }
    string_copy(current_process->name, name, sizeof(current_process->name));
    kfree(current_process->command);
    current_process->command = command;
    current_process->command_bytes = command_bytes;
}
