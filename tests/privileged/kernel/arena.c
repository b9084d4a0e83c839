#include "case.h"
#include "memory.h"

u64 segment(u32 base, u32 limit, u32 access, u32 flags) {
    const u32 low = (limit & 0xFFFF) | base << 16;
    const u32 high = (base >> 16 & 0xFF) | access << 8 | (limit & 0xF0000) | flags << 20 | (base & 0xFF000000);
    return (u64)high << 32 | low;
}

u64 gate(u32 access, u16 target, u32 offset, u32 count) {
    const u32 low = (offset & 0xFFFF) | (u32)target << 16;
    const u32 high = count | access << 8 | (offset & 0xFFFF0000);
    return (u64)high << 32 | low;
}

u64 any_descriptor(u32 access) {
    const u32 type = access & 15;
    if ((access & SEGMENT) != 0) {
        const bool expands_down = (type & 12) == 4;
        return segment(0, expands_down ? 0 : 0xFFFFF, access, GRANULAR | BIG);
    }
    switch (type) {
    case 1:
    case 3:
        return segment((u32)NARROW(TASK_NARROW), sizeof(struct narrow_task) - 1, access, 0);
    case 2:
        return segment(LDT, LOCAL_SLOTS * 8 - 1, access, 0);
    case 9:
    case 11:
        return segment((u32)WIDE(TASK_WIDE), sizeof(struct wide_task) - 1, access, 0);
    case CALL_GATE16:
    case INTERRUPT_GATE16:
    case TRAP_GATE16:
        return gate(access, selector(RING_CODE16, 0), TARGET - CODE, 0);
    case TASK_GATE:
        return gate(access, selector(TASK_WIDE, 0), 0, 0);
    case CALL_GATE:
    case INTERRUPT_GATE:
    case TRAP_GATE:
        return gate(access, selector(RING_CODE, 0), TARGET, 0);
    default:
        return segment(0, 0xFFFFF, access, GRANULAR | BIG);
    }
}

static void build_ring(u32 ring) {
    const u32 dpl = ring << 5;
    GDT_SLOT(RING_CODE + ring) = segment(0, 0xFFFFF, 0x9B | dpl, GRANULAR | BIG);
    GDT_SLOT(RING_DATA + ring) = segment(0, 0xFFFFF, 0x93 | dpl, GRANULAR | BIG);
    GDT_SLOT(RING_CONFORMING + ring) = segment(0, 0xFFFFF, 0x9F | dpl, GRANULAR | BIG);
    GDT_SLOT(RING_CODE16 + ring) = segment(CODE, 2 * PAGE - 1, 0x9B | dpl, 0);
    GDT_SLOT(RING_DATA16 + ring) = segment(ring_page(ring), PAGE - 1, 0x93 | dpl, 0);
    GDT_SLOT(NOT_PRESENT_STACK + ring) = segment(0, 0xFFFFF, 0x13 | dpl, GRANULAR | BIG);
    LDT_SLOT(LOCAL_CODE + ring) = GDT_SLOT(RING_CODE + ring);
    LDT_SLOT(LOCAL_DATA + ring) = GDT_SLOT(RING_DATA + ring);
}

