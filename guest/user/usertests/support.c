/* Owns: what many tests need: processes, gates between them, memory, the contents of the big file. */
#include "guest/user/usertests/usertests.h"

/* Forks a child that calls the function and exits with 0; returns its pid. */
int start(void (*function)(void* argument), void* argument) {
    int pid = fork();

    if (pid == 0) {
        function(argument);
        exit(0);
    }
    if (pid < 0)
        FAIL("fork: %s", error_text(errno));
    return pid;
}

/* Waits for one child and returns its wait status. */
int wait_status(int pid) {
    int status = -1;

    CHECK_EQUAL(waitpid(pid, &status, 0), pid);
    return status;
}

/* Waits for one child, which must exit with 0. */
void finish(int pid) {
    int status = wait_status(pid);

    if (status != 0)
        FAIL("a child ended with status 0x%x", (unsigned)status);
}

/* Calls the function in a child; returns the child's wait status. */
int run_apart(void (*function)(void* argument), void* argument) { return wait_status(start(function, argument)); }

/* Calls the function in a child, which must be killed by the signal. */
void must_die(void (*function)(void* argument), void* argument, int signal) {
    int status = run_apart(function, argument);

    if (status != signal)
        FAIL("a child ended with status 0x%x, not killed by SIG%s", (unsigned)status, signal_name(signal));
}

/* Looks for a process in the kernel's list; returns false if it is not there. */
bool find_process(int pid, struct procinfo* info) {
    for (int index = 0; procinfo(index, info) == 1; index++)
        if (info->pid == pid)
            return true;
    return false;
}

/* Waits until a process has come to a state; the runner's time limit ends a wait in vain. */
void await_state(int pid, unsigned state) {
    struct procinfo info;

    while (!find_process(pid, &info) || info.state != state)
        sleep_ms(1);
}

/* Makes a gate, closed. */
struct gate make_gate(void) {
    struct gate gate;

    CHECK_EQUAL(pipe(gate.fds), 0);
    return gate;
}

/* Lets one waiting process through, now or later. */
void open_gate(struct gate gate) { CHECK_EQUAL(write(gate.fds[1], "", 1), 1); }

/* Waits until the gate is opened once more. */
void wait_gate(struct gate gate) {
    char byte;

    CHECK_EQUAL(read(gate.fds[0], &byte, 1), 1);
}

/* Closes both descriptors of a gate. */
void drop_gate(struct gate gate) {
    close(gate.fds[0]);
    close(gate.fds[1]);
}

/* Maps anonymous memory that can be read and written. */
void* map_pages(unsigned pages, int flags) {
    void* memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        FAIL("mmap of %u pages: %s", pages, error_text(errno));
    return memory;
}

/* Maps a page that stays the same for all descendants, to leave messages in. */
void* map_board(void) { return map_pages(1, MAP_SHARED); }

/* Returns the number of free frames. */
unsigned free_frames(void) {
    struct meminfo memory;

    if (meminfo(&memory) < 0)
        FAIL("meminfo: %s", error_text(errno));
    return memory.frames_free;
}

/* Waits a little for frames to come back, for init reaps orphans in its own time. */
void await_frames(unsigned frames) {
    for (int i = 0; i < 100 && free_frames() < frames; i++)
        sleep_ms(2);
}

/* Opens a file for reading. */
int open_file(const char* path) {
    int fd = open(path, O_RDONLY);

    if (fd < 0)
        FAIL("%s: %s", path, error_text(errno));
    return fd;
}

/* Returns the descriptor that the next open will give: when it has not grown, no descriptor was lost. */
int next_descriptor(void) {
    int fd = dup(0);

    close(fd);
    return fd;
}

/* Returns the byte of /share/lines.txt at an offset, from the rule by which the file is made. */
char lines_byte(unsigned offset) {
    static const char pattern[] = "line 00000 text\n";
    static const unsigned powers[] = {10000, 1000, 100, 10, 1};
    unsigned column = offset % 16;

    if (column < 5 || column > 9)
        return pattern[column];
    return (char)('0' + offset / 16 / powers[column - 5] % 10);
}

/* Checks one byte of /share/lines.txt. */
static void check_line_byte(char byte, unsigned offset) {
    if (byte != lines_byte(offset))
        FAIL("byte %u of the file is 0x%02x, not 0x%02x", offset, (unsigned char)byte,
             (unsigned char)lines_byte(offset));
}

/* Checks bytes against /share/lines.txt at an offset: every 13th, and the last. */
void check_lines(const char* bytes, unsigned offset, unsigned count) {
    for (unsigned i = 0; i < count; i += 13)
        check_line_byte(bytes[i], offset + i);
    if (count > 0)
        check_line_byte(bytes[count - 1], offset + count - 1);
}

unsigned peek(unsigned address) {
    unsigned value;

    __asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(address) : "memory");
    return value;
}

void poke(unsigned address, unsigned value) {
    __asm__ volatile("movl %1, (%0)" : : "r"(address), "r"(value) : "memory");
}

int call_on_stack(unsigned stack, int number, unsigned argument, unsigned length) {
    int result;

    __asm__ volatile("movl %%esp, %%esi\n\t"
                     "movl %4, %%esp\n\t"
                     "int $0x80\n\t"
                     "movl %%esi, %%esp"
                     : "=a"(result)
                     : "0"(number), "b"(argument), "c"(length), "D"(stack)
                     : "esi", "memory", "cc");
    return result;
}
