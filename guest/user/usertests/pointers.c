/* Tests of wild pointers: every system call that takes one is given every kind of bad one, and must say EFAULT. */
#include "guest/user/usertests/usertests.h"

int main(int argc, char* argv[]);

static int file_fd;     /* a file with something to read */
static int pipe_fds[2]; /* a pipe with something to read */
static int directory_fd;
static unsigned unmapped; /* an address in the user's part where nothing is */
static unsigned read_only;
static unsigned page_end; /* the first address after a page of ours; nothing follows */

/* A call that the kernel answers by writing to the address, or that makes it read from there. */
struct probe {
    const char* name;
    int (*call)(void* address);
    bool null_allowed;
};

/* The calls with which the kernel writes to the address, each as its probe names it. */
static int call_read_file(void* address) { return read(file_fd, address, 64); }
static int call_read_pipe(void* address) { return read(pipe_fds[0], address, 1); }
static int call_stat(void* address) { return stat("/etc/motd", address); }
static int call_fstat(void* address) { return fstat(file_fd, address); }
static int call_getcwd(void* address) { return getcwd(address, 64); }
static int call_readdir(void* address) { return readdir(directory_fd, address); }
static int call_pipe(void* address) { return pipe(address); }
static int call_old_action(void* address) { return sigaction(SIGUSR1, NULL, address); }
static int call_old_mask(void* address) { return sigprocmask(SIG_BLOCK, NULL, address); }
static int call_meminfo(void* address) { return meminfo(address); }
static int call_procinfo(void* address) { return procinfo(0, address); }

/* Waits for a child with a bad place for its status; whether the child is reaped by that is not our concern here. */
static int call_waitpid(void* address) {
    int pid = fork();

    if (pid == 0)
        exit(0);
    int result = waitpid(pid, address, 0);
    int error = errno;
    waitpid(pid, NULL, 0);
    errno = error;
    return result;
}

/* Returns at once; the thread of the next function. */
static int end_at_once(void* argument) { return (int)argument; }

/* Joins a thread with a bad place for its value. */
static int call_thread_join(void* address) {
    int thread = thread_create(end_at_once, NULL);
    int result = thread_join(thread, address);

    thread_join(thread, NULL);
    errno = -result;
    return result < 0 ? -1 : result;
}

static const struct probe kernel_writes[] = {
    {"read of a file", call_read_file, false},
    {"read of a pipe", call_read_pipe, false},
    {"stat", call_stat, false},
    {"fstat", call_fstat, false},
    {"getcwd", call_getcwd, false},
    {"readdir", call_readdir, false},
    {"pipe", call_pipe, false},
    {"sigaction, old", call_old_action, true},
    {"sigprocmask, old", call_old_mask, true},
    {"meminfo", call_meminfo, false},
    {"procinfo", call_procinfo, false},
    {"waitpid", call_waitpid, true},
    {"thread_join", call_thread_join, true},
};

/* The calls with which the kernel reads from the address. */
static int call_write_pipe(void* address) { return write(pipe_fds[1], address, 16); }
static int call_write_console(void* address) { return write(STDOUT, address, 16); }
static int call_open(void* address) { return open(address, O_RDONLY); }
static int call_stat_path(void* address) {
    struct stat status;
    return stat(address, &status);
}
static int call_chdir(void* address) { return chdir(address); }
static int call_mkdir(void* address) { return mkdir(address); }
static int call_rmdir(void* address) { return rmdir(address); }
static int call_unlink(void* address) { return unlink(address); }
static int call_rename_from(void* address) { return rename(address, "/tmp/x"); }
static int call_rename_to(void* address) { return rename("/tmp/x", address); }
static int call_exec_path(void* address) {
    char* arguments[] = {"x", NULL};
    return exec(address, arguments);
}
static int call_exec_arguments(void* address) { return exec("/bin/true", address); }
static int call_exec_argument(void* address) {
    char* arguments[] = {"true", address, NULL};
    return exec("/bin/true", arguments);
}
static int call_new_action(void* address) { return sigaction(SIGUSR1, address, NULL); }
static int call_new_mask(void* address) { return sigprocmask(SIG_BLOCK, address, NULL); }

