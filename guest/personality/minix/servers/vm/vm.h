/* Owns: VM's types: processes, regions, blocks of physical memory; and what its files call of each other. Names are
 * MINIX's. Promises: a phys_region exists exactly while the page table maps its page; a phys_block's refcount is the
 * number of its phys_regions, and so the number of references that the kernel counts of the frame. */
#ifndef MINIX_VM_VM_H
#define MINIX_VM_VM_H

#include "guest/kernel/layout.h"
#include "guest/personality/minix/servers/lib/syslib.h"

#define VM_PAGE_SIZE 4096u
#define MAP_NONE 0xFFFFFFFEu /* no physical memory */
#define CLICK(address) ((address) / VM_PAGE_SIZE)

struct vir_region;
struct phys_region;
struct vmproc;

/* A page of physical memory. There is one for every frame, in a table by frame number. */
struct phys_block {
    struct phys_region* firstregion; /* all places where it is mapped */
    uint16_t refcount;
    bool in_hand; /* allocated, but no entry has taken it over yet */
};

/* One page of one region: which block it is. */
struct phys_region {
    struct phys_block* ph;
    struct vir_region* parent;
    vir_bytes offset;                 /* in the region */
    struct phys_region* next_ph_list; /* the next place of the same block */
    bool written_writable;            /* the page-table entry, as it was last written, allows writing */
};

/* How one kind of memory behaves. */
typedef struct mem_type {
    const char* name;
    /* Makes a page that is not there, or one that must not be written as it is, ready: OK with ph->ph usable, or an
     * error with nothing changed. */
    int (*ev_pagefault)(struct vir_region* region, struct phys_region* ph, bool write, unsigned* fault_class);
    /* Says whether a page of a region that may be written can be written right now. */
    bool (*writable)(const struct phys_region* ph);
} mem_type_t;

extern const mem_type_t mem_type_anon, mem_type_shared, mem_type_mappedfile;

#define VR_READ 0x001u
#define VR_WRITABLE 0x002u
#define VR_EXEC 0x004u
#define VR_NOFORK 0x008u  /* the child gets the region, but none of its pages */
#define VR_STACK 0x010u   /* the stack of one thread, by its id */
#define VR_GUARDED 0x020u /* its lowest page is never there */
#define VR_HEAP 0x040u

/* A run of pages of one kind. */
struct vir_region {
    vir_bytes vaddr, length;
    struct phys_region** physblocks; /* by page */
    unsigned capacity;               /* how many pages physblocks has room for */
    const mem_type_t* def_memtype;
    uint32_t flags; /* VR_* */
    uint32_t id;    /* of a stack; a copy made by fork has the same */
    struct vmproc* parent;
    struct {
        uint32_t inode, offset, clearend; /* bytes from clearend on are zero */
    } file;
    struct vir_region *lower, *higher; /* in the tree */
    int factor;                        /* height of its subtree */
};

typedef struct {
    struct vir_region* root;
} region_avl;

/* A page table. Each slot has its own, fork's child too; the kernel makes what else a child needs along with it. */
typedef struct {
    phys_bytes pt_dir_phys; /* MAP_NONE: none */
    int pt_slot;            /* -1: of no slot, because exec builds it next to the old one */
    bool pt_unbound;        /* made for a child that does not run yet */
} pt_t;

#define VMF_INUSE 0x001u
#define VMF_EXITING 0x002u

struct vmproc {
    unsigned vm_flags;
    endpoint_t vm_endpoint;
    int vm_slot;
    pt_t vm_pt;
    region_avl vm_regions_avl;
    vir_bytes vm_heap_start, vm_heap_end; /* as brk knows them, not rounded */
    uint32_t vm_call_mask;                /* calls that it may make, bit n = VM_RQ_BASE + n */
    struct vmproc* vm_next_space;         /* only memory that exec builds: the next of those */
    uint32_t vm_stack_id;                 /* the same: the id of its stack */
};

