/* Address maps: lists of entries, cut and joined as system calls demand. */
#include "guest/personality/freebsd/vm_map.h"
#include "guest/abi/syscalls.h"
#include "guest/kernel/panic.h"
#include "guest/personality/freebsd/uma.h"

#define SGROWSIZ 0x10000u /* a stack grows by so much at once */

static struct uma_zone mapentzone = {"MAP ENTRY", sizeof(struct vm_map_entry), 0};

/* Makes an empty map over a range of addresses. */
void vm_map_init(struct vm_map* map, struct pmap* pmap, ptr_t min, ptr_t max) {
    list_init(&map->header);
    map->min_offset = min;
    map->max_offset = max;
    map->pmap = pmap;
}

/* Allocates an entry that is in no map yet; NULL if out of memory. */
struct vm_map_entry* vm_map_entry_create(struct vm_map* map) {
    struct vm_map_entry* entry = uma_zalloc(&mapentzone);
    if (entry != NULL) {
        list_init(&entry->link);
        map->nentries++;
    }
    return entry;
}

/* Frees an entry that is in no map any more. */
static void vm_map_entry_dispose(struct vm_map* map, struct vm_map_entry* entry) {
    map->nentries--;
    uma_zfree(&mapentzone, entry);
}

/* Puts an entry into its place in the map; nothing else may lie there. */
void vm_map_entry_link(struct vm_map* map, struct vm_map_entry* entry) {
    struct vm_map_entry *place, *following;
    list_for_each(place, following, &map->header, link) {
        if (place->start > entry->start) {
            break;
        }
    }
    list_insert_before(&place->link, &entry->link);
}

struct vm_map_entry* vm_map_lookup_entry(struct vm_map* map, ptr_t address) {
    struct vm_map_entry *entry, *following;
    list_for_each(entry, following, &map->header, link) {
        if (entry->end > address) {
            return entry->start <= address ? entry : NULL;
        }
    }
    return NULL;
}

bool vm_map_range_is_free(struct vm_map* map, ptr_t start, ptr_t end) {
    struct vm_map_entry *entry, *following;
    list_for_each(entry, following, &map->header, link) {
        if (start < entry->end && entry->start < end) {
            return false;
        }
    }
    return true;
}

ptr_t vm_map_findspace(struct vm_map* map, size_t bytes) {
    ptr_t start = USER_MMAP_BASE;
    struct vm_map_entry *entry, *following;
    list_for_each(entry, following, &map->header, link) {
        if (entry->end <= start) {
            continue;
        }
        if (entry->start >= start && entry->start - start >= bytes) {
            break;
        }
        start = entry->end;
    }
    return start < USER_MMAP_TOP && USER_MMAP_TOP - start >= bytes ? start : 0;
}

/* Gives the second part of an entry that is cut at an address its own bounds, reference and place. */
static void vm_map_entry_split(struct vm_map_entry* entry, struct vm_map_entry* upper, ptr_t address) {
    *upper = *entry;
    upper->start = address;
    upper->offset += address - entry->start;
    entry->end = address;
    vm_object_reference(upper->object);
    list_insert_before(entry->link.next, &upper->link);
}

/* Makes sure that an entry does not cross an address, cutting it in two there. Both parts keep the object. 0 or
 * -ENOMEM with nothing changed. */
static int vm_map_clip(struct vm_map* map, ptr_t address) {
    struct vm_map_entry* entry = vm_map_lookup_entry(map, address);
    if (entry == NULL || entry->start == address) {
        return 0;
    }
    struct vm_map_entry* upper = vm_map_entry_create(map);
    if (upper == NULL) {
        return -ENOMEM;
    }
    vm_map_entry_split(entry, upper, address);
    return 0;
}

/* Cuts entries so that none crosses either end of a range: vm_map_clip_start() and vm_map_clip_end() in one. 0 or
 * -ENOMEM, with the map perhaps in more pieces. */
static int vm_map_clip_range(struct vm_map* map, ptr_t start, ptr_t end) {
    return vm_map_clip(map, start) < 0 || vm_map_clip(map, end) < 0 ? -ENOMEM : 0;
}

/* Says whether two neighbours are one run of the same kind of memory. */
static bool vm_map_mergeable_neighbors(const struct vm_map_entry* prev, const struct vm_map_entry* entry) {
    return prev->end == entry->start && prev->object == entry->object &&
           (prev->object == NULL || prev->offset + (prev->end - prev->start) == entry->offset) &&
           prev->eflags == entry->eflags && prev->protection == entry->protection &&
           prev->inheritance == entry->inheritance && (prev->eflags & (MAP_ENTRY_GUARD | MAP_ENTRY_GROWS_DOWN)) == 0;
}

/* Joins an entry with the one before it, where both are one run. */
static void vm_map_try_merge_entries(struct vm_map* map, struct vm_map_entry* entry) {
    if (entry->link.previous == &map->header) {
        return;
    }
    struct vm_map_entry* prev = container_of(entry->link.previous, struct vm_map_entry, link);
    if (vm_map_mergeable_neighbors(prev, entry)) {
        entry->start = prev->start;
        entry->offset = prev->offset;
        list_remove(&prev->link);
        vm_object_deallocate(prev->object);
        vm_map_entry_dispose(map, prev);
    }
}

/* Extends the entry that ends where untouched anonymous memory is to begin, instead of adding one: so the heap stays
 * one entry. False if no entry can be extended. */
