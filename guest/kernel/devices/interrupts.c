#include "guest/kernel/devices/interrupts.h"
#include "guest/kernel/devices/clock.h"
#include "guest/kernel/devices/console.h"
#include "guest/kernel/devices/keyboard.h"
#include "guest/kernel/traps/trap.h"
#include "guest/kernel/x86.h"

#define MASTER 0x20
#define SLAVE 0xA0
#define END_OF_SERVICE 0x20
#define READ_SERVICE 0x0B
#define CASCADE_LINE 2

static uint16_t masks = 0xFFFF & ~(1u << CASCADE_LINE);

/* Writes the masks of both controllers. */
static void write_masks(void) {
    outb(MASTER + 1, (uint8_t)masks);
    outb(SLAVE + 1, (uint8_t)(masks >> 8));
}

void interrupts_init(void) {
    outb(MASTER, 0x11); /* initialise, cascaded, edge triggered */
    outb(SLAVE, 0x11);
    outb(MASTER + 1, TRAP_IRQ_BASE);
    outb(SLAVE + 1, TRAP_IRQ_BASE + 8);
    outb(MASTER + 1, 1u << CASCADE_LINE);
    outb(SLAVE + 1, CASCADE_LINE);
    outb(MASTER + 1, 0x01);
    outb(SLAVE + 1, 0x01);
    write_masks();
}

void interrupts_unmask(unsigned line) {
    masks &= (uint16_t) ~(1u << line);
    write_masks();
}

/* Says whether the last line of a controller is asserted in truth: a spurious interrupt is not in service. */
static bool is_spurious(unsigned line) {
    if (line % 8 != 7) {
        return false;
    }
    uint16_t controller = line < 8 ? MASTER : SLAVE;
    outb(controller, READ_SERVICE);
    return (inb(controller) & 0x80) == 0;
}

void interrupts_handle(unsigned line) {
    if (is_spurious(line)) {
        if (line >= 8) {
            outb(MASTER, END_OF_SERVICE);
        }
        return;
    }
    if (line >= 8) {
        outb(SLAVE, END_OF_SERVICE);
    }
    outb(MASTER, END_OF_SERVICE);
    switch (line) {
    case IRQ_TIMER:
        clock_interrupt();
        break;
    case IRQ_KEYBOARD:
        keyboard_interrupt();
        break;
    case IRQ_SERIAL:
        console_serial_interrupt();
        break;
    default:
        break;
    }
}
