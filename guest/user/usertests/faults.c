/* Tests of faults: bad addresses, the stack and its guard, instructions that a program may not use. */
#include "guest/user/usertests/usertests.h"

int main(int argc, char* argv[]);

/* Reads the word at the address given. */
static void read_word(void* address) { peek((unsigned)address); }

/* Writes the word at the address given. */
static void write_word(void* address) { poke((unsigned)address, 0x12345678); }

/* Jumps to the address given. */
static void jump_to(void* address) { __asm__ volatile("jmp *%0" : : "r"(address)); }

/* Following a null pointer, or one with a small offset, kills: reading, writing and jumping. */
static void fault_null(void) {
    for (unsigned offset = 0; offset < PAGE_BYTES; offset += 1365) {
        must_die(read_word, (void*)offset, SIGSEGV);
        must_die(write_word, (void*)offset, SIGSEGV);
    }
    must_die(jump_to, NULL, SIGSEGV);
}

/* The kernel's memory can neither be read, nor written, nor run, wherever it lies. */
static void fault_kernel_memory(void) {
    static const unsigned addresses[] = {0xC0000000, 0xC0100000, 0xD0000000, 0xF0000000,
                                         0xFF003000, 0xFF800000, 0xFFC00000, 0xFFFFF000};

    for (unsigned i = 0; i < ARRAY_LENGTH(addresses); i++) {
        must_die(read_word, (void*)addresses[i], SIGSEGV);
        must_die(write_word, (void*)addresses[i], SIGSEGV);
    }
    must_die(jump_to, (void*)0xC0100000, SIGSEGV);
}

/* The program's text and constants can be read but not written, in the child as in the parent. */
static void fault_text_is_read_only(void) {
    unsigned before = peek((unsigned)main);

    must_die(write_word, (void*)main, SIGSEGV);
    must_die(write_word, (void*)"a constant", SIGSEGV);
    CHECK_EQUAL(peek((unsigned)main), before);
}

/* Goes down the stack, using about a page in each call, and comes back. */
static unsigned dig(unsigned depth) {
    volatile char room[4000];

    room[0] = (char)depth;
    room[sizeof room - 1] = (char)depth;
    unsigned sum = depth > 0 ? dig(depth - 1) + 1 : 0;
    CHECK_EQUAL(room[0], (char)depth);
    return sum;
}

/* Goes down the stack for ever. */
static void dig_for_ever(void* unused) {
    (void)unused;
    dig(100000);
}

/* The stack grows by 200 pages, in the parent and in the child that inherits it half grown. */
static void stack_grows(void) {
    CHECK_EQUAL(dig(50), 50);
    int pid = fork();
    CHECK(pid >= 0);
    CHECK_EQUAL(dig(200), 200);
    if (pid == 0)
        exit(0);
    finish(pid);
}

/* A stack that grows too far meets its guard: SIGSEGV, and nothing else is hurt. */
static void stack_overflow_dies(void) {
    must_die(dig_for_ever, NULL, SIGSEGV);
    CHECK_EQUAL(dig(20), 20);
}

/* The kernel writes to a part of the stack that is not there yet. */
static void stack_grows_under_kernel(void) {
    char room[12 * PAGE_BYTES];
    int fd = open_file(LINES_PATH);

    CHECK_EQUAL(read(fd, room, sizeof room), sizeof room);
    check_lines(room, 0, sizeof room);
}

/* Divides by zero. */
static void divide(void* unused) {
    unsigned quotient = 1;

    (void)unused;
    __asm__ volatile("xorl %%edx, %%edx\n\tdivl %1" : "+a"(quotient) : "r"(0) : "edx", "cc");
}

/* Runs an undefined instruction. */
static void undefined(void* unused) {
    (void)unused;
    __asm__ volatile("ud2");
}

/* Runs a breakpoint. */
static void breakpoint(void* unused) {
    (void)unused;
    __asm__ volatile("int3");
}

/* Division by zero, undefined instructions and breakpoints have signals of their own. */
static void fault_exceptions(void) {
    must_die(divide, NULL, SIGFPE);
    must_die(undefined, NULL, SIGILL);
    must_die(breakpoint, NULL, SIGTRAP);
}

