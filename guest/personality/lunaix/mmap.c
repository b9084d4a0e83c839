/* The memory system calls: mmap, munmap, brk, minherit, and the stacks of threads. */
#include "guest/personality/lunaix/lunaix.h"

/* Turns mmap's flags, which name exactly one mode, into a region's. */
static int region_mode(int flags) {
    if ((flags & MAP_EXCLUSIVE) != 0) {
        return REGION_PRIVATE;
    }
    return (flags & MAP_SHARED) != 0 ? REGION_WSHARED : REGION_RSHARED;
}

/* Turns PROT_* into REGION_*. */
static int region_rights(int protection) {
    return ((protection & PROT_READ) != 0 ? REGION_READ : 0) | ((protection & PROT_WRITE) != 0 ? REGION_WRITE : 0) |
           ((protection & PROT_EXEC) != 0 ? REGION_EXEC : 0);
}

/* Chooses where a mapping goes: the fixed address, unmapped first; the hint if it is free; or any. Returns the address,
 * or 0 with *error set if there is none. */
static ptr_t choose_place(struct proc_mm* mm, const struct mmap_args* arguments, size_t bytes, int* error) {
    ptr_t wish = arguments->address;
    if ((arguments->flags & MAP_FIXED) != 0) {
        *error = is_page_range(wish, bytes) ? vm_munmap(wish, bytes) : -EINVAL;
        return *error == 0 ? wish : 0;
    }
    *error = -ENOMEM;
    if (wish != 0 && is_page_range(wish, bytes) && region_range_free(mm, wish, wish + bytes)) {
        return wish;
    }
    return region_find_room(mm, bytes);
}

/* Door: maps memory. A shared anonymous mapping gets its frames at once, for a page that came to be after a fork would
 * not be shared. Returns the address (with MAP_STACK that of the page above the guard), or a negative error. */
int vm_mmap(const struct mmap_args* arguments, struct node* node) {
    struct proc_mm* mm = vmspace(__current);
    int mode = region_mode(arguments->flags);
    int error = 0;
    size_t guard = (arguments->flags & MAP_STACK) != 0 ? PAGE_BYTES : 0;
    size_t bytes = page_up(arguments->length) + guard;
    struct mmap_args placed = *arguments;
    placed.address -= placed.address != 0 ? guard : 0;
    ptr_t start = choose_place(mm, &placed, bytes, &error);
    if (start == 0) {
        return error;
    }
    struct mm_region* region = region_create(mm, start, start + bytes, mode | region_rights(arguments->protection));
    if (region == NULL) {
        return -ENOMEM;
    }
    if (node != NULL) {
        unsigned left = arguments->offset < node->size ? node->size - arguments->offset : 0;
        region->mfile = node;
        region->foff = arguments->offset - guard;
        region->flen = (left < arguments->length ? left : arguments->length) + guard;
    }
    if ((guard != 0 && region_guard(VMS_SELF, region) < 0) ||
        (mode == REGION_WSHARED && node == NULL && region_populate(region) < 0)) {
        mem_unmap_region(VMS_SELF, region);
        return -ENOMEM;
    }
    return (int)(start + guard);
}

/* Door: unmaps a range; what is not mapped there does not matter. A stack's guard page goes with the page above it.
 * 0, or -ENOMEM where a region had to be cut and could not. */
int vm_munmap(ptr_t start, size_t bytes) {
    struct proc_mm* mm = vmspace(__current);
    ptr_t end = start + page_up(bytes);
    struct mm_region *region = region_get(mm, start), *following;
    if (region != NULL && (region->attr & REGION_GUARDED) != 0 && region->start + PAGE_BYTES == start) {
        start = region->start;
    }
    if (region_isolate(mm, start, end) < 0) {
        return -ENOMEM;
    }
    list_for_each(region, following, &mm->regions, head) {
        if (region->start >= start && region->end <= end) {
            mem_unmap_region(VMS_SELF, region);
        }
    }
    return 0;
}

/* Lets the heap reach from one page boundary to a higher one. False if something is in the way. */
static bool grow_heap(struct proc_mm* mm, ptr_t from, ptr_t to) {
    if (to > USER_MMAP_BASE || !region_range_free(mm, from, to)) {
        return false;
    }
    struct mm_region* heap = from > mm->heap_start ? region_get(mm, from - 1) : NULL;
    if (heap != NULL && (heap->attr & (REGION_TYPE_HEAP | REGION_MODE_MASK)) == (REGION_TYPE_HEAP | REGION_RSHARED)) {
        heap->end = to;
        return true;
    }
    int attr = REGION_RSHARED | REGION_READ | REGION_WRITE | REGION_TYPE_HEAP;
    return region_create(mm, from, to, attr) != NULL;
}

/* Door: moves the end of the heap; 0 only asks. Returns the valid end, unchanged if it cannot move. */
ptr_t vm_brk(ptr_t end) {
    struct proc_mm* mm = vmspace(__current);
    if (end < mm->heap_start || end > USER_MMAP_BASE) {
        return mm->heap_end;
    }
    ptr_t old_top = page_up(mm->heap_end), new_top = page_up(end);
    if (new_top > old_top && !grow_heap(mm, old_top, new_top)) {
        return mm->heap_end;
    }
    if (new_top < old_top && vm_munmap(new_top, old_top - new_top) < 0) {
        return mm->heap_end;
    }
    mm->heap_end = end;
    return end;
}

/* Door: decides how a range passes through the next fork. 0, -EINVAL where it is not mapped throughout, or -ENOMEM. */
int vm_minherit(ptr_t start, size_t bytes, int inheritance) {
    static const int modes[] = {
        [INHERIT_SHARE] = REGION_WSHARED, [INHERIT_COPY] = REGION_RSHARED, [INHERIT_NONE] = REGION_PRIVATE};
    struct proc_mm* mm = vmspace(__current);
    ptr_t end = start + page_up(bytes);
    struct mm_region *region, *following;
    for (ptr_t at = start; at < end; at = region->end) {
        region = region_get(mm, at);
        if (region == NULL) {
            return -EINVAL;
        }
    }
    if (region_isolate(mm, start, end) < 0) {
        return -ENOMEM;
    }
    list_for_each(region, following, &mm->regions, head) {
        if (region->start < start || region->end > end) {
            continue;
        }
        if (inheritance == INHERIT_SHARE && region_populate(region) < 0) {
            return -ENOMEM;
        }
        region->attr = (region->attr & ~REGION_MODE_MASK) | modes[inheritance];
    }
    return 0;
}

/* Door: makes the user stack of a new thread, with a guard page below it. 0 and its top, or -ENOMEM. */
int vm_thread_stack(struct thread* thread, size_t bytes, ptr_t* top) {
    struct proc_mm* mm = vmspace(thread->process);
    bytes += PAGE_BYTES;
    ptr_t start = region_find_room(mm, bytes);
    if (start == 0) {
        return -ENOMEM;
    }
    int attr = REGION_RSHARED | REGION_READ | REGION_WRITE | REGION_TYPE_STACK;
    struct mm_region* region = region_create(mm, start, start + bytes, attr);
    if (region == NULL) {
        return -ENOMEM;
    }
    if (region_guard(VMS_SELF, region) < 0) {
        region_release(region);
        return -ENOMEM;
    }
    thread->ustack = region;
    *top = region->end;
    return 0;
}

/* Door: gives back the user stack of a thread of the running process, if it still is one. */
void vm_thread_exit(struct thread* thread) {
    if (thread->ustack != NULL) {
        mem_unmap_region(VMS_SELF, thread->ustack);
    }
}
