/* The kernel's table of contents: what is set up, in which order, and how the first program starts. */
#include "guest/abi/trace.h"
#include "guest/kernel/boot_info.h"
#include "guest/kernel/crash.h"
#include "guest/kernel/devices/clock.h"
#include "guest/kernel/devices/console.h"
#include "guest/kernel/devices/interrupts.h"
#include "guest/kernel/devices/keyboard.h"
#include "guest/kernel/files/file.h"
#include "guest/kernel/files/terminal.h"
#include "guest/kernel/memory/fail.h"
#include "guest/kernel/memory/frames.h"
#include "guest/kernel/memory/pmap.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/personality.h"
#include "guest/kernel/print.h"
#include "guest/kernel/process/exec.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/process/schedule.h"
#include "guest/kernel/string.h"
#include "guest/kernel/traps/trap.h"
#include "guest/kernel/x86.h"

#define INIT_STRING_BYTES 600

/* Opens /dev/console as descriptors 0, 1 and 2 of the running process. */
static void open_console(void) {
    struct file* console;
    if (file_open("/dev/console", O_RDWR, &console) < 0) {
        panic("no memory to open the console");
    }
    descriptor_add(console);
    descriptor_dup(0);
    descriptor_dup(0);
}

/* Finds the first program: init=PATH, or the usual places. Panics if there is none. */
static void find_init(char* path, size_t capacity) {
    static const char* const places[] = {"/bin/init", "/sbin/init", "/init"};
    struct node* node;
    if (boot_option("init", path, capacity)) {
        return;
    }
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (node_find(places[i], &node) == 0) {
            string_copy(path, places[i], capacity);
            return;
        }
    }
    panic("no init program in the initrd (looked for /bin/init, /sbin/init, /init)");
}

/* The first thing that process 1 does, in the kernel, on its own kernel stack: it becomes the first user program.
 * The command line's run=COMMAND gives init its one argument, COMMAND. Panics if the program cannot start. */
static void start_init(void) {
    char path[PATH_BYTES], strings[PATH_BYTES + INIT_STRING_BYTES];
    crash_if_asked();
    find_init(path, sizeof(path));
    open_console();
    string_copy(strings, path, PATH_BYTES);
    size_t bytes = strlen(strings) + 1;
    unsigned count = 1;
    if (boot_option_line("run", strings + bytes, sizeof(strings) - bytes)) {
        bytes += strlen(strings + bytes) + 1;
        count = 2;
    }
    int error = exec_program(path, strings, bytes, count, current_thread->hstate);
    if (error < 0) {
        panic("cannot start %s (error %d)", path, -error);
    }
    fail_order(boot_option_number("failalloc", 0));
    trace(TP_BOOT_DONE, (uint32_t)current_process->pid, 0, current_process->page_directory);
    __asm__ volatile("movl %0, %%esp\n\tjmp trap_return" : : "r"(current_thread->hstate) : "memory");
    __builtin_unreachable();
}

/* Makes process 1 with one thread that begins in start_init(). Panics if out of memory. */
static void create_init(void) {
    struct process* process = alloc_process();
    if (process == NULL) {
        panic("too little memory for the first process");
    }
    process->pid = INIT_PID;
    if (vm_create_first(process) < 0) {
        panic("too little memory for the memory of the first process");
    }
    struct thread* thread = alloc_thread(process);
    if (thread == NULL || !thread_map_kstack(thread)) {
        panic("too little memory for the first thread");
    }
    string_copy(process->name, "init", sizeof(process->name));
    process->working_directory = node_root();
    node_share(process->working_directory);
    process->descriptors = descriptors_create();
    if (process->descriptors == NULL) {
        panic("too little memory for the descriptors of the first process");
    }
    thread->hstate = thread_first_frame(thread);
    commit_process(process);
    commit_thread(thread);
    thread->saved_esp = (ptr_t)thread->hstate;
    thread->saved_eip = (ptr_t)start_init;
}

/* Sets everything up and becomes the idle thread; boot.S calls it with what the loader left in the registers. */
void kernel_main(uint32_t magic, phys_t information);
void kernel_main(uint32_t magic, phys_t information) {
    trace_init();
    console_init();
    boot_info_init(magic, information);
    console_configure();
    print_quiet = boot_flag("quiet");
    if (cpu_is_i386()) {
        panic("this kernel needs an i486 or later: it flushes by INVLPG and counts on CR0.WP");
    }
    pmap_init();
    frames_init();
    descriptors_init();
    interrupts_init();
    processes_init();
    schedule_init();
    files_init();
    personality_init();
    terminal_init();
    keyboard_init();
    interrupts_unmask(IRQ_KEYBOARD);
    interrupts_unmask(IRQ_SERIAL);
    clock_init();
    if (!print_quiet) {
        struct meminfo memory;
        frames_count(&memory);
        printk("Forkscope guest kernel, %s personality: %u KB of memory free\n", personality_name,
               memory.frames_free * (memory.page_bytes / 1024));
    }
    create_init();
    schedule_idle();
}
