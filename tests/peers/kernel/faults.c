#include "kernel.h"

/* What instructions leave behind, and say, where a page stops them. FIRST_PAGE and SECOND_PAGE are neighbours. */

enum { READ_ONLY = PRESENT | USER, READ_WRITE = PRESENT | WRITABLE | USER, FLAG_RF = 0x10000 };

static void lock_add(void) {
    __asm__ volatile("lock addl $1, (%0)" : : "r"(FIRST_PAGE) : "memory", "cc");
}

static void exchange(void) {
    u32 value = 0;
    __asm__ volatile("xchgl %0, (%1)" : "+r"(value) : "r"(FIRST_PAGE) : "memory");
}

static void lock_compare_exchange(void) {
    __asm__ volatile("lock cmpxchgl %0, (%1)" : : "r"(0), "r"(FIRST_PAGE) : "memory", "cc", "eax");
}

static void add(void) {
    __asm__ volatile("addl $1, (%0)" : : "r"(FIRST_PAGE) : "memory", "cc");
}

static void straddling_add(void) {
    __asm__ volatile("addl $1, (%0)" : : "r"(SECOND_PAGE - 2) : "memory", "cc");
}

static void error_rows(void) {
    static const struct {
        const char* name;
        void (*step)(void);
    } steps[] = {{"lock_add_error", lock_add},
                 {"xchg_error", exchange},
                 {"lock_cmpxchg_error", lock_compare_exchange},
                 {"add_error", add}};
    map_page(FIRST_PAGE, 0);
    for (u32 i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        row(steps[i].name, !attempt(steps[i].step) ? "no fault" : (last_fault.error & 2) != 0 ? "W = 1" : "W = 0");
    }
}

static void straddle_row(void) {
    *window_entry(FIRST_PAGE) = FRAME_A | READ_WRITE;
    map_page(SECOND_PAGE, 0);
    bool faulted = attempt(straddling_add);
    u32 bits = *(volatile u32*)window_entry(FIRST_PAGE) & (ACCESSED | DIRTY);
    row("add_across_pages", !faulted ? "no fault" : bits == (ACCESSED | DIRTY) ? "A and D" : bits == ACCESSED ? "A" : "none");
}

static void move_string(void) {
    u32 source = FRAME_A, target = SECOND_PAGE - 4, count = 8;
    __asm__ volatile("rep movsb" : "+S"(source), "+D"(target), "+c"(count) : : "memory");
}

static void compare_strings(void) {
    u32 source = SECOND_PAGE, target = SECOND_PAGE + 0x1000, count = 1;
    __asm__ volatile("repe cmpsb" : "+S"(source), "+D"(target), "+c"(count) : : "memory", "cc");
}

static void move_strings(void) {
    u32 source = SECOND_PAGE, target = SECOND_PAGE + 0x1000, count = 1;
    __asm__ volatile("rep movsb" : "+S"(source), "+D"(target), "+c"(count) : : "memory");
}

static const char* operand_that_faulted(void) {
    return last_fault_address == SECOND_PAGE ? "source" : "destination";
}

static void string_rows(void) {
    *window_entry(FIRST_PAGE) = FRAME_A | READ_WRITE;
    *window_entry(SECOND_PAGE + 0x1000) = 0;
    map_page(SECOND_PAGE, 0);
    row("rep_movs_rf", !attempt(move_string) ? "no fault" : (last_fault.flags & FLAG_RF) != 0 ? "RF = 1" : "RF = 0");
    row("movs_order", attempt(move_strings) ? operand_that_faulted() : "no fault");
    row("cmps_order", attempt(compare_strings) ? operand_that_faulted() : "no fault");
}

static void stack_rows(void) {
    *window_entry(FIRST_PAGE) = 0;
    map_page(SECOND_PAGE, FRAME_A | READ_WRITE);
    for (u32 i = 0; i < 16; i += 4) {
        write_word(FRAME_A + i, 0xCCCCCCCC);
    }
    bool faulted = attempt_user(push_all_step);
    bool written = false;
    for (u32 i = 0; i < 16; i += 4) {
        written = written || read_word(FRAME_A + i) != 0xCCCCCCCC;
    }
    row("pusha_cr2", faulted ? hexadecimal(last_fault_address & 0xFFF, 3) : "no fault");
    row("pusha_memory", written ? "partly written" : "as before");
    row("enter_probe", attempt_user(enter_step) ? "faults" : "succeeds");

    *window_entry(FIRST_PAGE) = FRAME_A | READ_WRITE;
    map_page(SECOND_PAGE, 0);
    faulted = attempt_user(pop_all_step);
    bool same = last_fault.edi == 0x11111111 && last_fault.esi == 0x22222222 && last_fault.ebp == 0x33333333;
    row("popa_registers", !faulted ? "no fault" : same ? "as before" : "changed");
}

static void save_fpu(void) {
    __asm__ volatile("fnsave (%0)" : : "r"(SECOND_PAGE - 20) : "memory");
}

static void store_environment(void) {
    __asm__ volatile("fnstenv (%0)" : : "r"(SECOND_PAGE - 20) : "memory");
}

static const char* fpu_store(void (*step)(void)) {
    *window_entry(FIRST_PAGE) = FRAME_A | READ_WRITE;
    map_page(SECOND_PAGE, 0);
    for (u32 i = 0xFEC; i < 0x1000; i += 4) {
        write_word(FRAME_A + i, 0xCCCCCCCC);
    }
    bool faulted = attempt(step);
    bool written = false;
    for (u32 i = 0xFEC; i < 0x1000; i += 4) {
        written = written || read_word(FRAME_A + i) != 0xCCCCCCCC;
    }
    return !faulted ? "no fault" : written ? "partly written" : "as before";
}

/* The destination's RPL is the greater one: ARPL leaves it. */
static void adjust_rpl(void) {
    __asm__ volatile("arpl %w0, (%1)" : : "r"(0), "r"(FIRST_PAGE) : "memory", "cc");
}

static void bound(void) {
    static const u32 limits[2] = {1, 2};
    __asm__ volatile("boundl %0, (%1)" : : "r"(3), "r"(limits) : "memory");
}

void fault_rows(void) {
    error_rows();
    straddle_row();
    string_rows();
    stack_rows();
    row("fnsave_memory", fpu_store(save_fpu));
    row("fnstenv_memory", fpu_store(store_environment));
    write_word(FRAME_A, 3);
    map_page(FIRST_PAGE, FRAME_A | READ_ONLY);
    row("arpl_no_change", attempt(adjust_rpl) ? "#PF" : "no fault");
    row("bound", attempt(bound) && last_fault.vector == 5 ? "#BR" : "no fault");
}
