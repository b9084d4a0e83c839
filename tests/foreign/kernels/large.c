/* A kernel mapped low whose programs have one large page each, of 4 MB or with PAE 2 MB, behind their small ones. Fork
 * shares all of it for copying. Words of the command line: the program's name; at=fault and at=fork (when a large page
 * that is shared becomes a table of its pieces: with the write that needs a copy of one, or with the fork; else the
 * whole page is copied); copy (fork copies all at once); clear (the entry is cleared before it leads to the table);
 * with at=fork also first (the parent's page is split before its pieces lose the right to write) and empty (the table
 * is filled after the entry leads to it, with pieces that never had it). */
#include "kernel.h"

#define LARGE_PAGE USER_END
#define LARGE_FRAMES_BEGIN MEMORY_END
#define LARGE_FRAMES_END 0x1000000u

enum { DATA_PAGES = 2, PIECES = TABLE_BYTES / PAGE_BYTES };

static uint8_t large_references[LARGE_FRAMES_END / TABLE_BYTES];

static uint32_t large_frame_new(void) {
    for (uint32_t frame = LARGE_FRAMES_BEGIN; frame < LARGE_FRAMES_END; frame += TABLE_BYTES)
        if (large_references[frame / TABLE_BYTES] == 0) {
            large_references[frame / TABLE_BYTES] = 1;
            return frame;
        }
    stop("panic: out of large frames");
}

static uint8_t* large_references_of(uint32_t frame) { return &large_references[frame / TABLE_BYTES]; }

void map_kernel(uint32_t space) {
    for (uint32_t address = 0; address < LARGE_FRAMES_END; address += TABLE_BYTES)
        *directory_entry(space, address) = address | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_LARGE;
}

/* And what the space has of large pages: a table of pieces holds the large frame that most of them lie in. */
void unmap_kernel(uint32_t space) {
    const entry_t large = *directory_entry(space, LARGE_PAGE);
    if ((large & ENTRY_LARGE) != 0) {
        --*large_references_of(frame_of(large));
        return;
    }
    if ((large & ENTRY_PRESENT) == 0)
        return;
    const entry_t* pieces = window(frame_of(large));
    uint32_t whole = 0;
    for (uint32_t i = 0; i < PIECES; ++i)
        if (frame_of(pieces[i]) < MEMORY_END)
            frame_release(frame_of(pieces[i]));
        else
            whole = frame_of(pieces[i]);
    --*large_references_of(whole);
    frame_release(frame_of(large));
}

static void copy_words(uint32_t to, uint32_t from, uint32_t bytes) {
    const uint32_t* source = window(from);
    uint32_t* copy = window(to);
    for (uint32_t i = 0; i < bytes / sizeof(*copy); ++i)
        copy[i] = source[i];
}

/* The same frames by small entries with the same flags. */
static void split(uint32_t space) {
    entry_t* large = directory_entry(space, LARGE_PAGE);
    const entry_t old = *large;
    const uint32_t table = frame_new();
    entry_t* pieces = window(table);
    for (uint32_t i = 0; i < PIECES; ++i)
        pieces[i] = (old & ~(entry_t)ENTRY_LARGE) + i * PAGE_BYTES;
    if (has_word("clear"))
        *large = 0;
    *large = table | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER;
}

static entry_t protect(entry_t* entry, struct fork_counts* counts) {
    if ((*entry & ENTRY_WRITE) != 0) {
        *entry = (*entry & ~(entry_t)ENTRY_WRITE) | ENTRY_COW;
        ++counts->protects;
    }
    ++counts->entries;
    return *entry & ~(entry_t)(ENTRY_ACCESSED | ENTRY_DIRTY);
}

/* What fork shares is small from then on. */
static void share_pieces(uint32_t space, struct fork_counts* counts) {
    entry_t* large = directory_entry(space, LARGE_PAGE);
    if (has_word("first")) {
        split(space);
        entry_t* pieces = window(frame_of(*large));
        for (uint32_t i = 0; i < PIECES; ++i)
            protect(&pieces[i], counts);
        return;
    }
    const entry_t old = *large & ~(entry_t)(ENTRY_LARGE | ENTRY_WRITE);
    const uint32_t table = frame_new();
    *large = table | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER;
    for (uint32_t i = 0; i < PIECES; ++i)
        ((entry_t*)window(table))[i] = (old | ENTRY_COW) + i * PAGE_BYTES;
}

static void share_large_page(uint32_t parent, uint32_t child, struct fork_counts* counts) {
    entry_t* large = directory_entry(parent, LARGE_PAGE);
    entry_t* copy = directory_entry(child, LARGE_PAGE);
    if ((*large & ENTRY_LARGE) == 0)
        stop("panic: the page is split");
    ++*large_references_of(frame_of(*large));
    if (has_word("first") || has_word("empty")) {
        *copy = *large;
        counts->shared += PIECES;
        share_pieces(parent, counts);
        share_pieces(child, counts);
        return;
    }
    *copy = protect(large, counts);
    counts->shared += PIECES;
    if (has_word("at=fork")) {
        split(parent);
        split(child);
    }
}

