/* The boot image: the servers are programs of the initrd, loaded before anything runs, with every page present, for a
 * server never faults. */
#include "guest/kernel/boot_info.h"
#include "guest/kernel/memory/frames.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/process/exec.h"
#include "guest/kernel/string.h"
#include "guest/kernel/traps/trap.h"
#include "guest/personality/minix/proc.h"

#define SERVER_STACK_PAGES 8u
#define EFLAGS_IOPL_3 0x3000u /* a server states its own tracepoints */

struct boot_image {
    const char *name, *path;
    int slot;
    unsigned priority;
    const int* calls; /* ended by 0 */
};

static const int pm_calls[] = {SYS_SETPID, SYS_SCHEDULE, SYS_EXIT, SYS_CLEAR, SYS_GETINFO, SYS_DIAGCTL, SYS_ABORT, 0};
static const int vfs_calls[] = {SYS_DUPFILES, SYS_DIAGCTL, SYS_ABORT, 0};
static const int vm_calls[] = {SYS_FORK,     SYS_EXEC,    SYS_VMCTL,   SYS_ABSCOPY, SYS_MEMSET,
                               SYS_FILEPAGE, SYS_GETINFO, SYS_DIAGCTL, SYS_ABORT,   0};
static const int test_calls[] = {SYS_GETINFO, SYS_DIAGCTL, SYS_ABORT, 0};

static const struct boot_image image[] = {
    {"vm", "/service/vm", VM_PROC_NR, VM_Q, vm_calls},
    {"pm", "/service/pm", PM_PROC_NR, SRV_Q, pm_calls},
    {"vfs", "/service/vfs", VFS_PROC_NR, SRV_Q, vfs_calls},
};
static const struct boot_image test_image[] = {
    {"ipctest", "/service/ipctest", TEST_PROC_NR, MIN_USER_Q, test_calls},
    {"ipcpeer", "/service/ipctest", TEST_PROC_NR + 1, MIN_USER_Q, test_calls},
    {"ipcthird", "/service/ipctest", TEST_PROC_NR + 2, MIN_USER_Q, test_calls},
};

/* Maps one fresh, cleared page of a server and returns it; panics if out of memory, for nothing can start then. */
static void* map_page(struct process* process, ptr_t va, bool writable) {
    struct frame* frame = frame_alloc(0, FRAME_USER);
    pte_t* ptep = pmap_pte_make(process->page_directory, va);
    if (frame == NULL || ptep == NULL) {
        panic("too little memory for the servers");
    }
    set_pte(ptep, mkpte(frame_address(frame), PTE_PRESENT | PTE_USER | (writable ? PTE_WRITABLE : 0)));
    memset(frame_pointer(frame), 0, PAGE_BYTES);
    return frame_pointer(frame);
}

/* Maps one segment of a server's program with all its bytes. */
static void map_segment(struct process* process, const struct node* node, const struct segment* segment) {
    bool writable = (segment->protection & PROT_WRITE) != 0;
    for (uint32_t at = 0; at < segment->memory_bytes; at += PAGE_BYTES) {
        void* page = map_page(process, segment->start + at, writable);
        if (at < segment->file_bytes) {
            uint32_t left = segment->file_bytes - at;
            node_read(node, segment->file_offset + at, page, left < PAGE_BYTES ? left : PAGE_BYTES);
        }
    }
}

/* Makes a server's process, in its slot, without memory. No signal reaches it. */
static struct process* make_process(const struct boot_image* entry) {
    proc_claim_slot(entry->slot);
    struct process* process = alloc_process();
    if (process == NULL) {
        panic("too little memory for the servers");
    }
    process->pid = SERVER_PID(entry->slot);
    process->page_directory = pmap_create();
    string_copy(process->name, entry->name, sizeof(process->name));
    for (int signal = 0; signal < NSIG; signal++) {
        process->actions[signal].handler = SIG_IGN;
    }
    struct proc* rp = proc_of(process);
    rp->p_server = true;
    rp->p_priority = entry->priority;
    for (const int* call = entry->calls; *call != 0; call++) {
        unsigned number = (unsigned)*call - KERNEL_CALL_BASE;
        rp->p_k_call_mask[number / 32] |= 1u << number % 32;
    }
    return process;
}

/* Makes a server ready to run from its entry on, with an empty stack: no arguments. */
static void start_server(struct process* process, ptr_t entry) {
    struct thread* thread = alloc_thread(process);
    if (process->page_directory == 0 || thread == NULL || !thread_map_kstack(thread)) {
        panic("too little memory for the servers");
    }
    ptr_t va = (ptr_t)thread_first_frame(thread);
    phys_t page = pte_paddr(pmap_lookup(process->page_directory, va));
    struct trap_frame* frame = phys_to_pointer(page + va % PAGE_BYTES);
    memset(frame, 0, sizeof(*frame));
    trap_prepare_user(frame, entry, USER_STACK_TOP - 16);
    frame->eflags |= EFLAGS_IOPL_3;
    thread->hstate = (struct trap_frame*)va;
    commit_process(process);
    commit_thread(thread);
}

/* Loads one server; panics if its program is missing or broken. */
static void boot_server(const struct boot_image* entry) {
    struct executable program = {0};
    if (node_find(entry->path, &program.node) < 0 || exec_read_image(&program) < 0) {
        panic("no server %s in the initrd", entry->path);
    }
    struct process* process = make_process(entry);
    for (unsigned i = 0; i < program.segment_count; i++) {
        map_segment(process, program.node, &program.segments[i]);
    }
    for (unsigned i = 1; i <= SERVER_STACK_PAGES; i++) {
        map_page(process, USER_STACK_TOP - i * PAGE_BYTES, true);
    }
    start_server(process, program.entry);
}

/* Loads all servers; the boot word ipctest adds three that try every kind of message. */
void boot_servers(void) {
    for (size_t i = 0; i < sizeof(image) / sizeof(image[0]); i++) {
        boot_server(&image[i]);
    }
    for (size_t i = 0; boot_flag("ipctest") && i < sizeof(test_image) / sizeof(test_image[0]); i++) {
        boot_server(&test_image[i]);
    }
}
