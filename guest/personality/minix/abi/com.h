/* Owns: the types of messages to PM, VM and VFS, the numbers of kernel calls, and the names of their fields.
 * The MINIX kernel and its servers include it. Promises: a number means one thing in the whole system, so that a trace
 * of messages can be read. */
#ifndef MINIX_ABI_COM_H
#define MINIX_ABI_COM_H

#include "guest/personality/minix/abi/ipc.h"

/* To PM. */
#define PM_BASE 0x0000
#define PM_EXIT (PM_BASE + 1)
#define PM_FORK (PM_BASE + 2)
#define PM_EXEC (PM_BASE + 14)
#define PM_EXEC_RESTART (PM_BASE + 42) /* the prepared memory comes into force, or is dropped */
#define PM_CLEANUP (PM_BASE + 43)      /* a dead process has been waited for */
#define PM_EXEC_VM m_u32[0]            /* answer of PM_EXEC: the new page directory; PM_EXEC_RESTART: the same */
#define PM_EXEC_STACK m_u32[1]         /* answer of PM_EXEC: the number of the stack's region */
#define PM_EXEC_COMMIT m_u32[2]
#define PM_CLEANUP_ENDPT m_i32[0]

/* To VFS, from PM. */
#define VFS_PM_RQ_BASE 0x900
#define VFS_PM_EXIT (VFS_PM_RQ_BASE + 3)
#define VFS_PM_FORK (VFS_PM_RQ_BASE + 6)
#define VFS_PM_ENDPT m_i32[0]
#define VFS_PM_PENDPT m_i32[1]
#define VFS_PM_CPID m_i32[2]

/* To VM: from processes, from PM, and (VM_PAGEFAULT) from the kernel in a process's name. */
#define VM_RQ_BASE 0xC00
#define VM_EXIT (VM_RQ_BASE + 0)
#define VM_FORK (VM_RQ_BASE + 1)
#define VM_BRK (VM_RQ_BASE + 2)
#define VM_EXEC_NEWMEM (VM_RQ_BASE + 3)
#define VM_EXEC_RESTART (VM_RQ_BASE + 4)
#define VM_WILLEXIT (VM_RQ_BASE + 5)
#define VM_MMAP (VM_RQ_BASE + 10)
#define VM_MUNMAP (VM_RQ_BASE + 17)
#define VM_MINHERIT (VM_RQ_BASE + 18)
#define VM_THREAD_STACK (VM_RQ_BASE + 19)
#define VM_THREAD_EXIT (VM_RQ_BASE + 20)
#define VM_PAGEFAULT (VM_RQ_BASE + 0xFF)
#define VM_CALLS 21 /* those that the call mask knows */

#define VMF_ENDPOINT m_i32[0]
#define VMF_SLOTNO m_i32[1]
#define VMF_PARENT_PID m_i32[2]     /* for the trace */
#define VMF_CHILD_ENDPOINT m_i32[3] /* answer */
#define VMF_CHILD_PDBR m_u32[4]     /* answer: the child's page directory, for the trace */
#define VMEX_ENDPOINT m_i32[0]      /* VM_EXIT, VM_WILLEXIT, VM_EXEC_NEWMEM, VM_EXEC_RESTART */
#define VMEX_SPACE m_u32[1]         /* answer of VM_EXEC_NEWMEM; VM_EXEC_RESTART: which of them */
#define VMEX_STACK m_u32[2]         /* answer of VM_EXEC_NEWMEM */
#define VMEX_COMMIT m_u32[3]
#define VMB_ADDR m_u32[0]
#define VMB_RETADDR m_u32[1]
#define VMM_ADDR m_u32[0] /* VM_MMAP; in the answer, the address. VM_MUNMAP, VM_MINHERIT: the start */
#define VMM_LEN m_u32[1]
#define VMM_PROT m_i32[2]
#define VMM_FLAGS m_i32[3]
#define VMM_OFFSET m_u32[4]
#define VMM_INODE m_u32[5] /* 0: anonymous */
#define VMM_SIZE m_u32[6]  /* the file's bytes */
#define VMM_INHERITANCE m_i32[2]
#define VMT_BYTES m_u32[0]  /* VM_THREAD_STACK */
#define VMT_REGION m_u32[1] /* answer, and VM_THREAD_EXIT: the number of the stack's region */
#define VMT_TOP m_u32[2]    /* answer */
#define VPF_ADDR m_u32[0]
#define VPF_FLAGS m_u32[1] /* the CPU's error code */

/* Kernel calls. */
#define KERNEL_CALL_BASE 0x600
#define SYS_FORK (KERNEL_CALL_BASE + 0)
#define SYS_EXEC (KERNEL_CALL_BASE + 1)
#define SYS_CLEAR (KERNEL_CALL_BASE + 2)
#define SYS_SCHEDULE (KERNEL_CALL_BASE + 3)
#define SYS_SETPID (KERNEL_CALL_BASE + 4)
#define SYS_DUPFILES (KERNEL_CALL_BASE + 5)
#define SYS_FILEPAGE (KERNEL_CALL_BASE + 6)
#define SYS_MEMSET (KERNEL_CALL_BASE + 13)
#define SYS_ABSCOPY (KERNEL_CALL_BASE + 15)
#define SYS_GETINFO (KERNEL_CALL_BASE + 26)
#define SYS_ABORT (KERNEL_CALL_BASE + 27)
#define SYS_VMCTL (KERNEL_CALL_BASE + 43)
#define SYS_DIAGCTL (KERNEL_CALL_BASE + 44)
#define SYS_EXIT (KERNEL_CALL_BASE + 53)
#define NR_SYS_CALLS 54

