/* The SYSTEM task: kernel calls by number, and the door through which servers reach it and IPC. */
#include "guest/kernel/boot_info.h"
#include "guest/kernel/memory/fail.h"
#include "guest/kernel/memory/frames.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/print.h"
#include "guest/kernel/traps/trap.h"
#include "guest/personality/minix/proc.h"

#define DIAG_BYTES 256u

/* Each kernel call finds its arguments in the message, leaves its results there, and returns OK or a negative error. */
typedef int (*kernel_call_handler)(struct proc* caller, message* m);

/* sys_setpid: tells the mechanism the pid that PM has chosen for a child. */
static int do_setpid(struct proc* caller, message* m) {
    (void)caller;
    struct proc* rp;
    if (!isokendpt(m->SYS_ENDPT, &rp)) {
        return -EINVAL;
    }
    rp->p_process->pid = m->SYS_PID;
    return OK;
}

/* sys_getinfo: what a server may know about itself and the machine. */
static int do_getinfo(struct proc* caller, message* m) {
    uint32_t argument = m->m_u32[1];
    switch (m->SYS_INFO) {
    case GET_WHOAMI:
        m->SYS_INFO = (uint32_t)caller->p_endpoint;
        return OK;
    case GET_FRAMES:
        m->SYS_INFO = pfn(boot_info.ram_top);
        return OK;
    case GET_ENDPT:
        if (argument >= NR_PROCS) {
            return -EINVAL;
        }
        m->SYS_INFO = (uint32_t)((proc[argument].p_rts_flags & RTS_SLOT_FREE) != 0 ? NONE : proc[argument].p_endpoint);
        return OK;
    case GET_VMSANITY:
        m->SYS_INFO = boot_flag("vmsanity");
        return OK;
    case GET_FRAMEREFS:
        m->SYS_INFO = argument < boot_info.ram_top ? frame_of(argument)->references : 0;
        return OK;
    case GET_FAIL_ORDERED:
        m->SYS_INFO = fail_is_ordered();
        return OK;
    case GET_FAIL_DUE:
        m->SYS_INFO = fail_due();
        return OK;
    default:
        return -EINVAL;
    }
}

/* Fetches a line of text from a server. OK or -EFAULT. */
static int fetch_line(const message* m, char* line) {
    size_t bytes = m->SYS_BYTES < DIAG_BYTES ? m->SYS_BYTES : DIAG_BYTES;
    line[bytes] = '\0';
    return copy_from_user(line, m->SYS_ADDR, bytes);
}

/* sys_diagctl: prints a server's line on the kernel's console. */
static int do_diagctl(struct proc* caller, message* m) {
    (void)caller;
    char line[DIAG_BYTES + 1];
    int r = fetch_line(m, line);
    if (r == OK) {
        printk("%s", line);
    }
    return r;
}

/* sys_abort: a server has found its tables broken; nothing can continue. */
static int do_abort(struct proc* caller, message* m) {
    char line[DIAG_BYTES + 1];
    int r = fetch_line(m, line);
    panic("the server %s gives up: %s", caller->p_process->name, r == OK ? line : "");
}

#define CALL(number) [(number)-KERNEL_CALL_BASE]
static const kernel_call_handler call_vec[NR_SYS_CALLS] = {
    CALL(SYS_FORK) = do_fork,         CALL(SYS_EXEC) = do_exec,     CALL(SYS_CLEAR) = do_clear,
    CALL(SYS_SCHEDULE) = do_schedule, CALL(SYS_SETPID) = do_setpid, CALL(SYS_DUPFILES) = do_dupfiles,
    CALL(SYS_FILEPAGE) = do_filepage, CALL(SYS_MEMSET) = do_memset, CALL(SYS_ABSCOPY) = do_abscopy,
    CALL(SYS_GETINFO) = do_getinfo,   CALL(SYS_VMCTL) = do_vmctl,   CALL(SYS_DIAGCTL) = do_diagctl,
    CALL(SYS_ABORT) = do_abort,       CALL(SYS_EXIT) = do_exit,
};

/* Does one kernel call of a server. Returns what the call returns; -EPERM if the server may not make it, -EINVAL if
 * there is none of that number. */
int kernel_call(struct proc* caller, message* m) {
    unsigned call = (unsigned)m->m_type - KERNEL_CALL_BASE;
    if (call >= NR_SYS_CALLS || call_vec[call] == NULL) {
        return -EINVAL;
    }
    if ((caller->p_k_call_mask[call / 32] & (1u << call % 32)) == 0) {
        return -EPERM;
    }
    return call_vec[call](caller, m);
}

/* Does the trap of a server: copies its message in, and back with the results. */
static int server_call(struct proc* caller, struct trap_frame* frame) {
    message m;
    int call = (int)frame->ebx;
    bool is_ipc = frame->eax == IPC_CALL;
    if (copy_from_user(&m, frame->edx, sizeof(m)) < 0) {
        return -EFAULT;
    }
    int r = is_ipc ? do_sync_ipc(caller, call, (endpoint_t)frame->ecx, &m) : kernel_call(caller, &m);
    if (r == OK && copy_to_user(frame->edx, &m, sizeof(m)) < 0) {
        return -EFAULT;
    }
    return r;
}

/* Door: IPC and kernel calls. Programs may make neither: what they may ask for are the system calls. */
int personality_call(struct trap_frame* frame) {
    struct proc* caller = proc_of(current_process);
    if (frame->eax != IPC_CALL && frame->eax != KERNEL_CALL) {
        return -ENOSYS;
    }
    return caller->p_server ? server_call(caller, frame) : -EPERM;
}

/* Door: prepares the table, the queues and the names of files, and loads the servers. */
void personality_init(void) {
    proc_init();
    run_queues_init();
    inodes_init();
    boot_servers();
    proc_claim_slot(INIT_PROC_NR);
}
