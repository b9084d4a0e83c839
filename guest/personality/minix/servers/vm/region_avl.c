/* The regions of a process as a balanced tree by address (Adelson-Velsky and Landis): in every part of it, the lower
 * and the higher branch differ by at most one in height. */
#include "guest/personality/minix/servers/vm/vm.h"

/* Makes an empty tree. */
void region_init(region_avl* avl) { avl->root = NULL; }

/* Returns the height of a part of the tree. */
static int height(const struct vir_region* part) { return part != NULL ? part->factor : 0; }

/* Notes the height of a part whose branches have changed. */
static void measure(struct vir_region* part) {
    int low = height(part->lower), high = height(part->higher);
    part->factor = (low > high ? low : high) + 1;
}

/* Lets the lower branch's top take the place of the top; returns it. */
static struct vir_region* rotate_up_lower(struct vir_region* top) {
    struct vir_region* rising = top->lower;
    top->lower = rising->higher;
    rising->higher = top;
    measure(top);
    measure(rising);
    return rising;
}

/* Lets the higher branch's top take the place of the top; returns it. */
static struct vir_region* rotate_up_higher(struct vir_region* top) {
    struct vir_region* rising = top->higher;
    top->higher = rising->lower;
    rising->lower = top;
    measure(top);
    measure(rising);
    return rising;
}

/* Balances a part whose branches are balanced and differ by at most two; returns its new top. */
static struct vir_region* balance(struct vir_region* top) {
    int lean = height(top->lower) - height(top->higher);
    if (lean > 1) {
        if (height(top->lower->lower) < height(top->lower->higher))
            top->lower = rotate_up_higher(top->lower);
        return rotate_up_lower(top);
    }
    if (lean < -1) {
        if (height(top->higher->higher) < height(top->higher->lower))
            top->higher = rotate_up_lower(top->higher);
        return rotate_up_higher(top);
    }
    measure(top);
    return top;
}

/* Inserts into a part; returns its new top. Recursion is as deep as the tree is high: about 1.44 log2 of its size. */
static struct vir_region* insert_into(struct vir_region* part, struct vir_region* region) {
    if (part == NULL)
        return region;
    SERVER_ASSERT(region->vaddr != part->vaddr);
    if (region->vaddr < part->vaddr)
        part->lower = insert_into(part->lower, region);
    else
        part->higher = insert_into(part->higher, region);
    return balance(part);
}

/* Inserts a region, whose address no other one has. */
void region_insert(region_avl* avl, struct vir_region* region) {
    region->lower = region->higher = NULL;
    region->factor = 1;
    avl->root = insert_into(avl->root, region);
}

/* Removes the lowest region of a subtree; returns the subtree's new root. */
static struct vir_region* take_lowest(struct vir_region* part, struct vir_region** lowest) {
    if (part->lower == NULL) {
        *lowest = part;
        return part->higher;
    }
    part->lower = take_lowest(part->lower, lowest);
    return balance(part);
}

/* Removes the region with an address from a part; returns the part's new top. */
static struct vir_region* remove_from(struct vir_region* part, vir_bytes vaddr) {
    SERVER_ASSERT(part != NULL);
    if (vaddr < part->vaddr) {
        part->lower = remove_from(part->lower, vaddr);
    } else if (vaddr > part->vaddr) {
        part->higher = remove_from(part->higher, vaddr);
    } else {
        if (part->higher == NULL)
            return part->lower;
        struct vir_region* successor;
        struct vir_region* higher = take_lowest(part->higher, &successor);
        successor->lower = part->lower;
        successor->higher = higher;
        part = successor;
    }
    return balance(part);
}

/* Removes a region, which must be in the tree. */
void region_remove(region_avl* avl, struct vir_region* region) { avl->root = remove_from(avl->root, region->vaddr); }

/* Finds the region that starts at an address, or the nearest below or above; NULL if there is none. */
struct vir_region* region_search(const region_avl* avl, vir_bytes vaddr, avl_search_type type) {
    struct vir_region *part = avl->root, *found = NULL;
    while (part != NULL) {
        if (part->vaddr == vaddr)
            return part;
        if (part->vaddr < vaddr) {
            found = type == AVL_LESS_EQUAL ? part : found;
            part = part->higher;
        } else {
            found = type == AVL_GREATER_EQUAL ? part : found;
            part = part->lower;
        }
    }
    return found;
}

/* Returns the region with the lowest address; NULL if there is none. */
struct vir_region* region_first(const region_avl* avl) {
    return region_search(avl, 0, AVL_GREATER_EQUAL);
}

/* Returns the next higher region; NULL past the last. */
struct vir_region* region_next(const region_avl* avl, const struct vir_region* region) {
    return region_search(avl, region->vaddr + 1, AVL_GREATER_EQUAL);
}
