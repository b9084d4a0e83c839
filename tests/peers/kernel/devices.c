#include "kernel.h"

/* 8254, 8259, 8042, 16550, MC146818 and port 61h, each in a state of its own making; interrupts are off but where a row waits. */

enum {
    MASTER = 0x20,
    MASTER_MASK = 0x21,
    SLAVE = 0xA0,
    SLAVE_MASK = 0xA1,
    TIMER_0 = 0x40,
    TIMER_2 = 0x42,
    TIMER_CONTROL = 0x43,
    SYSTEM_PORT = 0x61,
    KEYBOARD_DATA = 0x60,
    KEYBOARD_COMMAND = 0x64,
    SERIAL = 0x3F8,
    CMOS_INDEX = 0x70,
    CMOS_DATA = 0x71,
    PATIENCE = 1000000,
};

/* A few microseconds or more on each machine. */
static void pause(void) {
    for (u32 i = 0; i < 200; i++) {
        inb(SYSTEM_PORT);
    }
}

static void start_counter(u32 counter, u32 mode, u32 count) {
    outb(TIMER_CONTROL, (u8)(counter << 6 | 0x30 | mode));
    outb((u16)(TIMER_0 + counter), (u8)count);
    outb((u16)(TIMER_0 + counter), (u8)(count >> 8));
}

static u32 latched_count(void) {
    outb(TIMER_CONTROL, 0x80);
    u32 low = inb(TIMER_2);
    return low | (u32)inb(TIMER_2) << 8;
}

static u32 counter_status(void) {
    outb(TIMER_CONTROL, 0xE8);
    return inb(TIMER_2);
}

/* GATE of counter 2, and no sound. */
static void set_gate(u8 level) {
    outb(SYSTEM_PORT, (u8)((inb(SYSTEM_PORT) & 0xFC) | level));
    pause();
}

/* The level of OUT in modes 0 to 5 while they count; a rising GATE has triggered modes 1 and 5. */
static void out_row(void) {
    char levels[7];
    for (u32 mode = 0; mode < 6; mode++) {
        start_counter(2, mode << 1, 0xFFFF);
        set_gate(0);
        set_gate(1);
        levels[mode] = (counter_status() & 0x80) != 0 ? '1' : '0';
    }
    levels[6] = '\0';
    row("8254_out", levels);
}

static const char* reload(u32 mode) {
    start_counter(2, mode << 1, 0xFFF0);
    pause();
    outb(TIMER_2, 0x00);
    outb(TIMER_2, 0x10);
    pause();
    return latched_count() > 0x1000 ? "later" : "at once";
}

static void decimal_row(void) {
    start_counter(2, 2 << 1 | 1, 0x9999);
    bool decimal = true;
    for (u32 i = 0; i < 400; i++) {
        pause();
        for (u32 count = latched_count(); count != 0; count >>= 4) {
            decimal = decimal && (count & 15) < 10;
        }
    }
    row("8254_bcd", decimal ? "decimal" : "binary");
}

static u32 mode_read_back(u32 mode) {
    start_counter(2, mode << 1, 0xFFFF);
    return counter_status() >> 1 & 7;
}

static void timer_rows(void) {
    set_gate(1);
    out_row();
    row("8254_reload_mode_2", reload(2));
    row("8254_reload_mode_3", reload(3));
    decimal_row();
    row_pair("8254_modes_6_7", mode_read_back(6), mode_read_back(7));
}

static void start_interrupts(u8 mask) {
    outb(MASTER, 0x11);
    outb(MASTER_MASK, 0x20);
    outb(MASTER_MASK, 0x04);
    outb(MASTER_MASK, 0x01);
    outb(SLAVE, 0x11);
    outb(SLAVE_MASK, 0x28);
    outb(SLAVE_MASK, 0x02);
    outb(SLAVE_MASK, 0x01);
    outb(MASTER_MASK, mask);
    outb(SLAVE_MASK, 0xFF);
    last_interrupt = 0;
}

