/* failsweep: lets every allocation of the kernel fail, one by one: failsweep [NAME...]; failsweep -l lists.
 * For each call, k = 1, 2, 3 ... until the call succeeds without the k-th allocation having been asked for. Each
 * attempt is a process of its own: it prepares, orders the failure, makes the call, and says how that ended. Afterwards
 * the error must be right, the processes and frames as many as before, and the same call must succeed. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"
#include "guest/user/lib/thread.h"

#define MOST_ALLOCATIONS 3000
#define REGIONS 24
#define PROGRAM "/bin/failsweep"

/* How an attempt's process ends. */
#define UNTOUCHED 0 /* the call succeeded, and the order had not fired */
#define UNHARMED 1  /* the order fired, and yet the call succeeded: it could do without, or the child died of it */
#define REFUSED 2   /* the call failed as it should */
#define ABSENT 3    /* this kernel has no such call */
#define WRONG 4     /* anything else; the attempt has printed what */

/* One call to be swept: what must be there before, the call (0 or more, or -errno), and what it leaves behind. */
struct sweep {
    const char* name;
    void (*prepare)(void);
    int (*call)(void);
    void (*undo)(int result);
};

static unsigned char* memory;   /* what prepare() mapped for the call */
static int file;                /* a descriptor to read from */
static unsigned child_frames;   /* free frames when the call began */
static const struct sweep* now; /* the call being swept */
static bool was_refused;        /* the call has failed, and this is the second try */

/* Prints what is wrong and ends the attempt. */
static __attribute__((noreturn)) void wrong(const char* what, int detail) {
    failalloc(0);
    printf("failsweep: %s: WRONG: %s (%d)\n", now->name, what, detail);
    exit(WRONG);
}

/* Returns the number of free frames. */
static unsigned free_frames(void) {
    struct meminfo info;

    return meminfo(&info) == 0 ? info.frames_free : 0;
}

/* Returns the number of processes. */
static int count_processes(void) {
    struct procinfo info;
    int count = 0;

    while (procinfo(count, &info) == 1)
        count++;
    return count;
}

/* Maps and touches private memory. */
static unsigned char* map_touched(unsigned pages, int flags) {
    unsigned char* start = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

    if (start == MAP_FAILED)
        wrong("mmap", errno);
    for (unsigned i = 0; i < pages; i++)
        start[i * PAGE_BYTES] = (unsigned char)(i + 1);
    return start;
}

/* What the second thread does: nothing, until the process ends. */
static int idle_thread(void* unused) {
    (void)unused;
    while (system_call(SYS_sleep, 1000000, 0, 0, 0, 0) <= 0)
        continue;
    return 0;
}

