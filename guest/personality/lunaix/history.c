/* What the original does and this kernel does not, unless the command line asks for it. Each word brings back a fault
 * of the version that README.md names; programs may then see wrong memory, and the kernel may panic. */
#include "guest/kernel/boot_info.h"
#include "guest/kernel/print.h"
#include "guest/kernel/x86.h"
#include "guest/personality/lunaix/lunaix.h"

#define ORIGINAL_GUARD 0xDEADC0DEu /* has the W bit, which write-protecting takes away */

/* Says on the console that a word was obeyed. */
static bool asked_for(const char* word, const char* effect) {
    if (!boot_flag(word)) {
        return false;
    }
    printk("%s: %s, as in the original\n", word, effect);
    return true;
}

/* Obeys the words of the command line, before the first address space is made. */
void history_init(void) {
    if (asked_for("nowp", "the kernel writes to read-only pages without a fault")) {
        write_cr0(read_cr0() & ~CR0_WRITE_PROTECT);
    }
    if (asked_for("oldguard", "fork takes the mark from guard pages")) {
        guard_pte = ORIGINAL_GUARD;
    }
    if (asked_for("onepageflush", "mounting and unmounting flush one page of the window")) {
        pmap_flush_one_page();
    }
}
