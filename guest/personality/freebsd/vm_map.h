/* Owns: address maps: which addresses a process may use, and which object lies behind them. fork, exec, faults and the
 * memory system calls use them. Promises: entries are sorted and never overlap; a map changes only where a call
 * succeeds, though it may be cut into more entries. */
#ifndef FREEBSD_VM_MAP_H
#define FREEBSD_VM_MAP_H

#include "guest/personality/freebsd/pmap_freebsd.h"
#include "guest/personality/freebsd/vm_object.h"

#define MAP_ENTRY_COW 0x0004        /* a write goes to a copy */
#define MAP_ENTRY_NEEDS_COPY 0x0008 /* ... and the object for the copies is not made yet */
#define MAP_ENTRY_GROWS_DOWN 0x1000 /* a stack */
#define MAP_ENTRY_GUARD 0x10000     /* must never be touched */
#define MAP_ENTRY_STACK_GAP 0x20000 /* a guard into which the stack above may grow, its last page excepted */

#define VM_INHERIT_SHARE 0 /* as abi/syscalls.h numbers them */
#define VM_INHERIT_COPY 1
#define VM_INHERIT_NONE 2

/* A run of addresses with one kind of contents. */
struct vm_map_entry {
    struct list link;
    ptr_t start, end;         /* page aligned, end exclusive */
    struct vm_object* object; /* NULL: anonymous and never touched */
    vm_ooffset_t offset;      /* where in the object the entry begins */
    unsigned eflags;          /* MAP_ENTRY_* */
    uint8_t protection;       /* PROT_* */
    uint8_t inheritance;      /* VM_INHERIT_* */
};

struct vm_map {
    struct list header; /* of struct vm_map_entry, by link */
    ptr_t min_offset, max_offset;
    unsigned nentries;
    struct pmap* pmap;
};

/* The memory of one process, or of several that share it. */
struct vmspace {
    struct vm_map vm_map;
    unsigned vm_tsize, vm_dsize, vm_ssize; /* text, data with heap, stack, in pages */
    ptr_t vm_taddr, vm_daddr, vm_maxsaddr; /* where text and data begin, and how far the stack may grow */
    ptr_t vm_heap, vm_break;               /* where the heap begins, and its end as brk knows it */
    unsigned vm_refcnt;                    /* living processes */
    unsigned vm_exitingcnt;                /* dead ones, whose kernel stacks still lie in the page directory */
    struct pmap vm_pmap;                   /* last, as in the original: its size differs from machine to machine */
};

/* vm_map.c: one map. */

void vm_map_init(struct vm_map* map, struct pmap* pmap, ptr_t min, ptr_t max);
struct vm_map_entry* vm_map_entry_create(struct vm_map* map);
void vm_map_entry_link(struct vm_map* map, struct vm_map_entry* entry);
/* Finds the entry that an address lies in; NULL if there is none. */
struct vm_map_entry* vm_map_lookup_entry(struct vm_map* map, ptr_t address);
/* Says whether nothing is mapped in a range. */
bool vm_map_range_is_free(struct vm_map* map, ptr_t start, ptr_t end);
/* Finds the lowest free range of so many bytes in the part for mappings; 0 if there is none. */
ptr_t vm_map_findspace(struct vm_map* map, size_t bytes);
/* Maps what an entry outside any map describes, in a range that is free: an object, whose reference goes to the map, or
 * with NULL untouched anonymous memory. mmap, brk and exec call it. 0, or -ENOMEM with the reference left to the
 * caller. */
int vm_map_insert(struct vm_map* map, const struct vm_map_entry* wanted);
/* Maps a stack that ends at `end` and may grow down to a guard page at `start`; mmap, exec and threads call it. 0 or
 * -ENOMEM. */
int vm_map_stack(struct vm_map* map, ptr_t start, ptr_t end, size_t initial, int protection, int inheritance);
/* Lets a stack grow into the gap below it, up to an address in the gap; vm_fault() calls it. The gap's lowest page is
 * the guard and stays. False if the address is the guard's, or if out of memory. */
bool vm_map_growstack(struct vm_map* map, struct vm_map_entry* gap, ptr_t address);
/* Unmaps a range. 0, or -ENOMEM with everything still mapped if an entry had to be cut and could not. */
int vm_map_delete(struct vm_map* map, ptr_t start, ptr_t end);
/* Unmaps what is left of a stack and its gap; whatever else was mapped there meanwhile stays. */
void vm_map_delete_stack(struct vm_map* map, ptr_t start, ptr_t end);
/* Decides how a range passes through the next fork; minherit() calls it. 0, -EINVAL if it is not mapped throughout, or
 * -ENOMEM. */
int vm_map_inherit(struct vm_map* map, ptr_t start, ptr_t end, int inheritance);

/* vmspace.c: whole address spaces. */

struct vmspace* vmspace_alloc(ptr_t min, ptr_t max);
struct vmspace* vmspace_fork(struct vmspace* vm1);
struct vmspace* vmspace_acquire(struct vmspace* vm);
void vmspace_free(struct vmspace* vm);
void vmspace_exit(struct vmspace* vm);
void vmspace_exitfree(struct vmspace* vm);

/* vm_fault.c: the page fault. */

/* Makes an address usable for PROT_READ or PROT_WRITE. Returns the FAULT_* class: FAULT_PROTECTION if it
 * must not be used, FAULT_NO_MEMORY if it cannot be. */
unsigned vm_fault(struct vm_map* map, ptr_t vaddr, int fault_type, bool kernel_access);

#endif
