/* Tests of exec. usertests starts itself with --helper NAME as the program that looks at what it was given. */
#include "guest/user/usertests/usertests.h"

/* Runs usertests --helper with up to two more words, in a child; returns how it ended. */
static int run_helper_apart(const char* name, const char* first, const char* second) {
    char* arguments[] = {"usertests", "--helper", (char*)name, (char*)first, (char*)second, NULL};
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        exec("/bin/usertests", arguments);
        FAIL("exec: %s", error_text(errno));
    }
    return wait_status(pid);
}

/* Helper "words": checks words of which one is empty, one has spaces and one is long; exits with their number. */
static int helper_words(int argc, char* argv[]) {
    if (argc != 6 || strcmp(argv[0], "usertests") != 0 || strcmp(argv[3], "") != 0 || strcmp(argv[4], "two words") != 0)
        return 99;
    if (strlen(argv[5]) != 700 || argv[6] != NULL)
        return 98;
    for (int i = 0; i < 700; i++)
        if (argv[5][i] != 'a' + i % 26)
            return 97;
    return argc;
}

/* Helper "count": exits with the number of words, cut to 8 bits. */
static int helper_count(int argc) { return argc & 0xFF; }

/* Helper "read FD": exits with the next byte of the descriptor. */
static int helper_read(const char* fd_text) {
    unsigned char byte;
    int fd = 0;

    return parse_number(fd_text, &fd) && read(fd, &byte, 1) == 1 ? byte : 255;
}

/* Helper "action SIGNAL": exits with 1 if the signal is ignored, 0 if it has its default, 2 if it has a handler. */
static int helper_action(const char* signal_text) {
    struct sigaction action;
    int signal = 0;

    if (!parse_number(signal_text, &signal) || sigaction(signal, NULL, &action) < 0)
        return 99;
    return action.handler == SIG_IGN ? 1 : action.handler == SIG_DFL ? 0 : 2;
}

/* Helper "parent PID PARENT": exits with 0 if both are still what they were before exec. */
static int helper_parent(const char* pid_text, const char* parent_text) {
    int pid = 0;
    int parent = 0;

    parse_number(pid_text, &pid);
    parse_number(parent_text, &parent);
    return pid != getpid() || parent != getppid();
}

static unsigned untouched[2000];

/* Helper "memory ADDRESS": exits with 0 if static data is fresh, the heap empty and the old mapping gone. */
static int helper_memory(const char* address_text) {
    int address = 0;

    parse_number(address_text, &address);
    for (unsigned i = 0; i < ARRAY_LENGTH(untouched); i++)
        if (untouched[i] != 0)
            return 1;
    if (munmap((void*)address, PAGE_BYTES) < 0)
        return 2;
    char* memory = mmap((void*)address, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED || memory[0] != 0 ? 3 : 0;
}

int run_helper(int argc, char* argv[]) {
    const char* name = argc > 2 ? argv[2] : "";
    const char* first = argc > 3 ? argv[3] : "";

    if (strcmp(name, "words") == 0)
        return helper_words(argc, argv);
    if (strcmp(name, "count") == 0)
        return helper_count(argc);
    if (strcmp(name, "read") == 0)
        return helper_read(first);
    if (strcmp(name, "action") == 0)
        return helper_action(first);
    if (strcmp(name, "parent") == 0)
        return helper_parent(first, argc > 4 ? argv[4] : "");
    if (strcmp(name, "memory") == 0)
        return helper_memory(first);
    if (strcmp(name, "threads") == 0) {
        struct procinfo info;
        return find_process(getpid(), &info) && info.threads == 1 ? 0 : 1;
    }
    return 100;
}

/* Words arrive as they were, empty and long ones too. */
static void exec_passes_words(void) {
    char text[701];
    char* arguments[] = {"usertests", "--helper", "words", "", "two words", text, NULL};

    for (int i = 0; i < 700; i++)
        text[i] = (char)('a' + i % 26);
    text[700] = '\0';
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        exec("/bin/usertests", arguments);
        FAIL("exec: %s", error_text(errno));
    }
    CHECK_EQUAL(wait_status(pid), 6 << 8);
}