#define SYS_ENDPT m_i32[0] /* the process that a kernel call is about */
#define SYS_FORK_SLOT m_i32[1]
#define SYS_FORK_FLAGS m_u32[2]
#define SYS_FORK_ENDPT m_i32[3]   /* answer: the child's endpoint */
#define SYS_FORK_MSGADDR m_u32[4] /* answer: where the parent's message lies */
#define SYS_FORK_STACK m_u32[5]   /* answer: the number of the calling thread's stack region, 0 = none */
#define PFF_VMINHIBIT 1u          /* not runnable before its page table is bound */
#define SYS_PID m_i32[1]          /* SYS_SETPID */
#define SYS_PARENT_ENDPT m_i32[1] /* SYS_DUPFILES */
#define SYS_PRIORITY m_u32[1]     /* SYS_SCHEDULE */
#define SYS_QUANTUM m_u32[2]      /* SYS_SCHEDULE: in quanta of the clock */
#define SYS_ADDR m_u32[1]         /* SYS_EXEC: where the exec_info goes */
#define SYS_SRC m_u32[0]          /* SYS_ABSCOPY */
#define SYS_DST m_u32[1]          /* SYS_ABSCOPY, SYS_MEMSET, SYS_FILEPAGE: physical */
#define SYS_BYTES m_u32[2]        /* SYS_ABSCOPY, SYS_MEMSET, SYS_FILEPAGE, SYS_DIAGCTL */
#define SYS_BYTE m_u32[3]         /* SYS_MEMSET */
#define SYS_INODE m_u32[3]        /* SYS_FILEPAGE */
#define SYS_OFFSET m_u32[4]       /* SYS_FILEPAGE */
#define SYS_INFO m_u32[0]         /* SYS_GETINFO: what is asked, then the answer */
#define GET_WHOAMI 1              /* the caller's endpoint */
#define GET_FRAMES 2              /* how many frame numbers there are */
#define GET_ENDPT 3               /* of the slot in m_u32[1]; NONE where it is free */
#define GET_FAIL_ORDERED 4        /* 1 where some allocation is to fail: then each is to be counted, */
#define GET_FAIL_DUE 5            /* by this question: 1 where it is this one */
#define GET_VMSANITY 6            /* whether VM should check its tables all the time */
#define GET_FRAMEREFS 7           /* how many references the frame at m_u32[1] has */

/* SYS_VMCTL: SYS_ENDPT says whose, SVMCTL_PARAM what. */
#define SVMCTL_PARAM m_u32[1]
#define SVMCTL_PDBR m_u32[2]  /* a page directory; the answer of PT_NEW and GET_PDBR */
#define SVMCTL_ADDR m_u32[3]  /* PT_BATCH: the entries; ALLOCPAGES, FREEPAGES: in the caller's space */
#define SVMCTL_COUNT m_u32[4] /* of entries or pages; CLEAR_PAGEFAULT: how often memory was refused */
#define SVMCTL_SLOT m_i32[1]  /* PT_NEW and PT_FREE: the slot of a child to be, or -1 */
#define SVMCTL_VALUE m_u32[6] /* CLEAR_PAGEFAULT: the FAULT_* class; ALLOCFRAME, FREEFRAME: the frame */
#define VMCTL_CLEAR_PAGEFAULT 12
#define VMCTL_GET_PDBR 13
#define VMCTL_PT_NEW 40
#define VMCTL_PT_FREE 41
#define VMCTL_PT_BATCH 42
#define VMCTL_PT_BIND 43
#define VMCTL_ALLOCFRAME 44
#define VMCTL_FREEFRAME 45
#define VMCTL_OWNHEAP 46
#define VMCTL_ALLOCPAGES 47
#define VMCTL_FREEPAGES 48

/* One page-table entry that VM has decided on. */
struct pt_entry {
    uint32_t vir;
    uint32_t phys;
    uint32_t flags; /* PTF_*; without PTF_PRESENT the page is taken out */
};
#define PTF_PRESENT 1u
#define PTF_WRITE 2u
#define PTF_NEW 4u /* the entry takes over the reference that VMCTL_ALLOCFRAME gave; else it takes one more */
#define PT_BATCH_ENTRIES 64

/* What VM must know of a program to build its memory; SYS_EXEC fetches it. */
#define EXEC_INFO_SEGMENTS 8
struct exec_info {
    uint32_t inode;
    uint32_t end;         /* one past the highest segment */
    uint32_t stack_bytes; /* arguments at the top of the stack */
    uint32_t segments;
    struct {
        uint32_t start, memory_bytes, file_bytes, file_offset;
        int protection;
    } segment[EXEC_INFO_SEGMENTS];
};

#endif
