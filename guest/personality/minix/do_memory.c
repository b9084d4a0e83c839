/* Kernel calls that fill frames for VM: by copying, with one byte, from a file. VM sees no user memory itself. */
#include "guest/abi/trace.h"
#include "guest/kernel/boot_info.h"
#include "guest/kernel/memory/frames.h"
#include "guest/kernel/memory/heap.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/string.h"
#include "guest/personality/minix/proc.h"

static struct node** inodes; /* by number, from 1 on */
static unsigned inode_count;

/* Walks the tree of names below a node, noting each by its number where the table exists already. */
static void visit(struct node* node) {
    inode_count = node->inode > inode_count ? node->inode : inode_count;
    if (inodes != NULL) {
        inodes[node->inode] = node;
    }
    for (struct node* child = node->children; child != NULL; child = child->sibling) {
        visit(child);
    }
}

/* Makes the table by which VM's numbers of files become nodes; personality_init() calls it. Panics if out of memory. */
void inodes_init(void) {
    visit(node_root());
    inodes = kzalloc((inode_count + 1) * sizeof(inodes[0]));
    KERNEL_ASSERT(inodes != NULL);
    visit(node_root());
}

/* Says whether a range of physical memory lies within one frame that is in use. */
static bool is_in_frame(phys_t address, uint32_t bytes) {
    return address < boot_info.ram_top && bytes <= PAGE_BYTES - address % PAGE_BYTES && frame_of(address) != NULL;
}

/* sys_abscopy: copies from one frame to another; VM copies on write with it. OK or -EINVAL. */
int do_abscopy(struct proc* caller, message* m) {
    (void)caller;
    if (!is_in_frame(m->SYS_SRC, m->SYS_BYTES) || !is_in_frame(m->SYS_DST, m->SYS_BYTES)) {
        return -EINVAL;
    }
    memcpy(phys_to_pointer(m->SYS_DST), phys_to_pointer(m->SYS_SRC), m->SYS_BYTES);
    trace(TP_FRAME_COPY, m->SYS_SRC, m->SYS_DST, FRAME_USER);
    cow_copies_since_boot++;
    return OK;
}

/* sys_memset: fills a part of a frame with one byte. OK or -EINVAL. */
int do_memset(struct proc* caller, message* m) {
    (void)caller;
    if (!is_in_frame(m->SYS_DST, m->SYS_BYTES)) {
        return -EINVAL;
    }
    memset(phys_to_pointer(m->SYS_DST), (int)m->SYS_BYTE, m->SYS_BYTES);
    return OK;
}

/* sys_filepage: fills a frame with up to so many bytes of a file from an offset on, then with zeroes. In MINIX, VM asks
 * VFS, which asks the file system. OK or -EINVAL. */
int do_filepage(struct proc* caller, message* m) {
    (void)caller;
    if (m->SYS_INODE == 0 || m->SYS_INODE > inode_count || inodes[m->SYS_INODE] == NULL || m->SYS_BYTES > PAGE_BYTES ||
        !is_in_frame(m->SYS_DST, PAGE_BYTES)) {
        return -EINVAL;
    }
    uint8_t* page = phys_to_pointer(m->SYS_DST);
    size_t filled = node_read(inodes[m->SYS_INODE], m->SYS_OFFSET, page, m->SYS_BYTES);
    memset(page + filled, 0, PAGE_BYTES - filled);
    return OK;
}

/* sys_exec: gives VM what it must know of the program that a process is about to become. OK, -EINVAL or -EFAULT. */
int do_exec(struct proc* caller, message* m) {
    (void)caller;
    struct proc* rp;
    if (!isokendpt(m->SYS_ENDPT, &rp) || rp->p_exec == NULL) {
        return -EINVAL;
    }
    return copy_to_user(m->SYS_ADDR, rp->p_exec, sizeof(*rp->p_exec));
}