/* Starts the helper that counts with so many words; returns how it ended, or 1000 + errno if exec failed. */
static int exec_with_words(int count, const char* word) {
    char** arguments = malloc((unsigned)(count + 1) * sizeof(char*));

    CHECK(arguments != NULL);
    arguments[0] = "usertests";
    arguments[1] = "--helper";
    arguments[2] = "count";
    for (int i = 3; i < count; i++)
        arguments[i] = (char*)word;
    arguments[count] = NULL;
    volatile int* error = map_board();
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        exec("/bin/usertests", arguments);
        *error = errno;
        exit(0);
    }
    int status = wait_status(pid);
    return *error != 0 ? 1000 + *error : status;
}

/* Thirty words are no problem; thousands, or long ones, either arrive in full number or are refused with E2BIG. */
static void exec_word_limits(void) {
    char* text = malloc(PAGE_BYTES);

    CHECK(text != NULL);
    memset(text, 'w', PAGE_BYTES);
    text[PAGE_BYTES - 1] = '\0';
    CHECK_EQUAL(exec_with_words(30, "word"), 30 << 8);
    int result = exec_with_words(5000, "word");
    CHECK(result == (5000 & 0xFF) << 8 || result == 1000 + E2BIG);
    result = exec_with_words(1000, text); /* four megabytes: more than the whole stack */
    CHECK_EQUAL(result, 1000 + E2BIG);
}

/* A list without any word, or no list at all, starts a program with none, or is refused; nothing breaks. */
static void exec_without_words(void) {
    char* none[] = {NULL};

    for (int i = 0; i < 2; i++) {
        int pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            exec("/bin/true", i == 0 ? none : NULL);
            exit(errno == EFAULT || errno == EINVAL ? 0 : 1);
        }
        finish(pid);
    }
}

/* What is no program is refused with the right error, and the caller continues with its memory unchanged. */
static void exec_refusals(void) {
    char* arguments[] = {"x", NULL};
    char* memory = map_pages(2, MAP_PRIVATE);

    memory[PAGE_BYTES] = 42;
    CHECK_ERROR(exec("/bin/no-such-program", arguments), ENOENT);
    CHECK_ERROR(exec("", arguments), ENOENT);
    CHECK_ERROR(exec("/bin/true/x", arguments), ENOTDIR);
    CHECK_ERROR(exec("/test/not-a-program", arguments), ENOEXEC);
    CHECK_ERROR(exec("/test/empty", arguments), ENOEXEC);
    CHECK_ERROR(exec("/test/cut-in-header", arguments), ENOEXEC);
    CHECK_ERROR(exec("/test/cut-in-segment", arguments), ENOEXEC);
    CHECK_ERROR(exec(LINES_PATH, arguments), ENOEXEC);
    CHECK(exec("/bin", arguments) == -1 && (errno == EACCES || errno == EISDIR));
    CHECK_EQUAL(memory[PAGE_BYTES], 42);
    CHECK_EQUAL(memory[0], 0);
}

/* A refused exec keeps no frame and no descriptor. */
static void exec_refusals_leak_nothing(void) {
    char* arguments[] = {"x", NULL};
    int fd = next_descriptor();
    unsigned before = 0;

    for (int i = 0; i < 12; i++) {
        if (i == 2)
            before = free_frames();
        CHECK_ERROR(exec("/test/cut-in-segment", arguments), ENOEXEC);
        CHECK_ERROR(exec("/bin/no-such-program", arguments), ENOENT);
    }
    CHECK_EQUAL(before - free_frames(), 0);
    CHECK_EQUAL(next_descriptor(), fd);
}