/* Gives the process much to inherit: regions of each kind, some far apart, descriptors, a second thread. */
static void prepare_fork(void) {
    int ends[2];

    for (unsigned i = 0; i < REGIONS; i++) {
        int kinds[] = {MAP_PRIVATE, MAP_SHARED, MAP_EXCLUSIVE, MAP_PRIVATE};
        map_touched(1 + i % 3, kinds[i % 4]);
    }
    unsigned char* far =
        mmap((void*)0x90000000, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (far == MAP_FAILED || pipe(ends) < 0 || open("/etc/motd", O_RDONLY) < 0 || dup(1) < 0)
        wrong("preparation", errno);
    *far = 1;
    if (thread_create(idle_thread, NULL) < 0)
        wrong("thread_create", 0);
    yield();
}

/* Turns the library's -1 into the error. */
static int result_of(int result) { return result < 0 ? -errno : result; }

/* The calls. A child ends at once and allocates as little as can be. */
static int call_fork(void) {
    int pid = system_call(SYS_fork, 0, 0, 0, 0, 0);

    if (pid == 0)
        exit(0);
    return pid;
}

/* rfork with a copy of the descriptors. */
static int call_rfork(void) {
    int pid = system_call(SYS_rfork, RFPROC | RFFDG, 0, 0, 0, 0);

    if (pid == 0)
        exit(0);
    return pid;
}

/* rfork with common memory. The child runs on its parent's stack, so that it may not even return from a function. */
static int call_rfork_shared(void) {
    int result;

    __asm__ volatile("int $0x80\n\ttestl %%eax, %%eax\n\tjnz 1f\n\tmovl %3, %%eax\n\txorl %%ebx, %%ebx\n\tint $0x80\n1:"
                     : "=a"(result)
                     : "0"(SYS_rfork), "b"(RFPROC | RFFDG | RFMEM), "i"(SYS_exit)
                     : "memory", "cc");
    return result;
}

/* Waits for the child that a fork has made. It does not matter whether the order has hit the child. */
static void undo_fork(int pid) {
    if (pid > 0 && waitpid(pid, NULL, 0) != pid)
        wrong("waitpid", errno);
}

/* Becomes another program, which ends the attempt: see main(). */
static int call_exec(void) {
    char* words[] = {"failsweep", was_refused ? "--ran-after-refusal" : "--ran", NULL};

    return result_of(exec(PROGRAM, words));
}

/* Undoes a mapping. */
static void undo_map(int result) {
    if (result > -4096 && result < 0)
        return;
    if (munmap((void*)result, 6 * PAGE_BYTES) < 0)
        wrong("munmap", errno);
}

/* Maps anonymous memory; the result is an address, which may well look negative. */
static int map_now(int flags) {
    struct mmap_args arguments = {0x98000000, 6 * PAGE_BYTES, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0};

    return system_call(SYS_mmap, (unsigned)&arguments, 0, 0, 0, 0);
}

static int call_mmap_private(void) { return map_now(MAP_PRIVATE); }
static int call_mmap_shared(void) { return map_now(MAP_SHARED); }
static int call_mmap_stack(void) { return map_now(MAP_PRIVATE | MAP_STACK); }

/* Maps pages whose middle is to be unmapped, or whose inheritance is to change. */
static void prepare_pages(void) { memory = map_touched(6, MAP_PRIVATE); }

/* Maps untouched pages, and opens a file to be read into them. */
static void prepare_untouched(void) {
    file = open("/share/lines.txt", O_RDONLY);
    memory = mmap((void*)0x98000000, 6 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        wrong("mmap", errno);
}

/* Opens the file, maps pages and shares them with a child that lives as long as the attempt. */
static void prepare_shared(void) {
    prepare_pages();
    file = open("/share/lines.txt", O_RDONLY);
    int parent = getpid();
    int pid = fork();
    if (pid == 0) {
        while (getppid() == parent)
            sleep_ms(1);
        exit(0);
    }
    if (pid < 0)
        wrong("fork", errno);
    *(volatile int*)(memory + 4 * PAGE_BYTES) = pid;
}

static int call_munmap(void) { return result_of(munmap(memory + 2 * PAGE_BYTES, PAGE_BYTES)); }
static int call_minherit(void) { return result_of(minherit(memory + PAGE_BYTES, 3 * PAGE_BYTES, INHERIT_SHARE)); }

/* Lets the heap grow. */
static int call_brk(void) {
    unsigned end = (unsigned)system_call(SYS_brk, 0, 0, 0, 0, 0);

    return result_of(brk((void*)(end + 5 * PAGE_BYTES)));
}

/* The bare system call: the library's would take memory of its own first. */
static int call_thread_create(void) {
    return system_call(SYS_thread_create, (unsigned)idle_thread, 0, THREAD_STACK_BYTES, 0, 0);
}

/* Makes a pipe; its descriptors go into memory that is there. */
static int call_pipe(void) {
    static int ends[2];

    return system_call(SYS_pipe, (unsigned)ends, 0, 0, 0, 0);
}

static int call_open(void) { return result_of(open("/etc/motd", O_RDONLY)); }

#define SWEPT_PATH "/tmp/failsweep"
#define SWEPT_NAME "/tmp/failsweep with a name of more than thirty-two bytes"

/* Makes a file in RAM. */
static int call_create(void) { return result_of(open(SWEPT_PATH, O_RDWR | O_CREAT)); }
static void undo_create(int result) {
    if (result >= 0 && (close(result) < 0 || unlink(SWEPT_PATH) < 0))
        wrong("unlink", errno);
}

/* Makes a file in RAM that is to be written or renamed. */
static void prepare_file(void) {
    prepare_pages();
    file = open(SWEPT_PATH, O_RDWR | O_CREAT);
    if (file < 0)
        wrong("open", errno);
}

/* Writes pages that the file does not have yet. What a write that runs out of memory has done stays done. */
static int call_write_file(void) {
    lseek(file, 9 * PAGE_BYTES, SEEK_SET);
    int result = system_call(SYS_write, (unsigned)file, (unsigned)memory, 6 * PAGE_BYTES, 0, 0);
    return result == 6 * (int)PAGE_BYTES ? 0 : result >= 0 ? -ENOMEM : result;
}
static void undo_write_file(int result) { undo_create(result < 0 ? result : file); }

static int call_rename(void) { return result_of(rename(SWEPT_PATH, SWEPT_NAME)); }
static void undo_rename(int result) {
    if (result == 0 && unlink(SWEPT_NAME) < 0)
        wrong("unlink", errno);
}

static int call_mkdir(void) { return result_of(mkdir(SWEPT_PATH)); }
static void undo_mkdir(int result) {
    if (result == 0 && rmdir(SWEPT_PATH) < 0)
        wrong("rmdir", errno);
}

/* Touches pages for the first time, in the range of a table that does not exist yet. */
static int call_touch(void) {
    for (unsigned i = 0; i < 6; i++)
        *(volatile unsigned char*)(memory + i * PAGE_BYTES) = 1;
    return 0;
}

/* Writes to the pages that a child shares. */
static int call_write(void) {
    for (unsigned i = 0; i < 4; i++)
        *(volatile unsigned char*)(memory + i * PAGE_BYTES) = 0xEE;
    return 0;
}

/* Lets the kernel write to the prepared pages: not there yet, or shared with a child. */
static int call_read(void) {
    int result = system_call(SYS_read, (unsigned)file, (unsigned)memory, 4 * PAGE_BYTES, 0, 0);

    lseek(file, 0, SEEK_SET);
    return result == 4 * (int)PAGE_BYTES ? 0 : result >= 0 ? -EFAULT : result;
}

/* Ends the child that shares the pages. */
static void undo_shared(int result) {
    int pid = *(volatile int*)(memory + 4 * PAGE_BYTES);

    (void)result;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static const struct sweep sweeps[] = {
    {"fork", prepare_fork, call_fork, undo_fork},
    {"rfork", prepare_fork, call_rfork, undo_fork},
    {"rfork_shared", prepare_pages, call_rfork_shared, undo_fork},
    {"exec", prepare_fork, call_exec, NULL},
    {"mmap_private", NULL, call_mmap_private, undo_map},
    {"mmap_shared", NULL, call_mmap_shared, undo_map},
    {"mmap_stack", NULL, call_mmap_stack, undo_map},
    {"munmap", prepare_pages, call_munmap, NULL},
    {"minherit", prepare_pages, call_minherit, NULL},
    {"brk", NULL, call_brk, NULL},
    {"thread_create", NULL, call_thread_create, NULL},
    {"pipe", NULL, call_pipe, NULL},
    {"open", NULL, call_open, NULL},
    {"create", NULL, call_create, undo_create},
    {"write_file", prepare_file, call_write_file, undo_write_file},
    {"rename", prepare_file, call_rename, undo_rename},
    {"mkdir", NULL, call_mkdir, undo_mkdir},
    {"first_touch", prepare_untouched, call_touch, NULL},
    {"copy_on_write", prepare_shared, call_write, undo_shared},
    {"read_into_untouched", prepare_untouched, call_read, NULL},
    {"read_into_shared", prepare_shared, call_read, undo_shared},
};
#define SWEEPS (sizeof sweeps / sizeof sweeps[0])

/* Checks a refusal: the error, the frames if none may be kept, and that the same call works afterwards. */
static void check_refusal(int result) {
    bool copies = now->call == call_read;

    if (result != -ENOMEM && result != -EAGAIN && !(copies && result == -EFAULT))
        wrong("error", -result);
    if (now->undo == undo_fork && free_frames() != child_frames)
        wrong("frames kept by a fork that failed", (int)(child_frames - free_frames()));
    was_refused = true;
    int again = now->call();
    if (again < 0 && again > -4096)
        wrong("the call fails without order", -again);
    if (now->undo != NULL)
        now->undo(again);
}

/* Is one attempt. Never returns. */
static void attempt(unsigned k) {
    if (now->prepare != NULL)
        now->prepare();
    child_frames = free_frames(); /* also makes the pages present that are written below */
    failalloc(k);
    int result = now->call();
    if (result == -ENOSYS)
        exit(ABSENT);
    bool struck = failalloc(0) == 0;
    bool refused = result < 0 && result > -4096;
    if (refused && !struck)
        wrong("failed without order", -result);
    if (refused)
        check_refusal(result);
    else if (now->undo != NULL)
        now->undo(result);
    exit(refused ? REFUSED : struck ? UNHARMED : UNTOUCHED);
}

/* Runs the attempt with the k-th allocation failing; returns how it ended, or WRONG. 0 as k orders nothing. */
static int run_attempt(unsigned k, unsigned* killed) {
    int processes = count_processes();
    int status = -1;
    int pid = fork();

    if (pid == 0)
        attempt(k);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        wrong("cannot run the attempt", errno);
    bool struck = failalloc(0) == 0;
    for (int i = 0; i < 1000 && count_processes() > processes; i++)
        sleep_ms(1);
    if (count_processes() != processes)
        wrong("processes left behind", count_processes() - processes);
    if (status_exited(status))
        return status_code(status);
    if (status_signal(status) != SIGSEGV || !struck)
        wrong("the attempt was killed by signal", status_signal(status));
    ++*killed;
    return UNHARMED;
}

/* Sweeps one call; returns whether all was well. */
static bool run_sweep(void) {
    unsigned k = 0, killed = 0, refused = 0, leaks = 0;

    int first = run_attempt(MOST_ALLOCATIONS, &killed);
    if (first == ABSENT)
        printf("failsweep: %s: this kernel has none\n", now->name);
    if (first != UNTOUCHED)
        return first == ABSENT;
    unsigned frames = free_frames();
    for (;;) {
        k++;
        int ending = run_attempt(k, &killed);
        refused += ending == REFUSED;
        if (ending == WRONG || k > MOST_ALLOCATIONS) {
            printf("failsweep: %s: with allocation %u failing\n", now->name, k);
            return false;
        }
        leaks += free_frames() < frames;
        frames = free_frames() < frames ? free_frames() : frames;
        if (ending == UNTOUCHED)
            break;
    }
    printf("failsweep: %s: %u allocations failed one by one, %u leaks (%u refused, %u killed, %u unaffected)\n",
           now->name, k - 1, leaks, refused, killed, k - 1 - refused - killed);
    return leaks == 0;
}

/* Says whether a call is to be swept: it is named, or none is. */
static bool is_wanted(const char* name, char** words) {
    if (*words == NULL)
        return true;
    while (*words != NULL && strcmp(name, *words) != 0)
        words++;
    return *words != NULL;
}

/* Sweeps the calls that are named, or all. */
int main(int argc, char* argv[]) {
    unsigned swept = 0, bad = 0;

    if (argc > 1 && strcmp(argv[1], "--ran") == 0) /* what call_exec() has become */
        return failalloc(0) == 0 ? UNHARMED : UNTOUCHED;
    if (argc > 1 && strcmp(argv[1], "--ran-after-refusal") == 0)
        return REFUSED;
    for (unsigned i = 0; i < SWEEPS; i++) {
        now = &sweeps[i];
        if (argc > 1 && strcmp(argv[1], "-l") == 0)
            puts(now->name);
        else if (is_wanted(now->name, argv + 1)) {
            swept++;
            bad += !run_sweep();
        }
    }
    printf("failsweep: %u calls swept, %u bad\n", swept, bad);
    return bad > 0;
}
