/* Owns: objects: the pages that exist, mapped or not. An anonymous object may shadow another one: pages that it lacks
 * are looked for there. vm_map.c, vm_fault.c and exec call. Promises: an object lives as long as it has references,
 * from map entries and from shadows; chains are collapsed or bypassed as soon as that is possible. */
#ifndef FREEBSD_VM_OBJECT_H
#define FREEBSD_VM_OBJECT_H

#include "guest/personality/freebsd/vm_page.h"

struct node;

typedef uint32_t vm_ooffset_t; /* bytes into an object */

enum obj_type { OBJT_DEFAULT, OBJT_VNODE };

#define OBJ_ONEMAPPING 0x1 /* each page is mapped by one entry at most: what is unmapped can be freed */

struct vm_object {
    struct list shadow_head; /* the objects that shadow this one, by shadow_list */
    struct list shadow_list; /* place among those that shadow our backing object; a file's: among all files' */
    struct list memq;        /* resident pages */
    vm_pindex_t size;        /* in pages */
    unsigned ref_count;
    unsigned shadow_count;
    uint16_t type, flags; /* OBJT_*, OBJ_* */
    unsigned resident_page_count;
    struct vm_object* backing_object;
    vm_ooffset_t backing_object_offset; /* where in the backing object ours begins */
    struct node* handle;                /* the file of OBJT_VNODE */
};

/* Makes an anonymous object of so many pages, with one reference; faults, shadows and exec call it. NULL if out of
 * memory. */
struct vm_object* vm_object_allocate(vm_pindex_t size);
/* Takes one more reference; NULL is allowed. */
void vm_object_reference(struct vm_object* object);
/* Releases a reference; the last one frees the object, the next to last may let its shadow swallow it. */
void vm_object_deallocate(struct vm_object* object);
/* Puts a new object before one that is shared, and passes the caller's reference on; an object that is not shared
 * stays. vm_fault() calls it at the first write, vmspace_fork() for memory that is to be shared. 0, or -ENOMEM with
 * nothing changed. */
int vm_object_shadow(struct vm_object** object, vm_ooffset_t* offset, size_t bytes);
/* Shortens the chain behind an object as far as possible; fork, faults and the end of sharers call it. */
void vm_object_collapse(struct vm_object* object);
/* Frees the pages [start, end) of an object that stays; an entry that loses a part calls it. */
void vm_object_page_remove(struct vm_object* object, vm_pindex_t start, vm_pindex_t end);
/* Lets an anonymous object that is not shared grow by so many pages at page `end`, where a mapping of it ends; the heap
 * does. False if it cannot. */
bool vm_object_coalesce(struct vm_object* object, vm_pindex_t end, vm_pindex_t pages);
/* Returns how many anonymous objects a chain has; a file's object at its end does not count. */
unsigned vm_object_chain_length(const struct vm_object* object);

/* vnode_pager.c: the objects of files. */

/* Finds or makes the object of a file, one for all mappings, with one more reference. NULL if out of memory. */
struct vm_object* vnode_pager_alloc(struct node* node);
/* Takes a file's object, which is about to be freed, out of the list. */
void vnode_pager_dealloc(struct vm_object* object);
/* Reads a page of a file into memory; zeroes follow the file's last byte. NULL if out of memory. */
struct vm_page* vnode_pager_getpage(struct vm_object* object, vm_pindex_t pindex);
/* Frees a file's page that is not mapped and leaves all others; called after a page was unmapped or copied. */
void vnode_pager_unmapped(struct vm_page* page);

#endif