/* Descriptors stay open across exec, at the same offset. */
static void exec_keeps_descriptors(void) {
    char text[12];
    int fd = open_file(LINES_PATH);

    CHECK_EQUAL(lseek(fd, 123, SEEK_SET), 123);
    snprintf(text, sizeof text, "%d", fd);
    CHECK_EQUAL(run_helper_apart("read", text, NULL), lines_byte(123) << 8);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 124);
}

/* A handler; never runs. */
static void handle(int signal) { (void)signal; }

/* Ignored signals stay ignored across exec; handlers, whose code is gone, become the default. */
static void exec_and_signal_actions(void) {
    char text[12];

    CHECK_EQUAL(on_signal(SIGUSR1, (signal_handler)SIG_IGN), 0);
    CHECK_EQUAL(on_signal(SIGUSR2, handle), 0);
    snprintf(text, sizeof text, "%d", SIGUSR1);
    CHECK_EQUAL(run_helper_apart("action", text, NULL), 1 << 8);
    snprintf(text, sizeof text, "%d", SIGUSR2);
    CHECK_EQUAL(run_helper_apart("action", text, NULL), 0);
}

/* The process stays the same one: its pid, its parent. */
static void exec_keeps_identity(void) {
    char* arguments[] = {"usertests", "--helper", "parent", "", "", NULL};
    char pid_text[12];
    char parent_text[12];
    int parent = getpid();
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        snprintf(pid_text, sizeof pid_text, "%d", getpid());
        snprintf(parent_text, sizeof parent_text, "%d", parent);
        arguments[3] = pid_text;
        arguments[4] = parent_text;
        exec("/bin/usertests", arguments);
        FAIL("exec: %s", error_text(errno));
    }
    finish(pid);
}

/* Nothing of the old memory is left: static data, heap, mappings, shared ones included. */
static void exec_forgets_memory(void) {
    char text[12];
    volatile unsigned* memory = map_board();

    memset(untouched, 5, sizeof untouched);
    *memory = 7;
    snprintf(text, sizeof text, "%d", (int)memory);
    CHECK_EQUAL(run_helper_apart("memory", text, NULL), 0);
    CHECK_EQUAL(*memory, 7);
    CHECK_EQUAL(untouched[0], 0x05050505);
}

/* Waits for ever; one of the threads that exec must end. */
static int wait_for_ever(void* gate) {
    wait_gate(*(struct gate*)gate);
    return 0;
}

/* A process with several threads has one after exec. */
static void exec_ends_other_threads(void) {
    char* arguments[] = {"usertests", "--helper", "threads", NULL};
    struct gate gate = make_gate();
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        for (int i = 0; i < 3; i++)
            CHECK(thread_create(wait_for_ever, &gate) > 0);
        sleep_ms(2);
        exec("/bin/usertests", arguments);
        FAIL("exec: %s", error_text(errno));
    }
    finish(pid);
}

/* A shell that starts programs, ten times over: no frame is lost. */
static void exec_leaks_nothing(void) {
    char* arguments[] = {"sh", "-c", "true && false || true", NULL};
    unsigned before = 0;

    for (int i = 0; i < 11; i++) {
        if (i == 1)
            before = free_frames();
        int pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            exec("/bin/sh", arguments);
            FAIL("exec: %s", error_text(errno));
        }
        finish(pid);
    }
    CHECK_EQUAL(before - free_frames(), 0);
}

const struct test exec_tests[] = {
    {"exec_passes_words", exec_passes_words},
    {"exec_word_limits", exec_word_limits},
    {"exec_without_words", exec_without_words},
    {"exec_refusals", exec_refusals},
    {"exec_refusals_leak_nothing", exec_refusals_leak_nothing},
    {"exec_keeps_descriptors", exec_keeps_descriptors},
    {"exec_and_signal_actions", exec_and_signal_actions},
    {"exec_keeps_identity", exec_keeps_identity},
    {"exec_forgets_memory", exec_forgets_memory},
    {"exec_ends_other_threads", exec_ends_other_threads},
    {"exec_leaks_nothing", exec_leaks_nothing},
    {NULL, NULL},
};
