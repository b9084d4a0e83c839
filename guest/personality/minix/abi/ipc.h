/* Owns: messages, endpoints and the two traps that servers make: one for messages, one for kernel calls.
 * The MINIX kernel and its servers include it. Promises: a message is 64 bytes; errors are negative (ENOMEM is 12,
 * the result -12), as in MINIX's own system code. */
#ifndef MINIX_ABI_IPC_H
#define MINIX_ABI_IPC_H

#include <stdint.h>

#include "guest/abi/syscalls.h"

#define OK 0
#define ELOCKED 201     /* would wait for a process that waits for us */
#define EDEADSRCDST 202 /* the endpoint's process is gone */
#define EBADSRCDST 203  /* no such endpoint can be */
#define EBADCALL 204    /* no such IPC call */

#define NR_PROCS 256

/* An endpoint names one life of a slot: slot and generation. The first of each slot is its number. */
typedef int endpoint_t;
#define _ENDPOINT_GENERATION_SHIFT 15
#define _ENDPOINT_MAX_GENERATION 0x7FFF
#define _ENDPOINT_SLOT_MASK ((1 << _ENDPOINT_GENERATION_SHIFT) - 1)
#define _ENDPOINT(generation, slot) ((endpoint_t)(((generation) << _ENDPOINT_GENERATION_SHIFT) | (slot)))
#define _ENDPOINT_G(endpoint) ((endpoint) >> _ENDPOINT_GENERATION_SHIFT)
#define _ENDPOINT_P(endpoint) ((endpoint)&_ENDPOINT_SLOT_MASK)
#define ANY _ENDPOINT(0, 0x7FFF)
#define NONE _ENDPOINT(0, 0x7FFE)
#define SELF _ENDPOINT(0, 0x7FFD)

/* The processes of the boot image; slot and first endpoint are the same number. */
#define PM_PROC_NR 0
#define VFS_PROC_NR 1
#define TEST_PROC_NR 3 /* and the next two: only with the boot word ipctest */
#define VM_PROC_NR 8
#define INIT_PROC_NR 10
#define FIRST_USER_SLOT 11 /* fork gives slots from here on */

/* Servers have pids above those of programs, for the trace. */
#define SERVER_PID(slot)                                                                                               \
    ((slot) == PM_PROC_NR ? 30001 : (slot) == VFS_PROC_NR ? 30002 : (slot) == VM_PROC_NR ? 30003 : 30010 + (slot))

#define MESSAGE_INTEGERS 4
#define MESSAGE_WORDS 10
typedef struct {
    endpoint_t m_source;
    int m_type; /* what is asked, or the answer */
    int32_t m_i32[MESSAGE_INTEGERS];
    uint32_t m_u32[MESSAGE_WORDS];
} message;

#define NOTIFY_MESSAGE 0x1000

/* The traps: int 0x80 with eax = IPC_CALL, ebx = what, ecx = endpoint, edx = message; or eax = KERNEL_CALL, edx =
 * message. */
#define IPC_CALL (SYS_PERSONALITY + 0)
#define KERNEL_CALL (SYS_PERSONALITY + 1)
#define SEND 1
#define RECEIVE 2
#define SENDREC 3
#define NOTIFY 4

#endif