/* Maps memory with the order at a bad address. */
static int call_mmap(void* address) {
    int result = system_call(SYS_mmap, (unsigned)address, 0, 0, 0, 0);

    errno = -result;
    return result < 0 && result > -4096 ? -1 : result;
}

static const struct probe kernel_reads[] = {
    {"write to a pipe", call_write_pipe, false},
    {"write to the console", call_write_console, false},
    {"open", call_open, false},
    {"stat, path", call_stat_path, false},
    {"chdir", call_chdir, false},
    {"exec, path", call_exec_path, false},
    {"exec, arguments", call_exec_arguments, true},
    {"exec, one argument", call_exec_argument, true},
    {"sigaction, new", call_new_action, true},
    {"sigprocmask, new", call_new_mask, true},
    {"mmap", call_mmap, false},
    {"mkdir", call_mkdir, false},
    {"rmdir", call_rmdir, false},
    {"unlink", call_unlink, false},
    {"rename, from", call_rename_from, false},
    {"rename, to", call_rename_to, false},
};

/* Makes the files and the bad addresses that the probes use. */
static void prepare(void) {
    file_fd = open_file(LINES_PATH);
    directory_fd = open_file("/bin");
    CHECK_EQUAL(pipe(pipe_fds), 0);
    CHECK_EQUAL(write(pipe_fds[1], "0123456789", 10), 10);
    void* page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    read_only = (unsigned)page;
    CHECK_EQUAL(chdir("/share/deep"), 0); /* a path that is longer than what is left of a page below */
    unsigned memory = (unsigned)map_pages(4, MAP_PRIVATE);
    CHECK_EQUAL(munmap((void*)(memory + PAGE_BYTES), 3 * PAGE_BYTES), 0);
    page_end = memory + PAGE_BYTES;
    unmapped = memory + 2 * PAGE_BYTES;
}

/* Makes one call with one bad address. */
static void probe_address(const struct probe* probe, unsigned address) {
    int result = probe->call((void*)address);

    if (result != -1 || errno != EFAULT)
        FAIL("%s at 0x%08x gave %d, %s", probe->name, address, result, result == -1 ? error_text(errno) : "no error");
}

/* Makes all calls with one bad address. */
static void probe_all(const struct probe* probes, unsigned count, unsigned address) {
    for (unsigned i = 0; i < count; i++)
        if (address != 0 || !probes[i].null_allowed)
            probe_address(&probes[i], address);
}

/* Null and small addresses. */
static void pointer_null(void) {
    prepare();
    probe_all(kernel_writes, ARRAY_LENGTH(kernel_writes), 0);
    probe_all(kernel_writes, ARRAY_LENGTH(kernel_writes), 8);
    probe_all(kernel_reads, ARRAY_LENGTH(kernel_reads), 0);
    probe_all(kernel_reads, ARRAY_LENGTH(kernel_reads), 8);
}

/* Addresses of the kernel: its image, its windows on the page tables, the end of all addresses. */
static void pointer_to_kernel(void) {
    static const unsigned addresses[] = {0xC0000000, 0xC0100000, 0xFF800000, 0xFFC00000, 0xFFFFF000, 0xFFFFFFF8};

    prepare();
    for (unsigned i = 0; i < ARRAY_LENGTH(addresses); i++) {
        probe_all(kernel_writes, ARRAY_LENGTH(kernel_writes), addresses[i]);
        probe_all(kernel_reads, ARRAY_LENGTH(kernel_reads), addresses[i]);
    }
}

/* Addresses of the user's part where nothing is mapped. */
static void pointer_to_nothing(void) {
    prepare();
    probe_all(kernel_writes, ARRAY_LENGTH(kernel_writes), unmapped);
    probe_all(kernel_reads, ARRAY_LENGTH(kernel_reads), unmapped);
    probe_all(kernel_writes, ARRAY_LENGTH(kernel_writes), 0xBFFFFFF8);
    probe_all(kernel_reads, ARRAY_LENGTH(kernel_reads), 0xBFFFFFF8);
}

