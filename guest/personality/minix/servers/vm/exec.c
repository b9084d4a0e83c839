/* exec in VM: the memory of the new program is built next to the old one's and then takes its place. */
#include "guest/personality/minix/servers/vm/vm.h"

static struct vmproc* exec_spaces; /* built, but neither in use nor dropped yet */

/* Makes one region for each segment of the program; pages come from the file when they are touched. OK or -ENOMEM. */
static int map_segments(struct vmproc* space, const struct exec_info* info) {
    for (unsigned i = 0; i < info->segments; i++) {
        int protection = info->segment[i].protection;
        uint32_t flags = ((protection & PROT_READ) != 0 ? VR_READ : 0) |
                         ((protection & PROT_WRITE) != 0 ? VR_WRITABLE : 0) |
                         ((protection & PROT_EXEC) != 0 ? VR_EXEC : 0);
        vir_bytes length = (info->segment[i].memory_bytes + VM_PAGE_SIZE - 1) & ~(VM_PAGE_SIZE - 1);
        struct vir_region* region = map_page_region(space, info->segment[i].start, length, flags, &mem_type_mappedfile);
        if (region == NULL)
            return -ENOMEM;
        region->file.inode = info->inode;
        region->file.offset = info->segment[i].file_offset;
        region->file.clearend = info->segment[i].file_bytes;
    }
    space->vm_heap_start = space->vm_heap_end = (info->end + VM_PAGE_SIZE - 1) & ~(VM_PAGE_SIZE - 1);
    return OK;
}

/* Makes the main thread's stack with its guard page, and the pages that the kernel will put the arguments on. OK or
 * -ENOMEM. */
static int map_stack(struct vmproc* space, uint32_t bytes) {
    uint32_t flags = VR_READ | VR_WRITABLE | VR_STACK | VR_GUARDED;
    struct vir_region* region =
        map_page_region(space, USER_STACK_TOP - USER_STACK_BYTES, USER_STACK_BYTES, flags, &mem_type_anon);
    if (region == NULL)
        return -ENOMEM;
    region->id = space->vm_stack_id = new_stack_id();
    return handle_memory(space, USER_STACK_TOP - bytes, bytes, true);
}

/* Empties memory that exec has built, or left, and frees it. */
static void drop_space(struct vmproc* space) {
    map_free_proc(space);
    pt_free(&space->vm_pt);
    slabfree(space, sizeof(*space));
}

/* The VM_EXEC_NEWMEM call of PM: builds memory for what the kernel knows of the new program. OK with its page
 * directory, or a negative error with nothing left. */
int do_exec_newmem(message* m) {
    struct exec_info info;
    int slot, r = vm_isokendpt(m->VMEX_ENDPOINT, &slot);
    r = r == OK ? sys_exec(m->VMEX_ENDPOINT, &info) : r;
    if (r != OK)
        return r;
    struct vmproc* space = slaballoc(sizeof(*space));
    if (space == NULL)
        return -ENOMEM;
    space->vm_slot = slot;
    space->vm_pt.pt_slot = -1;
    r = pt_new(&space->vm_pt, m->VMEX_ENDPOINT);
    if (r != OK) {
        slabfree(space, sizeof(*space));
        return r;
    }
    if (map_segments(space, &info) != OK || map_stack(space, info.stack_bytes) != OK) {
        drop_space(space);
        return -ENOMEM;
    }
    space->vm_next_space = exec_spaces;
    exec_spaces = space;
    m->VMEX_SPACE = space->vm_pt.pt_dir_phys;
    return OK;
}

/* Checks what has been built and is not in use; the sanity check calls it. */
void exec_check_spaces(void) {
    for (const struct vmproc* space = exec_spaces; space != NULL; space = space->vm_next_space)
        sanity_check_proc(space);
}

/* Exchanges the memory of two; the page table of a process stays its slot's, whatever directory it holds. */
static void exchange(struct vmproc* vmp, struct vmproc* space) {
    struct vmproc old = *vmp;
    vmp->vm_pt.pt_dir_phys = space->vm_pt.pt_dir_phys;
    vmp->vm_regions_avl = space->vm_regions_avl;
    vmp->vm_heap_start = space->vm_heap_start;
    vmp->vm_heap_end = space->vm_heap_end;
    space->vm_pt.pt_dir_phys = old.vm_pt.pt_dir_phys;
    space->vm_regions_avl = old.vm_regions_avl;
    const region_avl* avl = &vmp->vm_regions_avl;
    for (struct vir_region* region = region_first(avl); region != NULL; region = region_next(avl, region))
        region->parent = vmp;
}

/* The VM_EXEC_RESTART call of PM: memory that was built becomes the process's, whose old memory is freed; or it is
 * freed itself. OK with the id of the stack, or -EINVAL. */
int do_exec_restart(message* m) {
    int slot;
    struct vmproc** place = &exec_spaces;
    if (vm_isokendpt(m->VMEX_ENDPOINT, &slot) != OK)
        return -EINVAL;
    while (*place != NULL && ((*place)->vm_pt.pt_dir_phys != m->VMEX_SPACE || (*place)->vm_slot != slot))
        place = &(*place)->vm_next_space;
    struct vmproc* space = *place;
    if (space == NULL)
        return -EINVAL;
    *place = space->vm_next_space;
    m->VMEX_STACK = space->vm_stack_id;
    if (m->VMEX_COMMIT != 0)
        exchange(&vmproc[slot], space);
    drop_space(space);
    return OK;
}
