/* The objects of files: one for each file that is mapped; all mappings share its pages. */
#include "guest/kernel/files/file.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/string.h"
#include "guest/personality/freebsd/vm_object.h"

static struct list vnode_objects = {&vnode_objects, &vnode_objects};

struct vm_object* vnode_pager_alloc(struct node* node) {
    struct vm_object *object, *following;
    list_for_each(object, following, &vnode_objects, shadow_list) {
        if (object->handle == node) {
            vm_object_reference(object);
            return object;
        }
    }
    object = vm_object_allocate(pfn(page_up(node->size)));
    if (object != NULL) {
        object->type = OBJT_VNODE;
        object->flags = 0;
        object->handle = node;
        list_append(&vnode_objects, &object->shadow_list);
    }
    return object;
}

void vnode_pager_dealloc(struct vm_object* object) { list_remove(&object->shadow_list); }

struct vm_page* vnode_pager_getpage(struct vm_object* object, vm_pindex_t pindex) {
    struct vm_page* page = vm_page_alloc(object, pindex);
    if (page != NULL) {
        uint8_t* bytes = frame_pointer(vm_page_frame(page));
        size_t had = node_read(object->handle, pindex * PAGE_BYTES, bytes, PAGE_BYTES);
        memset(bytes + had, 0, PAGE_BYTES - had);
    }
    return page;
}

void vnode_pager_unmapped(struct vm_page* page) {
    if (page->object != NULL && page->object->type == OBJT_VNODE && page->pv_count == 0) {
        vm_page_free(page);
    }
}
