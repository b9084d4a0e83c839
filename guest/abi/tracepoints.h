/* Owns: the ids of the guest's tracepoints: what a kernel states about its own fork while it runs.
 * Callers: guest kernels (to emit), emu/observe (to name). Values are part of recorded traces: never renumber. */
#ifndef FORKSCOPE_ABI_TRACEPOINTS_H
#define FORKSCOPE_ABI_TRACEPOINTS_H

/* The numbered stops of a fork, in ARCHITECTURE.md's words. Each is written when its step *begins*.
 * Arguments: arg0 = parent pid, arg1 = child pid (0 while unknown), arg2 = as named. */
#define TP_FORK_ENTER         0x10 /* the fork system call begins; arg2 = pages named by --pages, else 0 */
#define TP_FORK_CHILD_SLOT    0x11 /* 1: child slot */
#define TP_FORK_ADDRESS_SPACE 0x12 /* 2: address space; arg2 = physical address of the child's page directory, 0 if not yet
                                    * made; then it may be stated once more when it is */
#define TP_FORK_REGISTERS     0x13 /* 3: registers and return 0 */
#define TP_FORK_FILES         0x14 /* 4: files and parent */
#define TP_FORK_RUNNABLE      0x15 /* 5: runnable; arg2 = physical address of the child's page directory */
#define TP_FORK_PROTECT       0x16 /* 2b: copy-on-write protection of both sides; arg2 as for RUNNABLE */
#define TP_FORK_LEAVE         0x17 /* the parent leaves fork; arg2 = result (pid or negative error) */
#define TP_FAULT_ENTER        0x18 /* F: the fault handler begins; arg0 = pid, arg1 = address, arg2 = error code */
#define TP_FAULT_LEAVE        0x19 /* F: the fault handler is done; arg0 = pid, arg1 = address, arg2 = FAULT_* class */
#define TP_FORK_PID           0x1A /* 1b: the child's pid is chosen; a phase of its own where that comes after the memory */

/* Frames: arg0 = physical address of the frame, arg1 = reference count after the act, arg2 = FRAME_* reason. */
#define TP_FRAME_ALLOC        0x20
#define TP_FRAME_FREE         0x21
#define TP_FRAME_SHARE        0x22 /* one more reference */
#define TP_FRAME_RELEASE      0x23 /* one less, not yet free */
#define TP_FRAME_COPY         0x24 /* arg0 = source, arg1 = destination */
/* Kernel objects (and a memory server's own): arg0 = address, arg1 = bytes taken, arg2 = 0. */
#define TP_HEAP_ALLOC         0x26
#define TP_HEAP_FREE          0x27
/* What a frame is for. */
#define FRAME_USER            1
#define FRAME_PAGE_TABLE      2
#define FRAME_PAGE_DIRECTORY  3
#define FRAME_KERNEL_STACK    4
#define FRAME_HEAP            5

/* Processes: arg0 = pid, arg1 = thread id or parent pid, arg2 = as named. */
#define TP_PROCESS_START      0x30 /* arg1 = parent pid, arg2 = physical address of the page directory */
#define TP_PROCESS_EXEC       0x31 /* arg2 = physical address of the page directory */
#define TP_PROCESS_EXIT       0x32 /* arg2 = exit status */
#define TP_CONTEXT_SWITCH     0x33 /* arg0 = next pid, arg1 = next thread id, arg2 = its page directory */
#define TP_BOOT_DONE          0x34 /* the first user program is about to run */
#define TP_WORKLOAD_BEGIN     0x35 /* a measured user workload begins; arg0 = pid, arg2 = its parameter */
#define TP_WORKLOAD_END       0x36
#define TP_PANIC              0x3F /* arg0 = vector or 0xFFFFFFFF, arg1 = eip, arg2 = cr2 */

/* Messages: arg0 = pid of the sender, arg1 = pid of the receiver, arg2 = type. Emitted when the message is delivered.
 * Whoever receives a message works for its sender until it sends the answer: so a fork that servers do is followed. */
#define TP_MESSAGE            0x40
#define TP_NOTIFY             0x41
/* Shadow objects: arg0 = pid, arg1 = address of the object, arg2 = length of the chain that starts at it afterwards
 * (a file's own object at its end does not count). */
#define TP_SHADOW_CREATE      0x48
#define TP_SHADOW_COLLAPSE    0x49 /* the object swallowed the one behind it */
#define TP_SHADOW_BYPASS      0x4A /* the object now looks past the one behind it */
#define TP_SHADOW_CHAIN       0x4B /* a fault searched this chain; arg2 = objects looked at */

/* Class of a resolved fault, as the kernel sees it. */
#define FAULT_DEMAND_ZERO 1
#define FAULT_FILE        2
#define FAULT_COW_COPY    3
#define FAULT_COW_REUSE   4
#define FAULT_STACK       5
#define FAULT_SPURIOUS    6
#define FAULT_PROTECTION  7
#define FAULT_KERNEL_COPY 8
#define FAULT_RESIDENT    9 /* the page was in memory, shared or not; only this space's entry was missing */

#endif
