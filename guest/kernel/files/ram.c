#include "guest/kernel/files/ram.h"
#include "guest/kernel/memory/heap.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/string.h"

#define FIRST_SLOTS 8u
#define MOST_SLOTS 1024u /* 4 MB: what one page of pointers holds */

static struct mutex contents; /* held while bytes are copied, for the copy may sleep and another truncate the file */

void ram_init(void) { mutex_init(&contents); }

/* Returns how many of some bytes from an offset on lie in its page. */
static size_t in_page(unsigned offset, size_t bytes) {
    size_t left = PAGE_BYTES - offset % PAGE_BYTES;
    return bytes < left ? bytes : left;
}

int ram_read(const struct node* node, unsigned offset, ptr_t buffer, size_t bytes) {
    static const uint8_t zeroes[PAGE_BYTES];
    size_t done = 0;
    int error = 0;
    mutex_lock(&contents);
    size_t left = offset < node->size ? node->size - offset : 0;
    bytes = bytes < left ? bytes : left;
    while (done < bytes && error == 0) {
        unsigned at = offset + done, slot = at / PAGE_BYTES;
        size_t piece = in_page(at, bytes - done);
        const uint8_t* page = slot < node->page_slots && node->pages[slot] != NULL ? node->pages[slot] : zeroes;
        error = copy_to_user(buffer + done, page + at % PAGE_BYTES, piece);
        done += error == 0 ? piece : 0;
    }
    mutex_unlock(&contents);
    return error < 0 && done == 0 ? error : (int)done;
}

/* Makes the table of pages long enough for a slot. False if out of memory. */
static bool reach_slot(struct node* node, unsigned slot) {
    unsigned slots = node->page_slots > 0 ? node->page_slots : FIRST_SLOTS;
    if (slot < node->page_slots) {
        return true;
    }
    while (slots <= slot) {
        slots *= 2;
    }
    uint8_t** pages = kzalloc(slots * sizeof(pages[0]));
    if (pages == NULL) {
        return false;
    }
    if (node->pages != NULL) {
        memcpy(pages, node->pages, node->page_slots * sizeof(pages[0]));
        kfree(node->pages);
    }
    node->pages = pages;
    node->page_slots = slots;
    return true;
}

/* Writes within one page, which comes into being if it is missing. 0, -EFAULT, -EFBIG or -ENOMEM. */
static int write_piece(struct node* node, unsigned at, ptr_t buffer, size_t bytes) {
    unsigned slot = at / PAGE_BYTES;
    if (slot >= MOST_SLOTS) {
        return -EFBIG;
    }
    if (!reach_slot(node, slot)) {
        return -ENOMEM;
    }
    if (node->pages[slot] == NULL) {
        node->pages[slot] = kzalloc(PAGE_BYTES);
    }
    if (node->pages[slot] == NULL) {
        return -ENOMEM;
    }
    int error = copy_from_user(node->pages[slot] + at % PAGE_BYTES, buffer, bytes);
    if (error == 0 && at + bytes > node->size) {
        node->size = at + bytes;
    }
    return error;
}

int ram_write(struct node* node, unsigned* offset, bool append, ptr_t buffer, size_t bytes) {
    size_t done = 0;
    int error = 0;
    mutex_lock(&contents);
    unsigned at = append ? node->size : *offset;
    while (done < bytes && error == 0) {
        size_t piece = in_page(at + done, bytes - done);
        error = write_piece(node, at + done, buffer + done, piece);
        done += error == 0 ? piece : 0;
    }
    if (done > 0) {
        *offset = at + done;
    }
    mutex_unlock(&contents);
    return error < 0 && done == 0 ? error : (int)done;
}

void ram_free(struct node* node) {
    for (unsigned i = 0; i < node->page_slots; i++) {
        kfree(node->pages[i]);
    }
    kfree(node->pages);
    node->pages = NULL;
    node->page_slots = 0;
    node->size = 0;
}

void ram_truncate(struct node* node) {
    mutex_lock(&contents);
    ram_free(node);
    mutex_unlock(&contents);
}
