#include "guest/kernel/devices/power.h"
#include "guest/abi/ports.h"
#include "guest/kernel/print.h"
#include "guest/kernel/x86.h"

void power_off(uint8_t status) {
    if (!print_quiet) {
        printk("Power off with status %u.\n", status);
    }
    __asm__ volatile("cli");
    outb(ABI_PORT_EXIT, status);
    for (const char* letter = "Shutdown"; *letter != '\0'; letter++) {
        outb(ABI_PORT_BOCHS_SHUTDOWN, (uint8_t)*letter);
    }
    for (;;) {
        __asm__ volatile("cli\n\thlt");
    }
}