static void copy_space(uint32_t parent, uint32_t child, struct fork_counts* counts) {
    entry_t* entry;
    for (uint32_t address = USER_BASE; (entry = next_user_entry(parent, &address)) != 0; address += PAGE_BYTES) {
        const uint32_t frame = frame_new();
        copy_words(frame, frame_of(*entry), PAGE_BYTES);
        *entry_made(child, address) = frame | (*entry & (ENTRY_PRESENT | ENTRY_USER | ENTRY_WRITE));
        ++counts->copied;
    }
    const entry_t large = *directory_entry(parent, LARGE_PAGE);
    const uint32_t frame = large_frame_new();
    copy_words(frame, frame_of(large), TABLE_BYTES);
    *directory_entry(child, LARGE_PAGE) = frame | (large & ENTRY_FLAGS);
    counts->copied += PIECES;
}

static void fork(struct frame* frame) {
    const uint32_t parent = current->space;
    const uint32_t child = space_new();
    struct fork_counts counts = {0};
    if (has_word("copy")) {
        copy_space(parent, child, &counts);
    } else {
        entry_t* entry;
        for (uint32_t address = USER_BASE; (entry = next_user_entry(parent, &address)) != 0; address += PAGE_BYTES) {
            frame_share(frame_of(*entry));
            *entry_made(child, address) = protect(entry, &counts);
            ++counts.shared;
        }
        share_large_page(parent, child, &counts);
        write_cr3(parent);
    }
    print_fork(parent, child, &counts);
    struct process* process = process_new(current, child);
    process->frame = *frame;
    process->frame.eax = 0;
    frame->eax = process->number;
}

void system_call(struct frame* frame) {
    if (frame->eax == SYS_FORK)
        fork(frame);
    else
        stop("panic: no such call");
}

/* Whether it copied, or the frame is this space's alone. */
static bool resolve_large(entry_t* large) {
    const uint32_t frame = frame_of(*large);
    const bool copies = *large_references_of(frame) > 1;
    const uint32_t copy = copies ? large_frame_new() : frame;
    if (copies) {
        copy_words(copy, frame, TABLE_BYTES);
        --*large_references_of(frame);
    }
    *large = copy | ENTRY_PRESENT | ENTRY_USER | ENTRY_WRITE | ENTRY_LARGE;
    return copies;
}

static bool resolve_small(entry_t* entry) {
    const uint32_t frame = frame_of(*entry);
    const bool piece = frame >= LARGE_FRAMES_BEGIN;
    const bool copies = piece ? *large_references_of(frame) > 1 : frame_references(frame) > 1;
    const uint32_t copy = copies ? frame_new() : frame;
    if (copies) {
        copy_words(copy, frame, PAGE_BYTES);
        if (!piece)
            frame_release(frame);
    }
    *entry = copy | ENTRY_PRESENT | ENTRY_USER | ENTRY_WRITE;
    return copies;
}

void page_fault(struct frame* frame, uint32_t address) {
    const uint32_t page = address & ~(uint32_t)ENTRY_FLAGS;
    entry_t* large = directory_entry(current->space, page);
    if (address >= LARGE_PAGE && has_word("at=fault") && (*large & ENTRY_LARGE) != 0)
        split(current->space);
    const bool whole = (*large & ENTRY_LARGE) != 0;
    entry_t* entry = whole ? large : entry_at(current->space, page);
    if ((*entry & (ENTRY_PRESENT | ENTRY_COW)) != (ENTRY_PRESENT | ENTRY_COW) || (frame->error & FAULT_WRITE) == 0)
        stop("panic: a fault that no program here causes");
    const bool copies = whole ? resolve_large(entry) : resolve_small(entry);
    print("fault space=%x page=%x %s\n", current->space, page, copies ? "copy" : "reuse");
    flush_page(page);
}

/* The programs. */

#include "data_pages.h"

LOCAL volatile uint32_t* piece(uint32_t number) { return (volatile uint32_t*)(LARGE_PAGE + number * PAGE_BYTES); }

LOCAL void begin(void) {
    touch_all();
    for (uint32_t number = 0; number < 4; ++number)
        *piece(number * 100) = 500 + number;
}

LOCAL void print_pieces(void) {
    for (uint32_t number = 0; number < 4; ++number)
        call(SYS_PRINT, *piece(number * 100), 0, 0);
}

/* Each side writes to two pieces, the parent first, and last to one that the child has written to, too. */
USER_CODE static void plain(void) {
    begin();
    if (call(SYS_FORK, 0, 0, 0) == 0) {
        touch(0, 200);
        *piece(100) = 601;
        *piece(200) = 602;
        print_pages(0, DATA_PAGES);
        print_pieces();
        exit_program();
    }
    *piece(0) = 700;
    call(SYS_YIELD, 0, 0, 0);
    *piece(100) = 701;
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, DATA_PAGES);
    print_pieces();
    exit_program();
}

/* The child alone writes; its parent waits. */
USER_CODE static void child(void) {
    begin();
    if (call(SYS_FORK, 0, 0, 0) == 0) {
        *piece(300) = 603;
        print_pieces();
        exit_program();
    }
    call(SYS_WAIT, 0, 0, 0);
    *piece(0) = 700;
    print_pieces();
    exit_program();
}

void kernel_start(void) {
    first_process(has_word("plain") ? plain : child);
    *directory_entry(current->space, LARGE_PAGE) =
        large_frame_new() | ENTRY_PRESENT | ENTRY_USER | ENTRY_WRITE | ENTRY_LARGE;
    turn_paging_on();
}
