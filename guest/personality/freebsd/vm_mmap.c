/* The memory system calls: mmap, munmap, brk, minherit, and the stacks of threads. */
#include "guest/kernel/personality.h"
#include "guest/personality/freebsd/proc.h"

/* Returns the map of the running process. */
static struct vm_map* current_map(void) { return &curproc->p_vmspace->vm_map; }

/* Turns mmap's flags, which hold exactly one MAP_* mode, into an inheritance. */
static int mmap_inheritance(int flags) {
    if ((flags & MAP_EXCLUSIVE) != 0) {
        return VM_INHERIT_NONE;
    }
    return (flags & MAP_SHARED) != 0 ? VM_INHERIT_SHARE : VM_INHERIT_COPY;
}

/* Chooses where a mapping goes: the fixed address, unmapped first; the hint if it is free; or any. Returns the address,
 * or 0 with *error set if there is none. */
static ptr_t choose_place(struct vm_map* map, ptr_t wish, size_t bytes, bool fixed, int* error) {
    if (fixed) {
        *error = is_page_range(wish, bytes) ? vm_map_delete(map, wish, wish + bytes) : -EINVAL;
        return *error == 0 ? wish : 0;
    }
    *error = -ENOMEM;
    if (wish != 0 && is_page_range(wish, bytes) && vm_map_range_is_free(map, wish, wish + bytes)) {
        return wish;
    }
    return vm_map_findspace(map, bytes);
}

/* Maps a file: all who map it share the pages of its object. A private mapping is marked NEEDS_COPY. 0 or -ENOMEM. */
static int map_file(struct vm_map* map, struct vm_map_entry* entry, struct node* node) {
    if (entry->inheritance != VM_INHERIT_SHARE) {
        entry->eflags = MAP_ENTRY_COW | MAP_ENTRY_NEEDS_COPY;
    }
    entry->object = vnode_pager_alloc(node);
    if (entry->object == NULL) {
        return -ENOMEM;
    }
    if (vm_map_insert(map, entry) < 0) {
        vm_object_deallocate(entry->object);
        return -ENOMEM;
    }
    return 0;
}

/* Door: maps memory. Returns the address (of a stack that of the page above its guard), or a negative error. */
int vm_mmap(const struct mmap_args* arguments, struct node* node) {
    struct vm_map* map = current_map();
    int inheritance = mmap_inheritance(arguments->flags);
    int error = 0;
    bool is_stack = (arguments->flags & MAP_STACK) != 0 && node == NULL;
    size_t guard = is_stack ? PAGE_BYTES : 0;
    size_t bytes = page_up(arguments->length) + guard;
    ptr_t wish = arguments->address - (arguments->address != 0 ? guard : 0);
    ptr_t start = choose_place(map, wish, bytes, (arguments->flags & MAP_FIXED) != 0, &error);
    if (start == 0) {
        return error;
    }
    struct vm_map_entry entry = {.start = start,
                                 .end = start + bytes,
                                 .offset = arguments->offset,
                                 .protection = (uint8_t)arguments->protection,
                                 .inheritance = (uint8_t)inheritance};
    if (node != NULL) {
        error = map_file(map, &entry, node);
    } else if (is_stack) {
        error = vm_map_stack(map, start, start + bytes, 0, arguments->protection, inheritance);
    } else {
        entry.offset = 0;
        error = vm_map_insert(map, &entry);
    }
    return error < 0 ? error : (int)(start + guard);
}

/* Door: unmaps a range; what is not mapped there does not matter. The gap below a stack goes with the stack's lowest
 * page. 0, or -ENOMEM where an entry had to be cut and could not. */
int vm_munmap(ptr_t start, size_t bytes) {
    struct vm_map* map = current_map();
    ptr_t end = start + page_up(bytes);
    const struct vm_map_entry* below = vm_map_lookup_entry(map, start - 1);
    const struct vm_map_entry* first = vm_map_lookup_entry(map, start);
    if (below != NULL && (below->eflags & MAP_ENTRY_STACK_GAP) != 0 && below != first) {
        start = below->start;
    } else if (first != NULL && (first->eflags & MAP_ENTRY_STACK_GAP) != 0 && first->start + PAGE_BYTES == start) {
        start = first->start;
    }
    return vm_map_delete(map, start, end);
}

/* Door: moves the end of the heap; 0 only asks. Returns the valid end, unchanged if it cannot move. */
ptr_t vm_brk(ptr_t end) {
    struct vmspace* vm = curproc->p_vmspace;
    if (end < vm->vm_heap || end > USER_MMAP_BASE) {
        return vm->vm_break;
    }
    ptr_t old_top = page_up(vm->vm_break), new_top = page_up(end);
    if (new_top > old_top) {
        struct vm_map_entry heap = {
            .start = old_top, .end = new_top, .protection = PROT_READ | PROT_WRITE, .inheritance = VM_INHERIT_COPY};
        if (!vm_map_range_is_free(&vm->vm_map, old_top, new_top) || vm_map_insert(&vm->vm_map, &heap) < 0) {
            return vm->vm_break;
        }
        vm->vm_dsize += pfn(new_top - old_top);
    }
    if (new_top < old_top) {
        if (vm_map_delete(&vm->vm_map, new_top, old_top) < 0) {
            return vm->vm_break;
        }
        vm->vm_dsize -= pfn(old_top - new_top);
    }
    vm->vm_break = end;
    return end;
}

/* Door: decides how a range passes through the next fork. 0, -EINVAL where it is not mapped throughout, or -ENOMEM. */
int vm_minherit(ptr_t start, size_t bytes, int inheritance) {
    return vm_map_inherit(current_map(), start, start + page_up(bytes), inheritance);
}

/* Door: makes the user stack of a new thread, with a guard page below it. 0 and its top, or -ENOMEM. */
int vm_thread_stack(struct thread* thread, size_t bytes, ptr_t* top) {
    struct vm_map* map = current_map();
    bytes += PAGE_BYTES;
    ptr_t start = vm_map_findspace(map, bytes);
    if (start == 0 || vm_map_stack(map, start, start + bytes, 0, PROT_READ | PROT_WRITE, VM_INHERIT_COPY) < 0) {
        return -ENOMEM;
    }
    struct td* td = thread_td(thread);
    td->td_stack_start = start;
    td->td_stack_end = *top = start + bytes;
    return 0;
}

/* Door: gives back the user stack of a thread of the running process, if it still is one. */
void vm_thread_exit(struct thread* thread) {
    struct td* td = thread_td(thread);
    vm_map_delete_stack(current_map(), td->td_stack_start, td->td_stack_end);
    td->td_stack_start = td->td_stack_end = 0;
}
