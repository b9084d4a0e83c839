/* Objects, and the chains of shadows that copy-on-write makes of them. Read vm_object_shadow() first, then
 * vm_object_collapse(). */
#include "guest/personality/freebsd/vm_object.h"
#include "guest/abi/trace.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/process/process.h"
#include "guest/personality/freebsd/uma.h"

static struct uma_zone obj_zone = {"VM OBJECT", sizeof(struct vm_object), 0};

/* Emits one of the tracepoints of shadow objects. */
static void trace_shadow(unsigned id, const struct vm_object* object) {
    if (trace_listening) {
        trace(id, (uint32_t)current_process->pid, (uint32_t)object, vm_object_chain_length(object));
    }
}

struct vm_object* vm_object_allocate(vm_pindex_t size) {
    struct vm_object* object = uma_zalloc(&obj_zone);
    if (object == NULL) {
        return NULL;
    }
    list_init(&object->shadow_head);
    list_init(&object->shadow_list);
    list_init(&object->memq);
    object->size = size;
    object->ref_count = 1;
    object->flags = OBJ_ONEMAPPING;
    return object;
}

void vm_object_reference(struct vm_object* object) {
    if (object != NULL) {
        object->ref_count++;
    }
}

/* Makes an object shadow another one, whose reference it takes over. */
static void vm_object_link_shadow(struct vm_object* object, struct vm_object* backing, vm_ooffset_t offset) {
    object->backing_object = backing;
    object->backing_object_offset = offset;
    if (backing != NULL) {
        list_append(&backing->shadow_head, &object->shadow_list);
        backing->shadow_count++;
    }
}

/* Makes an object shadow nothing; the reference on what was behind it goes to the caller. */
static struct vm_object* vm_object_unlink_shadow(struct vm_object* object) {
    struct vm_object* backing = object->backing_object;
    if (backing != NULL) {
        list_remove(&object->shadow_list);
        backing->shadow_count--;
        object->backing_object = NULL;
    }
    return backing;
}

/* Frees an object without references, with its pages. */
static void vm_object_terminate(struct vm_object* object) {
    while (!list_empty(&object->memq)) {
        vm_page_free(container_of(object->memq.next, struct vm_page, listq));
    }
    if (object->type == OBJT_VNODE) {
        vnode_pager_dealloc(object);
    }
    uma_zfree(&obj_zone, object);
}

void vm_object_deallocate(struct vm_object* object) {
    /* An object whose last reference is its only shadow's is swallowed by it. An object that is freed releases the one
     * behind it. */
    while (object != NULL) {
        KERNEL_ASSERT(object->ref_count > 0);
        object->ref_count--;
        if (object->ref_count > 1 || (object->ref_count == 1 && object->type != OBJT_DEFAULT)) {
            return;
        }
        if (object->ref_count == 1) {
            if (object->shadow_count == 0) {
                object->flags |= OBJ_ONEMAPPING;
            } else {
                vm_object_collapse(container_of(object->shadow_head.next, struct vm_object, shadow_list));
            }
            return;
        }
        struct vm_object* backing = vm_object_unlink_shadow(object);
        vm_object_terminate(object);
        object = backing;
    }
}

int vm_object_shadow(struct vm_object** object, vm_ooffset_t* offset, size_t bytes) {
    /* Here copy-on-write, which fork has only prepared, begins to cost memory. */
    struct vm_object* source = *object;
    if (source != NULL && source->ref_count == 1 && source->type == OBJT_DEFAULT) {
        return 0;
    }
    struct vm_object* result = vm_object_allocate(pfn(bytes));
    if (result == NULL) {
        return -ENOMEM;
    }
    if (source != NULL) {
        source->flags &= (uint16_t)~OBJ_ONEMAPPING;
    }
    vm_object_link_shadow(result, source, *offset);
    *object = result;
    *offset = 0;
    trace_shadow(TP_SHADOW_CREATE, result);
    return 0;
}

