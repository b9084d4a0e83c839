/* A kernel at F0000000h that has no fork: programs make one out of many calls, and copy pages in a handler of their
 * own. A window at EF400000h shows a program its own page tables. It alone fills in fresh pages of a stack and of a
 * heap when they are touched. Word of the command line: the program's name. */
#include "kernel.h"

#define TABLES_WINDOW (USER_END + 0x800000u)
#define EXCEPTION_STACK (USER_END - PAGE_BYTES)
#define SPARE_PAGE 0x00B00000u
#define STACK_LOW (USER_STACK - 15 * PAGE_BYTES)
#define HEAP_BEGIN 0x00C00000u
#define HEAP_END 0x00C10000u

enum { DATA_PAGES = 6, SELF = 0xFFF };

/* On the exception stack, for the handler of page faults. */
struct user_fault {
    uint32_t address, error;
    uint32_t registers[8]; /* as POPA takes them */
    uint32_t eip, eflags, esp;
};

static entry_t kernel_tables[MEMORY_END / PAGE_BYTES] __attribute__((aligned(4096)));

void map_kernel(uint32_t space) {
    for (uint32_t address = 0; address < MEMORY_END; address += TABLE_BYTES)
        *directory_entry(space, KERNEL_BASE + address) =
            ((uint32_t)&kernel_tables[address / PAGE_BYTES] - KERNEL_BASE) | ENTRY_PRESENT | ENTRY_WRITE;
    const uint32_t directory = (uint32_t)directory_entry(space, 0) - KERNEL_BASE;
    *directory_entry(space, TABLES_WINDOW) = directory | ENTRY_PRESENT | ENTRY_USER;
}

void unmap_kernel(uint32_t space) { (void)space; }

static struct process* process_of(uint32_t number) { return number == SELF ? current : process_numbered(number); }

static void put_page(struct process* process, uint32_t address, uint32_t frame, uint32_t flags) {
    entry_t* entry = entry_made(process->space, address);
    const entry_t old = *entry;
    *entry = frame | ENTRY_PRESENT | ENTRY_USER | flags;
    if (process == current)
        flush_page(address);
    if ((old & ENTRY_PRESENT) == 0) {
        ++process->counts.entries;
        return;
    }
    frame_release(frame_of(old));
    if ((old & ENTRY_WRITE) != 0 && (flags & ENTRY_WRITE) == 0)
        ++process->counts.protects;
    if (process == current && (old & ENTRY_COW) != 0 && (flags & ENTRY_WRITE) != 0)
        print("fault space=%x page=%x copy\n", process->space, address);
}

static void exofork(struct frame* frame) {
    struct process* child = process_new(current, space_new());
    child->state = STATE_SLEEPING;
    current->counts = (struct fork_counts){0};
    child->frame = *frame;
    child->frame.eax = 0;
    frame->eax = child->number;
}

static void page_map(uint32_t source, uint32_t target, uint32_t flags) {
    const entry_t* entry = entry_at(current->space, source);
    if (entry == 0 || (*entry & ENTRY_PRESENT) == 0)
        stop("panic: no such page");
    frame_share(frame_of(*entry));
    put_page(process_of(target & SELF), target & ~(uint32_t)SELF, frame_of(*entry), flags);
}

static void page_unmap(uint32_t address) {
    entry_t* entry = entry_at(current->space, address);
    frame_release(frame_of(*entry));
    *entry = 0;
    flush_page(address);
}

/* The fork is whole. The parent may have copied some of its pages meanwhile: its stack, above all. */
static void start(struct process* child) {
    struct fork_counts counts = {.entries = child->counts.entries, .protects = current->counts.protects};
    const entry_t* entry;
    for (uint32_t address = USER_BASE; (entry = next_user_entry(child->space, &address)) != 0; address += PAGE_BYTES) {
        if (address == EXCEPTION_STACK)
            continue;
        const bool same = frame_of(*entry) == frame_of(*entry_at(current->space, address));
        ++*(same ? &counts.shared : &counts.copied);
    }
    print_fork(current->space, child->space, &counts);
    child->state = STATE_RUNNABLE;
}

static void start_at(struct process* process, void (*program)(void)) {
    print("create space=%x\n", process->space);
    process_enter(process, program);
    process->state = STATE_RUNNABLE;
}

void system_call(struct frame* frame) {
    if (frame->eax == SYS_EXOFORK)
        exofork(frame);
    else if (frame->eax == SYS_PAGE_NEW)
        put_page(process_of(frame->ebx), frame->ecx, frame_new(), ENTRY_WRITE);
    else if (frame->eax == SYS_PAGE_MAP)
        page_map(frame->ebx, frame->ecx, frame->edx);
    else if (frame->eax == SYS_PAGE_UNMAP)
        page_unmap(frame->ebx);
    else if (frame->eax == SYS_SET_UPCALL)
        process_of(frame->ebx)->upcall = frame->ecx;
    else if (frame->eax == SYS_START)
        start(process_of(frame->ebx));
    else if (frame->eax == SYS_START_AT)
        start_at(process_of(frame->ebx), (void (*)(void))frame->ecx);
    else
        stop("panic: no such call");
}

