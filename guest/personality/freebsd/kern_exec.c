/* exec's memory: a new address space is built next to the old one and then takes its place. */
#include "guest/kernel/panic.h"
#include "guest/kernel/process/exec.h"
#include "guest/kernel/string.h"
#include "guest/personality/freebsd/proc.h"
#include "guest/personality/freebsd/uma.h"

/* A program that is about to replace the running one. */
struct image_params {
    struct vmspace* vmspace;
    struct node* vp;
};

static struct uma_zone image_zone = {"IMAGE", sizeof(struct image_params), 0};

/* Maps the pages that hold nothing but the file's bytes: privately, so that a write makes a shadow. 0 or -ENOMEM. */
static int elf_map_file(struct vm_map* map, struct node* vp, const struct segment* segment, ptr_t end) {
    struct vm_map_entry entry = {.start = segment->start,
                                 .end = end,
                                 .offset = segment->file_offset,
                                 .eflags = MAP_ENTRY_COW | MAP_ENTRY_NEEDS_COPY,
                                 .protection = (uint8_t)segment->protection,
                                 .inheritance = VM_INHERIT_COPY};
    if (entry.start == end) {
        return 0;
    }
    entry.object = vnode_pager_alloc(vp);
    if (entry.object == NULL) {
        return -ENOMEM;
    }
    if (vm_map_insert(map, &entry) < 0) {
        vm_object_deallocate(entry.object);
        return -ENOMEM;
    }
    return 0;
}

/* Makes a page of a map present before anybody runs there, with some bytes in it and zeroes around them. 0 or -ENOMEM.
 */
static int fill_page(struct vm_map* map, ptr_t va, const void* bytes, size_t skip, size_t count) {
    struct vm_map_entry* entry = vm_map_lookup_entry(map, va);
    if (entry->object == NULL) {
        entry->object = vm_object_allocate(pfn(entry->end - entry->start));
        if (entry->object == NULL) {
            return -ENOMEM;
        }
    }
    struct vm_page* page = vm_page_alloc(entry->object, pfn(entry->offset + (va - entry->start)));
    if (page == NULL) {
        return -ENOMEM;
    }
    pmap_zero_page(page);
    memcpy((char*)frame_pointer(vm_page_frame(page)) + skip, bytes, count);
    return pmap_enter(map->pmap, va, page, entry->protection);
}

/* Maps the pages of a segment after its last whole page of file: anonymous memory, into whose first page the file's
 * tail is copied. 0 or -ENOMEM. */
static int elf_map_zero(struct vm_map* map, struct node* vp, const struct segment* segment, ptr_t start) {
    static char tail[PAGE_BYTES];
    struct vm_map_entry entry = {.start = start,
                                 .end = page_up(segment->start + segment->memory_bytes),
                                 .protection = (uint8_t)segment->protection,
                                 .inheritance = VM_INHERIT_COPY};
    if (start == entry.end) {
        return 0;
    }
    if (vm_map_insert(map, &entry) < 0) {
        return -ENOMEM;
    }
    unsigned done = start - segment->start;
    if (segment->file_bytes <= done) {
        return 0;
    }
    size_t had = node_read(vp, segment->file_offset + done, tail, segment->file_bytes - done);
    return fill_page(map, start, tail, 0, had);
}

/* Maps one segment of the program and counts it among the sizes. 0 or -ENOMEM. */
static int elf_load_section(struct vmspace* vm, struct node* vp, const struct segment* segment) {
    bool has_tail = segment->memory_bytes > segment->file_bytes;
    ptr_t file_end = segment->start + segment->file_bytes;
    ptr_t whole = has_tail ? page_down(file_end) : page_up(file_end);
    if (elf_map_file(&vm->vm_map, vp, segment, whole) < 0 || elf_map_zero(&vm->vm_map, vp, segment, whole) < 0) {
        return -ENOMEM;
    }
    unsigned pages = pfn(page_up(segment->memory_bytes));
    if ((segment->protection & PROT_WRITE) != 0) {
        vm->vm_daddr = vm->vm_daddr == 0 ? segment->start : vm->vm_daddr;
        vm->vm_dsize += pages;
    } else {
        vm->vm_taddr = vm->vm_taddr == 0 ? segment->start : vm->vm_taddr;
        vm->vm_tsize += pages;
    }
    return 0;
}