/* Moves every page of the backing object that its only shadow lacks into the shadow, and frees the others. */
static void vm_object_collapse_scan(struct vm_object* object, const struct vm_object* backing) {
    vm_pindex_t first = pfn(object->backing_object_offset);
    struct vm_page *page, *following;
    list_for_each(page, following, &backing->memq, listq) {
        vm_pindex_t pindex = page->pindex - first;
        if (page->pindex < first || pindex >= object->size || vm_page_lookup(object, pindex) != NULL) {
            vm_page_free(page);
        } else {
            vm_page_rename(page, object, pindex);
        }
    }
}

/* Lets an object swallow the one behind it, to which nothing else refers, and take its place in the chain. */
static void vm_object_swallow(struct vm_object* object, struct vm_object* backing) {
    vm_object_collapse_scan(object, backing);
    vm_ooffset_t offset = object->backing_object_offset + backing->backing_object_offset;
    struct vm_object* behind = vm_object_unlink_shadow(backing);
    vm_object_unlink_shadow(object);
    vm_object_link_shadow(object, behind, offset);
    backing->ref_count = 0;
    vm_object_terminate(backing);
    trace_shadow(TP_SHADOW_COLLAPSE, object);
}

/* Says whether an object has every page that it could find in the one behind it, so that it need not look there. */
static bool vm_object_scan_all_shadowed(const struct vm_object* object, const struct vm_object* backing) {
    vm_pindex_t first = pfn(object->backing_object_offset);
    if (first == 0 && object->size >= backing->size && backing->resident_page_count > object->resident_page_count) {
        return false;
    }
    struct vm_page *page, *following;
    list_for_each(page, following, &backing->memq, listq) {
        vm_pindex_t pindex = page->pindex - first;
        if (page->pindex >= first && pindex < object->size && vm_page_lookup(object, pindex) == NULL) {
            return false;
        }
    }
    return true;
}

/* Makes an object bypass the one behind it. */
static void vm_object_bypass(struct vm_object* object, struct vm_object* backing) {
    struct vm_object* behind = backing->backing_object;
    vm_ooffset_t offset = object->backing_object_offset + backing->backing_object_offset;
    vm_object_unlink_shadow(object);
    vm_object_reference(behind);
    vm_object_link_shadow(object, behind, offset);
    trace_shadow(TP_SHADOW_BYPASS, object);
    vm_object_deallocate(backing);
}

void vm_object_collapse(struct vm_object* object) {
    /* Swallows what only this object refers to, and bypasses what it hides entirely: this keeps chains short over
     * generations of processes. */
    struct vm_object* backing;
    while ((backing = object->backing_object) != NULL && backing->type == OBJT_DEFAULT) {
        if (backing->ref_count == 1) {
            vm_object_swallow(object, backing);
        } else if (vm_object_scan_all_shadowed(object, backing)) {
            vm_object_bypass(object, backing);
        } else {
            return;
        }
    }
}

void vm_object_page_remove(struct vm_object* object, vm_pindex_t start, vm_pindex_t end) {
    struct vm_page *page, *following;
    list_for_each(page, following, &object->memq, listq) {
        if (page->pindex >= start && page->pindex < end) {
            vm_page_free(page);
        }
    }
}

bool vm_object_coalesce(struct vm_object* object, vm_pindex_t end, vm_pindex_t pages) {
    /* Pages that an earlier, longer mapping left there are freed. An object that does not exist yet can always grow. */
    if (object == NULL) {
        return true;
    }
    if (object->type != OBJT_DEFAULT || object->backing_object != NULL || object->ref_count > 1) {
        return false;
    }
    if (end < object->size) {
        vm_object_page_remove(object, end, end + pages);
    }
    object->size = end + pages > object->size ? end + pages : object->size;
    return true;
}

unsigned vm_object_chain_length(const struct vm_object* object) {
    unsigned length = 0;
    for (; object != NULL && object->type == OBJT_DEFAULT; object = object->backing_object) {
        length++;
    }
    return length;
}
