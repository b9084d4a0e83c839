/* Checks of VM's tables against each other and against the kernel's count of references. MINIX compiles them in on
 * request; here the boot word vmsanity makes VM check everything after every message. */
#include "guest/personality/minix/servers/vm/vm.h"

static bool enabled;
static unsigned places; /* pages found in regions */

#define MYASSERT(condition, ...)                                                                                       \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            panic("VM: not sane: " __VA_ARGS__);                                                                       \
    } while (0)

/* Asks the kernel whether to check at all; main() calls it once. */
void sanity_init(void) { enabled = sys_getinfo(GET_VMSANITY, 0) != 0; }

/* Checks a part of a tree: order, heights, and that no region reaches into the next. Returns its height. */
static int check_tree(const struct vir_region* part, vir_bytes low, vir_bytes high) {
    if (part == NULL)
        return 0;
    MYASSERT(part->length != 0 && part->vaddr >= low && part->vaddr + part->length <= high, "region %x is out of order",
             part->vaddr);
    int lower = check_tree(part->lower, low, part->vaddr);
    int higher = check_tree(part->higher, part->vaddr + part->length, high);
    MYASSERT(lower - higher <= 1 && higher - lower <= 1, "region %x leans", part->vaddr);
    MYASSERT(part->factor == (lower > higher ? lower : higher) + 1, "region %x has a wrong height", part->vaddr);
    return part->factor;
}

/* Checks one page: it knows its region, its block knows it, and the kernel counts as many references of the frame as
 * the block has places. */
static void check_page(const struct vir_region* region, const struct phys_region* ph, unsigned page) {
    const struct phys_block* pb = ph->ph;
    unsigned found = 0, count = 0;
    MYASSERT(ph->parent == region && CLICK(ph->offset) == page, "page %x of %s is misplaced",
             region->vaddr + ph->offset, region->def_memtype->name);
    for (const struct phys_region* place = pb->firstregion; place != NULL; place = place->next_ph_list) {
        found += place == ph;
        count++;
    }
    MYASSERT(found == 1 && count == pb->refcount && !pb->in_hand, "block %x has %u places, not %u", pb_phys(pb), count,
             pb->refcount);
    unsigned references = sys_getinfo(GET_FRAMEREFS, pb_phys(pb));
    MYASSERT(references == count, "block %x has %u places but %u references", pb_phys(pb), count, references);
    places++;
}

/* Checks the memory of one process, or one that exec builds. */
void sanity_check_proc(const struct vmproc* vmp) {
    const region_avl* avl = &vmp->vm_regions_avl;
    check_tree(avl->root, USER_BASE, USER_TOP);
    for (const struct vir_region* region = region_first(avl); region != NULL; region = region_next(avl, region)) {
        MYASSERT(region->parent == vmp, "region %x is another's", region->vaddr);
        MYASSERT(CLICK(region->length) <= region->capacity, "region %x has too few places", region->vaddr);
        for (unsigned page = 0; page < CLICK(region->length); page++)
            if (region->physblocks[page] != NULL)
                check_page(region, region->physblocks[page], page);
    }
}

/* Checks all tables, if the boot word said so; main() calls it after every message. */
void sanitycheck(void) {
    if (!enabled)
        return;
    places = 0;
    for (int slot = 0; slot < NR_PROCS; slot++)
        if ((vmproc[slot].vm_flags & VMF_INUSE) != 0)
            sanity_check_proc(&vmproc[slot]);
    exec_check_spaces();
    MYASSERT(places == pb_places(), "%u pages in regions, %u places of blocks", places, pb_places());
}