static void build_tables(void) {
    GDT_SLOT(KERNEL_CODE) = segment(0, 0xFFFFF, 0x9B, GRANULAR | BIG);
    GDT_SLOT(KERNEL_DATA) = segment(0, 0xFFFFF, 0x93, GRANULAR | BIG);
    for (u32 ring = 0; ring < 4; ring++) {
        build_ring(ring);
    }
    GDT_SLOT(LOCAL) = segment(LDT, LOCAL_SLOTS * 8 - 1, 0x82, 0);
    GDT_SLOT(NOT_PRESENT_DATA) = segment(0, 0xFFFFF, 0x73, GRANULAR | BIG);
    const u32 wide[] = {TASK_MAIN, TASK_FAULT, TASK_WIDE, TASK_WIDE_2};
    for (u32 i = 0; i < 4; i++) {
        GDT_SLOT(wide[i]) = segment((u32)WIDE(wide[i]), sizeof(struct wide_task) - 1, 0x89, 0);
    }
    for (u32 slot = TASK_NARROW; slot <= TASK_NARROW_2; slot++) {
        GDT_SLOT(slot) = segment((u32)NARROW(slot), sizeof(struct narrow_task) - 1, 0x81, 0);
    }
    for (u32 vector = 0; vector < VECTORS; vector++) {
        const bool for_all = vector == 3 || vector == 4 || vector >= 32;
        const u32 access = PRESENT | INTERRUPT_GATE | (for_all ? 0x60 : 0);
        IDT_SLOT(vector) = gate(access, selector(KERNEL_CODE, 0), (u32)vector_entries + vector * 16, 0);
    }
    IDT_SLOT(8) = gate(PRESENT | TASK_GATE, selector(TASK_FAULT, 0), 0, 0);
}

static void build_wide_task(u32 slot, u32 stack) {
    struct wide_task* task = WIDE(slot);
    fill_words(task, 0xA5A5A500 + slot, TASK_BYTES);
    task->link = selector(RING_DATA, 0);
    task->esp0 = ring_page(0) + INNER_STACK;
    task->ss0 = data_of(0);
    task->esp1 = ring_page(1) + INNER_STACK;
    task->ss1 = data_of(1);
    task->esp2 = ring_page(2) + INNER_STACK;
    task->ss2 = data_of(2);
    task->cr3 = TABLES;
    task->eip = TARGET;
    task->flags = FLAG_FIXED;
    task->cs = code_of(0);
    task->ss = data_of(0);
    task->esp = stack;
    task->ds = task->es = task->fs = task->gs = data_of(3);
    task->ldt = selector(LOCAL, 0);
    task->trap = 0;
    task->bitmap = sizeof *task;
}

static void build_narrow_task(u32 slot) {
    struct narrow_task* task = NARROW(slot);
    fill_words(task, 0x5A5A5A00 + slot, TASK_BYTES);
    task->link = selector(RING_DATA, 0);
    task->sp0 = task->sp1 = task->sp2 = INNER_STACK;
    task->ss0 = selector(RING_DATA16, 0);
    task->ss1 = selector(RING_DATA16 + 1, 1);
    task->ss2 = selector(RING_DATA16 + 2, 2);
    task->ip = TARGET - CODE;
    task->flags = FLAG_FIXED;
    task->cs = selector(RING_CODE16, 0);
    task->ss = selector(RING_DATA16, 0);
    task->sp = TASK_STACK;
    task->ds = task->es = data_of(3);
    task->ldt = selector(LOCAL, 0);
}

void build_arena(void) {
    /* INT3 wherever nothing else lies: a peer that leaves out a check comes back
     * all the same. */
    fill_words((void*)GDT, 0xCCCCCCCC, ARENA_END - GDT);
    fill_words((void*)GDT, 0, 3 * PAGE);
    build_tables();
    for (u32 slot = TASK_WIDE; slot <= TASK_WIDE_2; slot++) {
        build_wide_task(slot, ring_page(0) + TASK_STACK);
    }
    build_wide_task(TASK_MAIN, 0xA5A5A5A5);
    WIDE(TASK_MAIN)->flags = 0xA5A5A5A5; /* so that the log shows what a switch saves */
    build_wide_task(TASK_FAULT, (u32)double_fault_stack_top);
    struct wide_task* fault = WIDE(TASK_FAULT);
    fault->eip = (u32)double_fault_entry;
    fault->cs = selector(KERNEL_CODE, 0);
    fault->ss = fault->ds = fault->es = fault->fs = fault->gs = selector(KERNEL_DATA, 0);
    build_narrow_task(TASK_NARROW);
    build_narrow_task(TASK_NARROW_2);
}

void build_low_memory(void) { fill_words((void*)V_CODE, 0xCCCCCCCC, 3 * PAGE); }