/* Memory that the program itself may not write, the kernel must not write for it. */
static void pointer_to_read_only(void) {
    prepare();
    unsigned text = (unsigned)main & ~15u;
    unsigned before = peek(text);
    probe_all(kernel_writes, ARRAY_LENGTH(kernel_writes), text);
    probe_all(kernel_writes, ARRAY_LENGTH(kernel_writes), read_only); /* present after this only as a page of zeros */
    CHECK_EQUAL(peek(read_only), 0);
    probe_all(kernel_writes, ARRAY_LENGTH(kernel_writes), read_only);
    CHECK_EQUAL(peek(text), before);
}

/* Structures that begin in a page of ours and end in none. */
static void pointer_over_the_edge(void) {
    prepare();
    for (unsigned i = 2; i < ARRAY_LENGTH(kernel_writes); i++)
        probe_address(&kernel_writes[i], page_end - 2);
    memset((void*)(page_end - 8), 'a', 8); /* a path without an end, a list without an end */
    probe_address(&kernel_reads[2], page_end - 8);
    probe_address(&kernel_reads[3], page_end - 8);
    probe_address(&kernel_reads[4], page_end - 8);
    probe_address(&kernel_reads[5], page_end - 8);
    probe_address(&kernel_reads[7], page_end - 8);
    for (unsigned i = 11; i < ARRAY_LENGTH(kernel_reads); i++)
        probe_address(&kernel_reads[i], page_end - 8);
    char** list = (char**)(page_end - 8);
    list[0] = list[1] = "true";
    probe_address(&kernel_reads[6], page_end - 8);
    probe_address(&kernel_reads[8], page_end - 2);
    probe_address(&kernel_reads[9], page_end - 2);
    probe_address(&kernel_reads[10], page_end - 4);
}

/* A buffer of which the first part is there and the rest is not: EFAULT, or the part that fits and no byte more. */
static void pointer_buffer_over_the_edge(void) {
    prepare();
    int result = read(file_fd, (void*)(page_end - 8), 64);
    CHECK((result == -1 && errno == EFAULT) || (result >= 0 && result <= 8));
    result = read(pipe_fds[0], (void*)(page_end - 4), 10);
    CHECK((result == -1 && errno == EFAULT) || (result >= 0 && result <= 4));
    result = write(pipe_fds[1], (void*)(page_end - 8), 64);
    CHECK((result == -1 && errno == EFAULT) || (result >= 0 && result <= 8));
}

/* Lengths that go round the end of all addresses. */
static void pointer_length_wraps(void) {
    prepare();
    unsigned memory = (unsigned)map_pages(1, MAP_PRIVATE);
    CHECK(write(pipe_fds[1], (void*)memory, 0xFFFFFFFF) == -1 && (errno == EFAULT || errno == EINVAL));
    CHECK_ERROR(read(pipe_fds[0], (void*)0xFFFFFFF0, 0x20), EFAULT);
    CHECK_ERROR(read(file_fd, (void*)0xBFFFFFF0, 0x10000), EFAULT);
    int result = getcwd((void*)memory, 0xFFFFFFFF);
    CHECK(result > 0 || (result == -1 && errno == EFAULT));
}