static bool grow(uint32_t page) {
    const bool stack = page >= STACK_LOW && page < USER_STACK;
    const entry_t* entry = entry_at(current->space, page);
    if ((!stack && (page < HEAP_BEGIN || page >= HEAP_END)) || (entry != 0 && *entry != 0))
        return false;
    put_page(current, page, frame_new(), ENTRY_WRITE);
    print("grown space=%x page=%x %s\n", current->space, page, stack ? "stack" : "heap");
    return true;
}

/* Sends the program to its handler. A fault of the handler itself comes below it, with a word between: the handler
 * writes the address to go on at below the stack that it goes back to. */
void page_fault(struct frame* frame, uint32_t address) {
    if (grow(address & ~(uint32_t)ENTRY_FLAGS))
        return;
    if (current->upcall == 0) {
        print("killed space=%x page=%x\n", current->space, address & ~(uint32_t)ENTRY_FLAGS);
        return process_exit();
    }
    const bool nested = frame->esp - EXCEPTION_STACK < PAGE_BYTES;
    struct user_fault* fault = (struct user_fault*)(nested ? frame->esp - 4 : EXCEPTION_STACK + PAGE_BYTES) - 1;
    *fault = (struct user_fault){
        .address = address,
        .error = frame->error,
        .registers = {frame->edi, frame->esi, frame->ebp, 0, frame->ebx, frame->edx, frame->ecx, frame->eax},
        .eip = frame->eip,
        .eflags = frame->eflags,
        .esp = frame->esp};
    frame->esp = (uint32_t)fault;
    frame->eip = current->upcall;
}

/* The programs. */

#include "data_pages.h"

void upcall(void);

/* From the kernel with ESP at a struct user_fault; goes back without it. */
__asm__(".section .user.text, \"ax\", @progbits\n"
        ".global upcall\n"
        "upcall:\n\t"
        "pushl %esp\n\t"
        "call handle_page_fault\n\t"
        "addl $4, %esp\n\t"
        "movl 40(%esp), %eax\n\t" /* eip */
        "movl 48(%esp), %ebx\n\t" /* esp */
        "movl %eax, -4(%ebx)\n\t"
        "subl $4, 48(%esp)\n\t"
        "addl $8, %esp\n\t"
        "popal\n\t"
        "addl $4, %esp\n\t"
        "popfl\n\t"
        "popl %esp\n\t"
        "ret\n\t"
        ".previous");

LOCAL uint32_t own_entry(uint32_t address) {
    const volatile entry_t* entries = (const volatile entry_t*)TABLES_WINDOW;
    const entry_t table = entries[(TABLES_WINDOW + address / PAGE_BYTES * sizeof(*entries)) / PAGE_BYTES];
    return (table & ENTRY_PRESENT) != 0 ? (uint32_t)entries[address / PAGE_BYTES] : 0;
}

__attribute__((section(".user.text"), used)) void handle_page_fault(const struct user_fault* fault) {
    const uint32_t page = fault->address & ~(uint32_t)ENTRY_FLAGS;
    if ((fault->error & FAULT_WRITE) == 0 || (own_entry(page) & ENTRY_COW) == 0)
        exit_program();
    call(SYS_PAGE_NEW, SELF, SPARE_PAGE, 0);
    for (uint32_t i = 0; i < PAGE_BYTES; i += sizeof(uint32_t))
        *(volatile uint32_t*)(SPARE_PAGE + i) = *(volatile uint32_t*)(page + i);
    call(SYS_PAGE_MAP, SPARE_PAGE, page | SELF, ENTRY_WRITE);
    call(SYS_PAGE_UNMAP, SPARE_PAGE, 0, 0);
}

/* Its frame, and those of what is called after it, lie on the stack, which becomes write-protected meanwhile. */
USER_CODE static void give_page(uint32_t child, uint32_t address) {
    const bool writable = (own_entry(address) & (ENTRY_WRITE | ENTRY_COW)) != 0;
    call(SYS_PAGE_MAP, address, address | child, writable ? ENTRY_COW : 0);
    if (writable)
        call(SYS_PAGE_MAP, address, address | SELF, ENTRY_COW);
}

USER_CODE static void set_upcall(uint32_t process) {
    call(SYS_PAGE_NEW, process, EXCEPTION_STACK, 0);
    call(SYS_SET_UPCALL, process, (uint32_t)upcall, 0);
}

USER_CODE static uint32_t fork_by_calls(void) {
    const uint32_t child = call(SYS_EXOFORK, 0, 0, 0);
    if (child == 0)
        return 0;
    for (uint32_t address = USER_BASE; address < (uint32_t)data + sizeof(data); address += PAGE_BYTES)
        give_page(child, address);
    for (uint32_t address = STACK_LOW; address <= USER_STACK; address += PAGE_BYTES)
        if (own_entry(address) != 0)
            give_page(child, address);
    set_upcall(child);
    call(SYS_START, child, 0, 0);
    return child;
}