/* Maps the main thread's stack, and makes the pages that hold the arguments present. 0 or -ENOMEM. */
static int exec_new_stack(struct vmspace* vm, const char* stack, size_t bytes) {
    struct vm_map* map = &vm->vm_map;
    vm->vm_maxsaddr = USER_STACK_TOP - USER_STACK_BYTES;
    if (vm_map_stack(map, vm->vm_maxsaddr, USER_STACK_TOP, bytes, PROT_READ | PROT_WRITE, VM_INHERIT_COPY) < 0) {
        return -ENOMEM;
    }
    ptr_t bottom = USER_STACK_TOP - bytes;
    for (ptr_t va = page_down(bottom); va < USER_STACK_TOP; va += PAGE_BYTES) {
        ptr_t from = va > bottom ? va : bottom;
        if (fill_page(map, va, stack + (from - bottom), from - va, va + PAGE_BYTES - from) < 0) {
            return -ENOMEM;
        }
    }
    const struct vm_map_entry* stack_entry = vm_map_lookup_entry(map, USER_STACK_TOP - PAGE_BYTES);
    vm->vm_ssize = pfn(stack_entry->end - stack_entry->start);
    return 0;
}

/* Builds the whole memory of a program. NULL if out of memory, with nothing left. */
static struct vmspace* exec_new_vmspace(const struct executable* image, const char* stack, size_t bytes) {
    struct vmspace* vm = vmspace_alloc(USER_BASE, USER_TOP);
    if (vm == NULL) {
        return NULL;
    }
    for (unsigned i = 0; i < image->segment_count; i++) {
        if (elf_load_section(vm, image->node, &image->segments[i]) < 0) {
            goto fail;
        }
    }
    vm->vm_heap = vm->vm_break = page_up(image->end);
    if (exec_new_stack(vm, stack, bytes) < 0 || !pmap_kstack_table(vm->vm_pmap.pm_pdir)) {
        goto fail;
    }
    return vm;

fail:
    vmspace_free(vm);
    return NULL;
}

/* Gives the running process a descriptor table of its own, where it shares one: a new program does not. 0 or -ENOMEM.
 */
static int fdunshare(void) {
    struct descriptor_table* fd = current_process->descriptors;
    if (fd->references == 1) {
        return 0;
    }
    struct descriptor_table* copy = descriptors_copy(fd);
    if (copy == NULL) {
        return -ENOMEM;
    }
    current_process->descriptors = copy;
    descriptors_release(fd);
    return 0;
}

/* Door: builds the memory of a new program next to the running one's. NULL with *error = -ENOMEM and nothing left. */
void* vm_exec_prepare(const struct executable* image, const void* stack, size_t bytes, int* error) {
    struct image_params* imgp = uma_zalloc(&image_zone);
    *error = -ENOMEM;
    if (imgp == NULL) {
        return NULL;
    }
    imgp->vp = image->node;
    imgp->vmspace = exec_new_vmspace(image, stack, bytes);
    if (imgp->vmspace == NULL) {
        goto fail;
    }
    if (fdunshare() < 0) {
        goto fail_vmspace;
    }
    return imgp;

fail_vmspace:
    vmspace_free(imgp->vmspace);
fail:
    uma_zfree(&image_zone, imgp);
    return NULL;
}

/* Door: makes the prepared memory the running process's. The kernel stack under our feet keeps its frames and its
 * address, but moves into the new space; processes that share the old one stay there. Cannot fail. */
void vm_exec_commit(void* vm) {
    struct image_params* imgp = vm;
    struct proc* p = curproc;
    struct vmspace* old = p->p_vmspace;
    struct node* old_textvp = p->p_textvp;
    phys_t directory = imgp->vmspace->vm_pmap.pm_pdir;

    pmap_kstack_move_one(old->vm_pmap.pm_pdir, directory, current_thread->kstack);
    p->p_vmspace = imgp->vmspace;
    p->p_process->page_directory = directory;
    vmspace_free(old);

    p->p_textvp = imgp->vp;
    node_share(p->p_textvp);
    if (old_textvp != NULL) {
        node_release(old_textvp);
    }
    string_copy(p->p_comm, p->p_textvp->name, sizeof(p->p_comm));
    memcpy(curthread->td_name, p->p_comm, sizeof(curthread->td_name));
    curthread->td_stack_start = USER_STACK_TOP - USER_STACK_BYTES;
    curthread->td_stack_end = USER_STACK_TOP;
    uma_zfree(&image_zone, imgp);
}

/* Door: frees prepared memory that will not be used. */
void vm_exec_abandon(void* vm) {
    struct image_params* imgp = vm;
    vmspace_free(imgp->vmspace);
    uma_zfree(&image_zone, imgp);
}
