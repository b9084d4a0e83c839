/* Owns: what the tests of the guest are made of. A test is a function that returns if all is well.
 * Callers: the test files, one per topic; main.c runs each test in a process of its own.
 * Promises: fail() and the CHECK macros work in every process and thread that a test starts: they leave the reason in a
 * page shared with the runner and end the process with status 1, which the test then notices. */
#ifndef FORKSCOPE_USER_USERTESTS_H
#define FORKSCOPE_USER_USERTESTS_H

#include <stdbool.h>
#include <stddef.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"
#include "guest/user/lib/thread.h"

/* A named test; a table of them ends with an empty one. */
struct test {
    const char* name;
    void (*run)(void);
};
extern const struct test fork_tests[], cow_tests[], order_tests[], map_tests[], file_map_tests[], limit_tests[],
    fault_tests[], pointer_tests[], pipe_tests[], file_tests[], directory_tests[], process_tests[], exec_tests[],
    signal_tests[], signal_fork_tests[], thread_tests[], race_tests[], model_tests[], rfork_tests[], ram_file_tests[];

void fail(const char* file, int line, const char* format, ...) __attribute__((noreturn, format(printf, 3, 4)));
void skip(const char* why) __attribute__((noreturn));
void check_equal(const char* file, int line, const char* what, int actual, int expected);
void check_error(const char* file, int line, const char* what, int result, int error);

#define FAIL(...) fail(__FILE_NAME__, __LINE__, __VA_ARGS__)
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            FAIL("not true: %s", #condition);                                                                          \
    } while (0)
#define CHECK_EQUAL(actual, expected) check_equal(__FILE_NAME__, __LINE__, #actual, (int)(actual), (int)(expected))
/* The call must return -1 and leave this errno. */
#define CHECK_ERROR(call, error) check_error(__FILE_NAME__, __LINE__, #call, (int)(call), error)

/* Processes: what start() begins, finish() ends. The function's return is exit(0). */

int start(void (*function)(void* argument), void* argument);
int wait_status(int pid);
void finish(int pid);
int run_apart(void (*function)(void* argument), void* argument);
void must_die(void (*function)(void* argument), void* argument, int signal);
bool find_process(int pid, struct procinfo* info);
void await_state(int pid, unsigned state);

/* A gate lets processes wait for each other: wait_gate returns once per open_gate. It survives fork. */
struct gate {
    int fds[2];
};
struct gate make_gate(void);
void open_gate(struct gate gate);
void wait_gate(struct gate gate);
void drop_gate(struct gate gate);

/* Memory. */

void* map_pages(unsigned pages, int flags);
void* map_board(void);
unsigned free_frames(void);
void await_frames(unsigned frames);
int open_file(const char* path);
int next_descriptor(void);

/* The exact bytes of /share/lines.txt at an offset: 4096 lines "line 00000 text\n". */
#define LINES_PATH "/share/lines.txt"
#define LINES_BYTES 65536
char lines_byte(unsigned offset);
void check_lines(const char* bytes, unsigned offset, unsigned count);

/* Reads a word from any address; the compiler does not know what it does. */
unsigned peek(unsigned address);
/* Writes a word to any address; the compiler does not know what it does. */
void poke(unsigned address, unsigned value);

/* Makes a system call with the stack pointer anywhere; returns the kernel's result. A child of fork returns too. */
int call_on_stack(unsigned stack, int number, unsigned argument, unsigned length);

/* The first argument --helper makes usertests one of the small programs that the exec tests start. */
int run_helper(int argc, char* argv[]);

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#endif
