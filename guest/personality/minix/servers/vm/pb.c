/* Blocks of physical memory and the places where they are mapped. The kernel holds the frames and counts the same
 * references: here they are known by whose pages they are. */
#include "guest/personality/minix/servers/vm/vm.h"

#define SPARE_PAGES 2 /* what the two handle_memory() calls of a fork may need */

static struct phys_block* blocks; /* by frame number */
static unsigned block_count;
static struct phys_block* spares[SPARE_PAGES];
static unsigned spare_count;
static unsigned place_count; /* of all blocks together */
static bool spares_allowed;

/* Makes the table of blocks; main() calls it once. */
void pb_init(void) {
    block_count = sys_getinfo(GET_FRAMES, 0);
    blocks = slaballoc(block_count * sizeof(blocks[0]));
    if (blocks == NULL)
        panic("VM: no memory for %u blocks", block_count);
}

/* Returns the physical address of a block. */
phys_bytes pb_phys(const struct phys_block* pb) { return (phys_bytes)(pb - blocks) * VM_PAGE_SIZE; }

/* Asks the kernel for a frame; NULL if out of memory. */
static struct phys_block* alloc_block(void) {
    message m = {0};
    if (sys_vmctl(SELF, VMCTL_ALLOCFRAME, &m) != OK)
        return NULL;
    struct phys_block* pb = &blocks[CLICK(m.SVMCTL_VALUE)];
    pb->firstregion = NULL;
    pb->refcount = 0;
    pb->in_hand = true;
    return pb;
}

/* Returns a fresh block, in hand, not cleared. NULL if out of memory, after the spares if they may be used. */
struct phys_block* pb_new(void) {
    struct phys_block* pb = alloc_block();
    if (pb == NULL && spares_allowed && spare_count > 0)
        pb = spares[--spare_count];
    return pb;
}

/* Frees a block that is in hand. */
void pb_free(struct phys_block* pb) {
    message m = {.SVMCTL_VALUE = pb_phys(pb)};
    SERVER_ASSERT(pb->in_hand && pb->refcount == 0);
    pb->in_hand = false;
    sys_vmctl(SELF, VMCTL_FREEFRAME, &m);
}

/* Makes a block the page of a region: one more place. */
void pb_link(struct phys_region* ph, struct phys_block* pb) {
    ph->ph = pb;
    ph->next_ph_list = pb->firstregion;
    pb->firstregion = ph;
    pb->refcount++;
    place_count++;
}

/* Takes a block from a page. The caller also rewrites or empties the page's entry: with the last entry the kernel frees
 * the frame. */
void pb_unlink(struct phys_region* ph) {
    struct phys_block* pb = ph->ph;
    struct phys_region** place = &pb->firstregion;
    while (*place != ph)
        place = &(*place)->next_ph_list;
    *place = ph->next_ph_list;
    ph->ph = NULL;
    pb->refcount--;
    place_count--;
    if (pb->refcount == 0 && pb->in_hand)
        pb_free(pb);
}

/* Returns how many places all blocks have together; the sanity check compares. */
unsigned pb_places(void) { return place_count; }

/* Gives a page whose block has other places too a block of its own with the same bytes. OK, or -ENOMEM with nothing
 * changed. */
int mem_cow(struct phys_region* ph) {
    struct phys_block* pb = pb_new();
    if (pb == NULL)
        return -ENOMEM;
    int r = sys_abscopy(pb_phys(ph->ph), pb_phys(pb), VM_PAGE_SIZE);
    SERVER_ASSERT(r == OK);
    pb_unlink(ph);
    pb_link(ph, pb);
    return OK;
}

/* Fills up the spare blocks; a fork that has them cannot fail half-way. False if out of memory. */
bool spare_fill(void) {
    while (spare_count < SPARE_PAGES) {
        struct phys_block* pb = alloc_block();
        if (pb == NULL)
            return false;
        spares[spare_count++] = pb;
    }
    return true;
}

/* Says whether pb_new() may give out spare blocks when there are no others. */
void spare_use(bool allowed) { spares_allowed = allowed; }