static bool vm_map_extend(struct vm_map* map, const struct vm_map_entry* wanted) {
    struct vm_map_entry* prev = vm_map_lookup_entry(map, wanted->start - 1);
    if (wanted->object != NULL || prev == NULL || prev->eflags != wanted->eflags ||
        prev->protection != wanted->protection || prev->inheritance != wanted->inheritance ||
        (prev->eflags & (MAP_ENTRY_GUARD | MAP_ENTRY_GROWS_DOWN)) != 0) {
        return false;
    }
    vm_pindex_t end = pfn(prev->offset + (prev->end - prev->start));
    if (!vm_object_coalesce(prev->object, end, pfn(wanted->end - wanted->start))) {
        return false;
    }
    prev->end = wanted->end;
    return true;
}

int vm_map_insert(struct vm_map* map, const struct vm_map_entry* wanted) {
    KERNEL_ASSERT(vm_map_range_is_free(map, wanted->start, wanted->end));
    if (vm_map_extend(map, wanted)) {
        return 0;
    }
    struct vm_map_entry* entry = vm_map_entry_create(map);
    if (entry == NULL) {
        return -ENOMEM;
    }
    *entry = *wanted;
    vm_map_entry_link(map, entry);
    return 0;
}

int vm_map_stack(struct vm_map* map, ptr_t start, ptr_t end, size_t initial, int protection, int inheritance) {
    initial = initial > 0 ? (initial + SGROWSIZ - 1) & ~(SGROWSIZ - 1) : PAGE_BYTES;
    initial = initial < end - start - PAGE_BYTES ? initial : end - start - PAGE_BYTES;
    struct vm_map_entry stack = {.start = end - initial,
                                 .end = end,
                                 .eflags = MAP_ENTRY_GROWS_DOWN,
                                 .protection = (uint8_t)protection,
                                 .inheritance = (uint8_t)inheritance};
    struct vm_map_entry gap = stack;
    gap.start = start;
    gap.end = stack.start;
    gap.eflags = MAP_ENTRY_GUARD | MAP_ENTRY_STACK_GAP;
    if (vm_map_insert(map, &gap) < 0) {
        return -ENOMEM;
    }
    if (vm_map_insert(map, &stack) < 0) {
        vm_map_delete(map, gap.start, gap.end);
        return -ENOMEM;
    }
    return 0;
}

bool vm_map_growstack(struct vm_map* map, struct vm_map_entry* gap, ptr_t address) {
    ptr_t lowest = gap->start + PAGE_BYTES;
    if (address < lowest || gap->link.next == &map->header) {
        return false;
    }
    const struct vm_map_entry* stack = container_of(gap->link.next, struct vm_map_entry, link);
    if (stack->start != gap->end || (stack->eflags & MAP_ENTRY_GROWS_DOWN) == 0) {
        return false;
    }
    struct vm_map_entry* grown = vm_map_entry_create(map);
    if (grown == NULL) {
        return false;
    }
    size_t bytes = (gap->end - page_down(address) + SGROWSIZ - 1) & ~(SGROWSIZ - 1);
    bytes = bytes < gap->end - lowest ? bytes : gap->end - lowest;
    *grown = (struct vm_map_entry){.start = gap->end - bytes,
                                   .end = gap->end,
                                   .eflags = MAP_ENTRY_GROWS_DOWN,
                                   .protection = stack->protection,
                                   .inheritance = stack->inheritance};
    gap->end = grown->start;
    vm_map_entry_link(map, grown);
    struct vmspace* vm = container_of(map, struct vmspace, vm_map);
    vm->vm_ssize += grown->start >= vm->vm_maxsaddr ? pfn(bytes) : 0;
    return true;
}

/* Unmaps one whole entry. Where other entries of the same single mapping keep its object alive, this part's pages go at
 * once. */
static void vm_map_entry_delete(struct vm_map* map, struct vm_map_entry* entry) {
    struct vm_object* object = entry->object;
    pmap_remove(map->pmap, entry->start, entry->end);
    list_remove(&entry->link);
    if (object != NULL && object->ref_count > 1 && (object->flags & OBJ_ONEMAPPING) != 0) {
        vm_object_collapse(object);
        vm_object_page_remove(object, pfn(entry->offset), pfn(entry->offset + (entry->end - entry->start)));
    }
    vm_object_deallocate(object);
    vm_map_entry_dispose(map, entry);
}

int vm_map_delete(struct vm_map* map, ptr_t start, ptr_t end) {
    if (vm_map_clip_range(map, start, end) < 0) {
        return -ENOMEM;
    }
    struct vm_map_entry *entry, *following;
    list_for_each(entry, following, &map->header, link) {
        if (entry->start >= start && entry->end <= end) {
            vm_map_entry_delete(map, entry);
        }
    }
    return 0;
}

void vm_map_delete_stack(struct vm_map* map, ptr_t start, ptr_t end) {
    struct vm_map_entry *entry, *following;
    list_for_each(entry, following, &map->header, link) {
        if (entry->start >= start && entry->end <= end &&
            (entry->eflags & (MAP_ENTRY_GROWS_DOWN | MAP_ENTRY_STACK_GAP)) != 0) {
            vm_map_entry_delete(map, entry);
        }
    }
}

int vm_map_inherit(struct vm_map* map, ptr_t start, ptr_t end, int inheritance) {
    struct vm_map_entry *entry, *following;
    for (ptr_t at = start; at < end; at = entry->end) {
        entry = vm_map_lookup_entry(map, at);
        if (entry == NULL) {
            return -EINVAL;
        }
    }
    if (vm_map_clip_range(map, start, end) < 0) {
        return -ENOMEM;
    }
    list_for_each(entry, following, &map->header, link) {
        if (entry->start >= start && entry->end <= end) {
            entry->inheritance = (uint8_t)inheritance;
        }
        if (entry->end >= start && entry->start <= end) {
            vm_map_try_merge_entries(map, entry);
        }
    }
    return 0;
}