/* Runs privileged instruction number `argument`. */
static void be_privileged(void* argument) {
    switch ((unsigned)argument) {
    case 0:
        __asm__ volatile("cli");
        break;
    case 1:
        __asm__ volatile("hlt");
        break;
    case 2:
        __asm__ volatile("inb $0x60, %%al" : : : "eax");
        break;
    case 3:
        __asm__ volatile("outb %%al, $0xF4" : : "a"(7));
        break;
    case 4:
        __asm__ volatile("movl %%eax, %%cr3" : : "a"(0));
        break;
    case 5:
        __asm__ volatile("movl %%cr0, %%eax" : : : "eax");
        break;
    case 6:
        __asm__ volatile("int $0x0E");
        break;
    case 7:
        __asm__ volatile("int $0x20");
        break;
    case 8:
        __asm__ volatile("invlpg 0x400000");
        break;
    case 9:
        __asm__ volatile("movw %%ax, %%ds" : : "a"(0x10));
        break;
    case 10:
        __asm__ volatile("ljmp $0x08, $0xC0100000");
        break;
    case 11:
        __asm__ volatile("outl %%eax, %%dx" : : "a"(0), "d"(0x5F0));
        break;
    }
}

/* What only the kernel may do kills a program, and does nothing else. */
static void fault_privileged(void) {
    for (unsigned number = 0; number <= 10; number++)
        must_die(be_privileged, (void*)number, SIGSEGV);
}

/* Uses the floating-point unit. */
static void use_fpu(void* unused) {
    (void)unused;
    __asm__ volatile("fninit");
}

/* The kernel saves no state of a floating-point unit, so no program may use one: another one would find its numbers. */
static void fault_no_fpu(void) { must_die(use_fpu, NULL, SIGILL); }

/* Sets the flags that a program must not set; popf ignores them without a fault. */
static void fault_flags_are_kept(void) {
    unsigned flags;

    __asm__ volatile("pushfl\n\torl $0x3000, (%%esp)\n\tandl $~0x200, (%%esp)\n\tpopfl\n\tpushfl\n\tpopl %0"
                     : "=r"(flags)
                     :
                     : "cc");
    CHECK_EQUAL(flags & 0x3000, 0);
    CHECK_EQUAL(flags & 0x200, 0x200);
}

/* Enters the kernel with the direction flag set; the flag survives, and the kernel is not led astray. */
static void fault_direction_flag(void) {
    volatile unsigned* memory = map_pages(4, MAP_PRIVATE);
    unsigned flags;

    for (unsigned i = 0; i < 4; i++)
        memory[i * 1024] = i;
    int pid = fork();
    CHECK(pid >= 0);
    __asm__ volatile("std\n\t"
                     "movl $99, 4096(%1)\n\t" /* the kernel copies this page with the flag set */
                     "pushfl\n\tpopl %0\n\tcld"
                     : "=&r"(flags)
                     : "r"(memory)
                     : "memory", "cc");
    CHECK_EQUAL(flags & 0x400, 0x400);
    CHECK_EQUAL(memory[0], 0);
    CHECK_EQUAL(memory[1024], 99);
    CHECK_EQUAL(memory[1025], 0);
    CHECK_EQUAL(memory[2048], 2);
    if (pid == 0)
        exit(0);
    finish(pid);
}

/* Numbers that no system call has give ENOSYS. */
static void fault_unknown_call(void) {
    static const int numbers[] = {0, 100, 0xFF, 0x7FFFFFFF, -1, (int)0x80000000};

    for (unsigned i = 0; i < ARRAY_LENGTH(numbers); i++)
        CHECK_EQUAL(system_call(numbers[i], 0, 0, 0, 0, 0), -ENOSYS);
}

/* What belongs to a personality's servers is out of reach for programs: the servers' calls, the servers themselves, and
 * the ports by which they state tracepoints. Where there are no servers, there is nothing to be reached. */
static void fault_servers(void) {
    unsigned message[16] = {0};

    for (int number = SYS_PERSONALITY; number < SYS_PERSONALITY + 4; number++) {
        for (unsigned argument = 0; argument < 5; argument++) {
            int result = system_call(number, argument, argument, (unsigned)message, 0, 0);
            CHECK(result == -EPERM || result == -ENOSYS);
        }
    }
    for (int pid = 30001; pid <= 30020; pid++) {
        CHECK_ERROR(kill(pid, SIGKILL), ESRCH);
        CHECK_ERROR(waitpid(pid, NULL, 0), ECHILD);
    }
    must_die(be_privileged, (void*)11, SIGSEGV);
    CHECK_EQUAL(message[0], 0);
}

const struct test fault_tests[] = {
    {"fault_null", fault_null},
    {"fault_kernel_memory", fault_kernel_memory},
    {"fault_text_is_read_only", fault_text_is_read_only},
    {"stack_grows", stack_grows},
    {"stack_overflow_dies", stack_overflow_dies},
    {"stack_grows_under_kernel", stack_grows_under_kernel},
    {"fault_exceptions", fault_exceptions},
    {"fault_privileged", fault_privileged},
    {"fault_no_fpu", fault_no_fpu},
    {"fault_flags_are_kept", fault_flags_are_kept},
    {"fault_direction_flag", fault_direction_flag},
    {"fault_unknown_call", fault_unknown_call},
    {"fault_servers", fault_servers},
    {NULL, NULL},
};
