/* Owns: the kernel's basic types, page arithmetic and the linked list. Every file includes it. */
#ifndef KERNEL_TYPES_H
#define KERNEL_TYPES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t ptr_t;  /* a virtual address */
typedef uint32_t phys_t; /* a physical address */
typedef uint32_t pfn_t;  /* a page number: an address divided by the page size */
typedef int pid_t;

#define PAGE_SHIFT 12
#define PAGE_BYTES 4096u
#define PAGE_MASK 0xFFFFF000u

/* Rounds an address down to its page. */
static inline ptr_t page_down(ptr_t address) { return address & PAGE_MASK; }

/* Rounds an address up to a page boundary; the last page of the address space rounds to zero. */
static inline ptr_t page_up(ptr_t address) { return (address + PAGE_BYTES - 1) & PAGE_MASK; }

/* A node of a circular doubly linked list; also its head. */
struct list {
    struct list *next, *previous;
};

/* Makes an empty list. */
static inline void list_init(struct list* head) { head->next = head->previous = head; }

/* Says whether a list is empty. */
static inline bool list_empty(const struct list* head) { return head->next == head; }

/* Puts a node before another one; before the head means at the end. */
static inline void list_insert_before(struct list* place, struct list* node) {
    node->previous = place->previous;
    node->next = place;
    place->previous->next = node;
    place->previous = node;
}

/* Appends a node at the end. */
static inline void list_append(struct list* head, struct list* node) { list_insert_before(head, node); }

/* Removes a node and leaves it as an empty list, so that removing it twice does no harm. */
static inline void list_remove(struct list* node) {
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

#define container_of(pointer, type, member) ((type*)((char*)(pointer)-offsetof(type, member)))

/* Walks a list of structures; the current one may be removed on the way. */
#define list_for_each(position, following, head, member)                                                               \
    for (position = container_of((head)->next, __typeof__(*position), member),                                         \
        following = container_of(position->member.next, __typeof__(*position), member);                                \
         &position->member != (head);                                                                                  \
         position = following, following = container_of(position->member.next, __typeof__(*position), member))

#endif