/* No failed call has eaten a descriptor, a signal mask or a byte of the pipe. */
static void pointer_failures_change_nothing(void) {
    prepare();
    int fd = next_descriptor();
    unsigned mask = 1;
    char bytes[32];

    for (int i = 0; i < 40; i++) {
        CHECK_ERROR(pipe((int*)unmapped), EFAULT);
        CHECK_ERROR(open((char*)unmapped, O_RDONLY), EFAULT);
    }
    CHECK_EQUAL(next_descriptor(), fd);
    CHECK_ERROR(sigprocmask(SIG_SETMASK, (unsigned*)unmapped, NULL), EFAULT);
    CHECK_EQUAL(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
    CHECK_EQUAL(mask, 0);
    CHECK_ERROR(write(pipe_fds[1], (void*)unmapped, 4), EFAULT);
    CHECK_ERROR(read(pipe_fds[0], (void*)unmapped, 4), EFAULT);
    CHECK(read(pipe_fds[0], bytes, sizeof bytes) > 0);
    CHECK(bytes[0] == '0' || bytes[0] == '4');
}

/* Calls for which an address is a place, not a pointer: the kernel's half is refused, and the kernel lives. */
static void pointer_as_place(void) {
    static const unsigned addresses[] = {0, 0xC0000000, 0xFF800000, 0xFFC00000, 0xFFFFF000, 0xBFFFF000};

    for (unsigned i = 0; i < ARRAY_LENGTH(addresses); i++) {
        void* place = (void*)addresses[i];
        CHECK_ERROR(munmap(place, 0x40002000), EINVAL);
        CHECK_EQUAL(minherit(place, 0x40002000, INHERIT_NONE), -1);
        CHECK_EQUAL(brk((void*)(addresses[i] + 8)), -1);
        CHECK(mmap(place, 0x40002000, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
              MAP_FAILED);
        int entry = system_call(SYS_thread_create, addresses[i], 0, 0, 0, 0);
        CHECK(entry == -EINVAL || addresses[i] == 0xBFFFF000);
    }
    CHECK_EQUAL(minherit((void*)unmapped, PAGE_BYTES, INHERIT_NONE), -1);
}

/* Forks with the stack pointer somewhere: a kernel that puts a message on the user's stack says EFAULT where it cannot,
 * any other forks. */
static void fork_on_stack(unsigned stack) {
    int pid = call_on_stack(stack, SYS_fork, 0, 0);

    if (pid == 0)
        exit(0);
    if (pid > 0)
        finish(pid);
    else if (pid != -EFAULT)
        FAIL("fork with the stack at 0x%x: %s", stack, error_text(-pid));
}

/* The stack pointer of a program may point anywhere: calls about memory work or fail, and harm nothing. */
static void pointer_wild_stack(void) {
    char* memory = map_pages(3, MAP_PRIVATE);
    char* guarded = map_pages(2, MAP_PRIVATE | MAP_STACK);
    const unsigned stacks[] = {0,
                               16,
                               0x1000,
                               (unsigned)main + 64,
                               (unsigned)memory + 100,
                               (unsigned)map_pages(1, MAP_EXCLUSIVE) + PAGE_BYTES,
                               (unsigned)map_pages(1, MAP_SHARED) + PAGE_BYTES,
                               (unsigned)guarded,
                               0xC0000000,
                               0xC0000010,
                               0xFF004000,
                               0xFFFFFFF0};

    memset(memory, 9, 3 * PAGE_BYTES);
    for (unsigned i = 0; i < ARRAY_LENGTH(stacks); i++) {
        fork_on_stack(stacks[i]);
        int result = call_on_stack(stacks[i], SYS_munmap, (unsigned)memory + 2 * PAGE_BYTES, PAGE_BYTES);
        CHECK(result == 0 || result == -EFAULT);
        result = call_on_stack(stacks[i], SYS_brk, 0, 0);
        CHECK(result > 0 || result == -EFAULT);
    }
    CHECK_EQUAL(memory[100], 9); /* what lies below a stack pointer is free to be written */
    CHECK_EQUAL(memory[2 * PAGE_BYTES - 1], 9);
}

const struct test pointer_tests[] = {
    {"pointer_wild_stack", pointer_wild_stack},
    {"pointer_null", pointer_null},
    {"pointer_to_kernel", pointer_to_kernel},
    {"pointer_to_nothing", pointer_to_nothing},
    {"pointer_to_read_only", pointer_to_read_only},
    {"pointer_over_the_edge", pointer_over_the_edge},
    {"pointer_buffer_over_the_edge", pointer_buffer_over_the_edge},
    {"pointer_length_wraps", pointer_length_wraps},
    {"pointer_as_place", pointer_as_place},
    {"pointer_failures_change_nothing", pointer_failures_change_nothing},
    {NULL, NULL},
};