extern struct vmproc vmproc[NR_PROCS];

/* main.c */

int vm_isokendpt(endpoint_t endpoint, int* slot);

/* fork.c, exec.c, exit.c, mmap.c, pagefaults.c: the calls. */

int do_fork(message* msg);
int do_exec_newmem(message* m);
int do_exec_restart(message* m);
void exec_check_spaces(void);
int do_willexit(message* m);
int do_exit(message* m);
int do_brk(struct vmproc* vmp, message* m);
int do_mmap(struct vmproc* vmp, message* m);
int do_munmap(struct vmproc* vmp, message* m);
int do_minherit(struct vmproc* vmp, message* m);
int do_thread_stack(struct vmproc* vmp, message* m);
int do_thread_exit(struct vmproc* vmp, message* m);
void do_pagefaults(struct vmproc* vmp, const message* m);
int handle_memory(struct vmproc* vmp, vir_bytes mem, vir_bytes len, bool write);

/* region_avl.c: the tree. */

typedef enum { AVL_EQUAL, AVL_LESS_EQUAL, AVL_GREATER_EQUAL } avl_search_type;
void region_init(region_avl* avl);
void region_insert(region_avl* avl, struct vir_region* region);
void region_remove(region_avl* avl, struct vir_region* region);
struct vir_region* region_search(const region_avl* avl, vir_bytes vaddr, avl_search_type type);
struct vir_region* region_first(const region_avl* avl);
struct vir_region* region_next(const region_avl* avl, const struct vir_region* region);

/* region.c */

struct vir_region* map_page_region(struct vmproc* vmp, vir_bytes vaddr, vir_bytes length, uint32_t flags,
                                   const mem_type_t* memtype);
struct vir_region* map_lookup(struct vmproc* vmp, vir_bytes address);
bool region_range_free(const struct vmproc* vmp, vir_bytes start, vir_bytes end);
vir_bytes region_find_slot(const struct vmproc* vmp, vir_bytes minv, vir_bytes maxv, vir_bytes length);
int map_region_extend(struct vir_region* region, vir_bytes length);
int map_region_isolate(struct vmproc* vmp, vir_bytes start, vir_bytes end);
int map_unmap_range(struct vmproc* vmp, vir_bytes start, vir_bytes length);
void map_unmap_region(struct vmproc* vmp, struct vir_region* region);
void map_free_proc(struct vmproc* vmp);
int map_proc_copy(struct vmproc* dst, struct vmproc* src);
int map_pf(struct vmproc* vmp, struct vir_region* region, vir_bytes offset, bool write, unsigned* fault_class);
int map_populate(struct vmproc* vmp, struct vir_region* region);
struct phys_region* physblock_get(const struct vir_region* region, vir_bytes offset);
uint32_t new_stack_id(void);

/* pb.c: blocks of physical memory. */

void pb_init(void);
struct phys_block* pb_new(void);
void pb_free(struct phys_block* pb);
phys_bytes pb_phys(const struct phys_block* pb);
void pb_link(struct phys_region* ph, struct phys_block* pb);
void pb_unlink(struct phys_region* ph);
int mem_cow(struct phys_region* ph);
unsigned pb_places(void);
bool spare_fill(void);
void spare_use(bool allowed);

/* pagetable.c */

int pt_new(pt_t* pt, endpoint_t parent);
void pt_free(pt_t* pt);
int pt_bind(pt_t* pt, const struct vmproc* who);
int pt_writemap(pt_t* pt, vir_bytes v, phys_bytes phys, uint32_t flags);
int pt_flush(void);

/* sanitycheck.c */

void sanity_init(void);
void sanity_check_proc(const struct vmproc* vmp);
void sanitycheck(void);

/* alloc.c: VM's own memory. */

void alloc_init(void);
void alloc_learn_order(void);
void* slaballoc(size_t bytes);
void slabfree(void* memory, size_t bytes);

#endif
