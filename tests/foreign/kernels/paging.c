/* Frames with reference counts, and page tables through the kernel's window on physical memory. */
#include "kernel.h"

extern char user_image[], user_text_begin[], user_data_begin[], user_image_end[];

void* memcpy(void* to, const void* from, uint32_t bytes);
void* memset(void* to, int value, uint32_t bytes);

static uint16_t references[MEMORY_END / PAGE_BYTES];

void* window(uint32_t physical) { return (void*)(physical + KERNEL_BASE); }

uint32_t frame_new(void) {
    for (uint32_t frame = FRAMES_BEGIN; frame < MEMORY_END; frame += PAGE_BYTES) {
        if (references[frame / PAGE_BYTES] != 0)
            continue;
        references[frame / PAGE_BYTES] = 1;
        memset(window(frame), 0, PAGE_BYTES);
        return frame;
    }
    stop("panic: out of frames");
}

void frame_share(uint32_t frame) { ++references[frame / PAGE_BYTES]; }

/* With "junk" what is freed is filled with words that read as present entries. */
void frame_release(uint32_t frame) {
    if (references[frame / PAGE_BYTES]-- == 0)
        stop("panic: a free frame was released");
    if (references[frame / PAGE_BYTES] != 0 || !has_word("junk"))
        return;
    volatile uint32_t* words = window(frame);
    for (uint32_t i = 0; i < PAGE_BYTES / sizeof(*words); ++i)
        words[i] = 0x01010101;
}

uint32_t frame_references(uint32_t frame) { return references[frame / PAGE_BYTES]; }

#ifdef PAE
/* Everything lies in the first GB: of the four directories a space has one. */
entry_t* directory_entry(uint32_t space, uint32_t address) {
    const entry_t* pointers = window(space);
    return (entry_t*)window(frame_of(pointers[0])) + address / TABLE_BYTES;
}

/* With "saved" the kernel keeps the pointers in its data, too. */
static void space_begin(uint32_t space) {
    static entry_t saved[64][4] __attribute__((aligned(32)));
    static uint32_t begun;
    *(entry_t*)window(space) = frame_new() | ENTRY_PRESENT;
    if (has_word("saved"))
        memcpy(saved[begun++ % 64], window(space), sizeof(saved[0]));
}

static void space_end(uint32_t space) { frame_release(frame_of(*(entry_t*)window(space))); }
#else
entry_t* directory_entry(uint32_t space, uint32_t address) { return (entry_t*)window(space) + address / TABLE_BYTES; }

static void space_begin(uint32_t space) { (void)space; }

static void space_end(uint32_t space) { (void)space; }
#endif

entry_t* entry_at(uint32_t space, uint32_t address) {
    const entry_t table = *directory_entry(space, address);
    if ((table & ENTRY_PRESENT) == 0)
        return 0;
    return (entry_t*)window(frame_of(table)) + address / PAGE_BYTES % TABLE_ENTRIES;
}

entry_t* entry_made(uint32_t space, uint32_t address) {
    entry_t* table = directory_entry(space, address);
    if ((*table & ENTRY_PRESENT) == 0)
        *table = frame_new() | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER;
    return entry_at(space, address);
}

entry_t* next_user_entry(uint32_t space, uint32_t* address) {
    while (*address >= USER_BASE && *address < USER_END) {
        entry_t* entry = entry_at(space, *address);
        if (entry == 0) {
            *address = (*address & ~(TABLE_BYTES - 1)) + TABLE_BYTES;
            continue;
        }
        if ((*entry & ENTRY_PRESENT) != 0)
            return entry;
        *address += PAGE_BYTES;
    }
    return 0;
}

uint32_t space_new(void) {
    const uint32_t space = frame_new();
    space_begin(space);
    map_kernel(space);
    return space;
}

/* Frees the user's frames and tables, then what belongs to the kernel's half and the directory. */
void space_free(uint32_t space) {
    entry_t* entry;
    for (uint32_t address = USER_BASE; (entry = next_user_entry(space, &address)) != 0; address += PAGE_BYTES) {
        frame_release(frame_of(*entry));
        if (has_word("junk"))
            *entry = 0;
    }
    for (uint32_t address = USER_BASE & ~(TABLE_BYTES - 1); address < USER_END; address += TABLE_BYTES)
        if ((*directory_entry(space, address) & ENTRY_PRESENT) != 0)
            frame_release(frame_of(*directory_entry(space, address)));
    unmap_kernel(space);
    space_end(space);
    frame_release(space);
}

void load_image(uint32_t space) {
    for (uint32_t address = USER_BASE; address < (uint32_t)user_image_end; address += PAGE_BYTES) {
        const uint32_t frame = frame_new();
        memcpy(window(frame), user_image + (address - USER_BASE), PAGE_BYTES);
        const entry_t rights = address < (uint32_t)user_data_begin ? 0 : ENTRY_WRITE;
        *entry_made(space, address) = frame | ENTRY_PRESENT | ENTRY_USER | rights;
    }
    *entry_made(space, USER_STACK) = frame_new() | ENTRY_PRESENT | ENTRY_USER | ENTRY_WRITE;
}
