/* exec's memory: a new address space is built next to the old one, mounted, and then takes its place. */
#include "guest/kernel/process/exec.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/string.h"
#include "guest/personality/lunaix/lunaix.h"

/* Makes one region for each segment of the program; pages come from the file when they are touched. 0 or -ENOMEM. */
static int map_segments(struct proc_mm* mm, const struct executable* image) {
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct segment* segment = &image->segments[i];
        int attr = REGION_RSHARED | ((segment->protection & PROT_READ) != 0 ? REGION_READ : 0) |
                   ((segment->protection & PROT_WRITE) != 0 ? REGION_WRITE : 0) |
                   ((segment->protection & PROT_EXEC) != 0 ? REGION_EXEC : 0);
        struct mm_region* region =
            region_create(mm, segment->start, page_up(segment->start + segment->memory_bytes), attr);
        if (region == NULL) {
            return -ENOMEM;
        }
        region->mfile = image->node;
        region->foff = segment->file_offset;
        region->flen = segment->file_bytes;
    }
    mm->heap_start = mm->heap_end = page_up(image->end);
    return 0;
}

/* Makes the main thread's stack with its guard page, and the pages that hold the arguments; the space is mounted.
 * 0 or -ENOMEM. */
static int map_stack(struct proc_mm* mm, const char* stack, size_t bytes) {
    int attr = REGION_RSHARED | REGION_READ | REGION_WRITE | REGION_TYPE_STACK;
    struct mm_region* region = region_create(mm, USER_STACK_TOP - USER_STACK_BYTES, USER_STACK_TOP, attr);
    if (region == NULL || region_guard(mm->vm_mnt, region) < 0) {
        return -ENOMEM;
    }
    ptr_t bottom = USER_STACK_TOP - bytes;
    for (ptr_t va = page_down(bottom); va < USER_STACK_TOP; va += PAGE_BYTES) {
        struct leaflet* leaflet = alloc_leaflet(0);
        if (leaflet == NULL) {
            return -ENOMEM;
        }
        char* page = frame_pointer(leaflet);
        ptr_t from = va > bottom ? va : bottom;
        memset(page, 0, from - va);
        memcpy(page + (from - va), stack + (from - bottom), va + PAGE_BYTES - from);
        ptep_map_leaflet(mkptep_pn(mm->vm_mnt, pfn(va)), region_pte_bits(region), leaflet);
    }
    return 0;
}

/* Closes the window on a space. The original's exec opens none, so what `onepageflush` leaves in it is dropped here. */
static void unmount(struct proc_mm* mm) {
    procvm_unmount(mm);
    pmap_drop_window();
}

/* Door: builds the memory of a new program next to the running one's. NULL with *error = -ENOMEM and nothing left. */
void* vm_exec_prepare(const struct executable* image, const void* stack, size_t bytes, int* error) {
    struct proc_mm* mm = procvm_create(__current);
    if (mm == NULL) {
        goto fail;
    }
    mm->vmroot = pmap_create();
    if (mm->vmroot == 0) {
        goto fail_mm;
    }
    procvm_mount(mm);
    if (map_segments(mm, image) < 0 || map_stack(mm, stack, bytes) < 0) {
        goto fail_mounted;
    }
    unmount(mm);
    return mm;

fail_mounted:
    procvm_teardown(mm, mm->vm_mnt);
    unmount(mm);
fail_mm:
    procvm_release(mm);
fail:
    *error = -ENOMEM;
    return NULL;
}

/* Empties a space that is not the running one, and frees it. */
static void drop(struct proc_mm* mm) {
    procvm_mount(mm);
    procvm_teardown(mm, mm->vm_mnt);
    unmount(mm);
    procvm_release(mm);
}

/* Door: makes the prepared memory the running process's. The kernel stack under our feet keeps its frames and its
 * address: its page table moves over. Cannot fail. */
void vm_exec_commit(void* vm) {
    struct proc_mm *mm = vm, *old = vmspace(__current);
    pmap_kstack_move(old->vmroot, mm->vmroot);
    __current->vm = mm;
    __current->page_directory = mm->vmroot;
    drop(old);
    current_thread->ustack = region_get(mm, USER_STACK_TOP - PAGE_BYTES);
    KERNEL_ASSERT(current_thread->ustack != NULL);
}

/* Door: frees prepared memory that will not be used. */
void vm_exec_abandon(void* vm) { drop(vm); }