LOCAL void begin(void) {
    set_upcall(SELF);
    touch_all();
}

USER_CODE static void plain(void) {
    begin();
    if (fork_by_calls() == 0) {
        touch(0, 200);
        touch(1, 201);
        print_pages(0, 4);
        exit_program();
    }
    touch(3, 303);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, 4);
    exit_program();
}

USER_CODE static void chain(void) {
    begin();
    for (uint32_t depth = 0; depth < 3; ++depth) {
        touch(depth, 200 + depth);
        if (depth == 2 || fork_by_calls() != 0)
            break;
    }
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, 4);
    exit_program();
}

USER_CODE static void two(void) {
    begin();
    for (uint32_t child = 0; child < 2; ++child)
        if (fork_by_calls() == 0) {
            touch(child, 200 + child);
            print_pages(0, 4);
            exit_program();
        }
    call(SYS_WAIT, 0, 0, 0);
    call(SYS_WAIT, 0, 0, 0);
    touch(0, 300);
    print_pages(0, 4);
    exit_program();
}

/* A page of ours with the bytes of another, given to the child. */
USER_CODE static void give_copy(uint32_t child, uint32_t page, uint32_t flags) {
    call(SYS_PAGE_NEW, SELF, SPARE_PAGE, 0);
    for (uint32_t i = 0; i < PAGE_BYTES; i += sizeof(uint32_t))
        *(volatile uint32_t*)(SPARE_PAGE + i) = *(volatile uint32_t*)(page + i);
    call(SYS_PAGE_MAP, SPARE_PAGE, page | child, flags);
    call(SYS_PAGE_UNMAP, SPARE_PAGE, 0, 0);
}

/* Every page is copied at once, by the program. */
USER_CODE static void dumb(void) {
    begin();
    const uint32_t child = call(SYS_EXOFORK, 0, 0, 0);
    if (child == 0) {
        touch(0, 200);
        print_pages(0, 4);
        exit_program();
    }
    for (uint32_t page = USER_BASE; page < (uint32_t)data + sizeof(data); page += PAGE_BYTES)
        give_copy(child, page, (own_entry(page) & ENTRY_WRITE) != 0 ? ENTRY_WRITE : 0);
    give_copy(child, USER_STACK, ENTRY_WRITE);
    set_upcall(child);
    call(SYS_START, child, 0, 0);
    call(SYS_WAIT, 0, 0, 0);
    touch(3, 303);
    print_pages(0, 4);
    exit_program();
}

USER_CODE static void spawned(void) {
    touch(0, 400);
    print_pages(0, 4);
    exit_program();
}

/* A fresh process by the same calls: no fork. Its code is filled in on a page of ours that is then given away. */
USER_CODE static void spawn(void) {
    begin();
    const uint32_t child = call(SYS_EXOFORK, 0, 0, 0);
    for (uint32_t page = USER_BASE; page < (uint32_t)data; page += PAGE_BYTES)
        give_copy(child, page, 0);
    for (uint32_t page = 0; page < DATA_PAGES; ++page)
        call(SYS_PAGE_NEW, child, (uint32_t)data[page], 0);
    call(SYS_PAGE_NEW, child, USER_STACK, 0);
    set_upcall(child);
    call(SYS_START_AT, child, (uint32_t)spawned, 0);
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, 4);
    exit_program();
}

/* So many frames of more than a page each, of which the deepest is written first. */
USER_CODE static uint32_t descend(uint32_t frames) {
    volatile uint32_t local[PAGE_BYTES / sizeof(uint32_t)];
    local[0] = frames;
    const uint32_t below = frames > 1 ? descend(frames - 1) : 0;
    return below + (local[0] == frames ? 1 : 100);
}

/* The stack grows before fork, and on either side after it; so does a heap, by pages touched far from any stack. */
USER_CODE static void grow_stacks(void) {
    begin();
    touch(0, descend(3));
    *(volatile uint32_t*)HEAP_BEGIN = 1;
    if (fork_by_calls() == 0) {
        touch(1, 200 + descend(5));
        *(volatile uint32_t*)(HEAP_BEGIN + PAGE_BYTES) = 1;
        print_pages(0, 2);
        exit_program();
    }
    touch(2, 300 + descend(4));
    call(SYS_WAIT, 0, 0, 0);
    print_pages(0, 3);
    exit_program();
}

static const struct {
    const char* name;
    void (*program)(void);
} programs[] = {{"plain", plain}, {"chain", chain}, {"two", two},
                {"spawn", spawn}, {"dumb", dumb},   {"grow", grow_stacks}};

void kernel_start(void) {
    for (uint32_t address = 0; address < MEMORY_END; address += PAGE_BYTES)
        kernel_tables[address / PAGE_BYTES] = address | ENTRY_PRESENT | ENTRY_WRITE;
    for (uint32_t i = 0; i < sizeof(programs) / sizeof(programs[0]); ++i)
        if (has_word(programs[i].name))
            first_process(programs[i].program);
    if (current == 0)
        stop("panic: no such program");
    turn_paging_on();
}