/* Counter 0 in mode 0: OUT falls now and rises when the count is over; true when the 8259 has the request. */
static bool request_timer(void) {
    start_interrupts(0xFE);
    start_counter(0, 0, 100);
    outb(MASTER, 0x0A);
    for (u32 i = 0; i < PATIENCE; i++) {
        if ((inb(MASTER) & 1) != 0) {
            return true;
        }
    }
    return false;
}

static void let_interrupt_come(void) {
    __asm__ volatile("sti; nop; nop; nop; nop; cli" : : : "memory");
}

static void interrupt_rows(void) {
    bool requested = request_timer();
    outb(TIMER_CONTROL, 0x30); /* OUT is low again */
    pause();
    let_interrupt_come();
    row("8259_withdrawn", !requested ? "no request" : last_interrupt == 0 ? "nothing" : hexadecimal(last_interrupt, 2));

    requested = request_timer();
    let_interrupt_come();
    outb(MASTER_MASK, 0xFF);
    outb(MASTER, 0x68);
    outb(MASTER, 0x20);
    outb(MASTER, 0x0B);
    bool kept = (inb(MASTER) & 1) != 0;
    row("8259_special_mask_eoi", last_interrupt != 0x20 ? "no interrupt" : kept ? "in service" : "ended");

    requested = request_timer();
    outb(MASTER, 0x0C);
    u8 polled = inb(MASTER);
    row("8259_poll", requested ? hexadecimal(polled, 2) : "no request");
    start_interrupts(0xFF);
}

static void keyboard_command(u8 command) {
    for (u32 i = 0; i < PATIENCE && (inb(KEYBOARD_COMMAND) & 2) != 0; i++) {
    }
    outb(KEYBOARD_COMMAND, command);
}

static u8 keyboard_answer(void) {
    for (u32 i = 0; i < PATIENCE && (inb(KEYBOARD_COMMAND) & 1) == 0; i++) {
    }
    return inb(KEYBOARD_DATA);
}

static void keyboard_row(void) {
    while ((inb(KEYBOARD_COMMAND) & 1) != 0) {
        inb(KEYBOARD_DATA);
    }
    keyboard_command(0x60);
    for (u32 i = 0; i < PATIENCE && (inb(KEYBOARD_COMMAND) & 2) != 0; i++) {
    }
    outb(KEYBOARD_DATA, 0x61);
    keyboard_command(0xAA);
    u8 result = keyboard_answer();
    keyboard_command(0x20);
    u8 configuration = keyboard_answer();
    row_pair("8042_self_test", result, configuration);
}

static void serial_row(void) {
    outb(SERIAL + 4, 0x10);
    inb(SERIAL + 6);
    outb(SERIAL + 4, 0x1F);
    row_number("16550_loopback", inb(SERIAL + 6));
    outb(SERIAL + 4, 0);
}

static u8 cmos(u8 at) {
    outb(CMOS_INDEX, at);
    return inb(CMOS_DATA);
}

/* A second with all of the clock's interrupts off: which flags of register C has it set? */
static void clock_rows(void) {
    outb(CMOS_INDEX, 0x0B);
    outb(CMOS_DATA, 0x02);
    cmos(0x0C);
    u8 second = cmos(0);
    while (cmos(0) == second) {
    }
    while ((cmos(0x0A) & 0x80) != 0) {
    }
    u8 flags = cmos(0x0C);
    row("146818_pf", (flags & 0x40) != 0 ? "set" : "not set");
    row("146818_uf", (flags & 0x10) != 0 ? "set" : "not set");
}

static void refresh_row(void) {
    u32 changes = 0;
    u8 last = inb(SYSTEM_PORT);
    for (u32 i = 0; i < 200; i++) {
        u8 now = inb(SYSTEM_PORT);
        changes += (now ^ last) >> 4 & 1;
        last = now;
    }
    row("port_61h_refresh", changes == 200 ? "with each read" : "with time");
}

void device_rows(void) {
    timer_rows();
    interrupt_rows();
    keyboard_row();
    serial_row();
    clock_rows();
    refresh_row();
}
