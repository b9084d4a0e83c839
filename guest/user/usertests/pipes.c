/* Tests of pipes: their ends, their order, their capacity, across fork. */
#include "guest/user/usertests/usertests.h"

#define BIG_BYTES (256 * 1024)

/* Bytes come out as they went in, in pieces of other sizes. */
static void pipe_keeps_order(void) {
    int fds[2];
    char bytes[16];

    CHECK_EQUAL(pipe(fds), 0);
    CHECK(fds[0] != fds[1]);
    CHECK_EQUAL(write(fds[1], "abc", 3), 3);
    CHECK_EQUAL(write(fds[1], "defgh", 5), 5);
    CHECK_EQUAL(read(fds[0], bytes, 2), 2);
    CHECK_EQUAL(read(fds[0], bytes + 2, 14), 6);
    CHECK(memcmp(bytes, "abcdefgh", 8) == 0);
    CHECK_EQUAL(write(fds[1], "x", 0), 0);
}

/* The wrong end gives EBADF. */
static void pipe_has_directions(void) {
    int fds[2];
    char byte = 0;

    CHECK_EQUAL(pipe(fds), 0);
    CHECK_ERROR(write(fds[0], &byte, 1), EBADF);
    CHECK_ERROR(read(fds[1], &byte, 1), EBADF);
}

/* A message goes to the child and an answer comes back. */
static void pipe_across_fork(void) {
    int down[2];
    int up[2];
    char bytes[8];

    CHECK_EQUAL(pipe(down), 0);
    CHECK_EQUAL(pipe(up), 0);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK_EQUAL(read(down[0], bytes, 8), 4);
        bytes[0]++;
        CHECK_EQUAL(write(up[1], bytes, 4), 4);
        exit(0);
    }
    sleep_ms(2); /* the child is blocked by now */
    CHECK_EQUAL(write(down[1], "ping", 4), 4);
    CHECK_EQUAL(read(up[0], bytes, 8), 4);
    CHECK(memcmp(bytes, "qing", 4) == 0);
    finish(pid);
}

/* The reader meets the end when the last of several writers has closed, and not before. */
static void pipe_end_after_last_writer(void) {
    int fds[2];
    char byte;

    CHECK_EQUAL(pipe(fds), 0);
    int copy = dup(fds[1]);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(copy);
        sleep_ms(5);
        write(fds[1], "z", 1);
        exit(0);
    }
    close(fds[1]);
    close(copy);
    CHECK_EQUAL(read(fds[0], &byte, 1), 1);
    CHECK_EQUAL(byte, 'z');
    CHECK_EQUAL(read(fds[0], &byte, 1), 0);
    CHECK_EQUAL(read(fds[0], &byte, 1), 0);
    finish(pid);
}

/* A reader that is already blocked wakes up with the end. */
static void pipe_end_wakes_reader(void) {
    int fds[2];
    char byte;

    CHECK_EQUAL(pipe(fds), 0);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(fds[1]);
        exit(read(fds[0], &byte, 1) == 0 ? 0 : 1);
    }
    await_state(pid, PROC_BLOCKED);
    close(fds[1]);
    finish(pid);
}

/* Writes to a pipe without a reader. */
static void write_in_vain(void* fd) { write((int)fd, "x", 1); }

/* Without a reader a write kills by SIGPIPE; with the signal ignored it fails with EPIPE. */
static void pipe_without_reader(void) {
    int fds[2];

    CHECK_EQUAL(pipe(fds), 0);
    close(fds[0]);
    must_die(write_in_vain, (void*)fds[1], SIGPIPE);
    CHECK_EQUAL(on_signal(SIGPIPE, (signal_handler)SIG_IGN), 0);
    CHECK_ERROR(write(fds[1], "x", 1), EPIPE);
}

/* A writer that is blocked in a full pipe wakes up with EPIPE when the last reader goes. */
static void pipe_reader_leaves_writer(void) {
    int fds[2];

    CHECK_EQUAL(pipe(fds), 0);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char bytes[512];
        memset(bytes, 'w', sizeof bytes);
        close(fds[0]);
        on_signal(SIGPIPE, (signal_handler)SIG_IGN);
        for (int i = 0; i < 4096; i++)
            if (write(fds[1], bytes, sizeof bytes) != sizeof bytes)
                exit(errno == EPIPE || errno == 0 ? 0 : 1);
        exit(2);
    }
    await_state(pid, PROC_BLOCKED);
    close(fds[0]);
    finish(pid);
}

/* Returns byte `i` of a stream that does not repeat quickly. */
static unsigned char stream_byte(unsigned i) { return (unsigned char)(i * 7 + (i >> 8) * 13 + (i >> 16)); }

/* Writes the stream in pieces of growing size. */
static void write_stream(int fd) {
    static unsigned char bytes[9000];
    unsigned done = 0;

    for (unsigned piece = 1; done<BIG_BYTES; piece = piece * 2> sizeof bytes ? 3 : piece * 2) {
        unsigned count = piece < BIG_BYTES - done ? piece : BIG_BYTES - done;
        for (unsigned i = 0; i < count; i++)
            bytes[i] = stream_byte(done + i);
        CHECK_EQUAL(write_all(fd, bytes, count), 0);
        done += count;
    }
}

/* A quarter of a megabyte goes through a pipe, many times its capacity, and every byte arrives. */
static void pipe_big_transfer(void) {
    unsigned char bytes[5000];
    unsigned done = 0;
    int fds[2];
    int count;

    CHECK_EQUAL(pipe(fds), 0);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        write_stream(fds[1]);
        exit(0);
    }
    close(fds[1]);
    while ((count = read(fds[0], bytes, sizeof bytes)) > 0) {
        for (int i = 0; i < count; i += 5)
            CHECK_EQUAL(bytes[i], stream_byte(done + (unsigned)i));
        done += (unsigned)count;
    }
    CHECK_EQUAL(count, 0);
    CHECK_EQUAL(done, BIG_BYTES);
    finish(pid);
}

/* Four writers at once: short messages are not torn. */
static void pipe_many_writers(void) {
    char message[16];
    int counts[4] = {0, 0, 0, 0};
    int fds[2];

    CHECK_EQUAL(pipe(fds), 0);
    for (int writer = 0; writer < 4; writer++) {
        int pid = fork();
        CHECK(pid >= 0);
        if (pid > 0)
            continue;
        memset(message, 'a' + writer, sizeof message);
        for (int i = 0; i < 40; i++) {
            CHECK_EQUAL(write(fds[1], message, sizeof message), sizeof message);
            if (i % 8 == writer)
                yield();
        }
        exit(0);
    }
    close(fds[1]);
    while (read(fds[0], message, sizeof message) == sizeof message) {
        for (unsigned i = 1; i < sizeof message; i++)
            CHECK_EQUAL(message[i], message[0]);
        CHECK(message[0] >= 'a' && message[0] <= 'd');
        counts[message[0] - 'a']++;
    }
    for (int writer = 0; writer < 4; writer++) {
        CHECK_EQUAL(counts[writer], 40);
        CHECK(wait(NULL) > 0);
    }
}

/* Twelve processes in a row pass a number on, each adding one. */
static void pipe_chain(void) {
    enum { LENGTH = 12 };
    int first[2];
    int number = 100;

    CHECK_EQUAL(pipe(first), 0);
    int input = first[0];
    for (int i = 0; i < LENGTH; i++) {
        int next[2];
        CHECK_EQUAL(pipe(next), 0);
        int pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            CHECK_EQUAL(read(input, &number, sizeof number), sizeof number);
            number++;
            CHECK_EQUAL(write(next[1], &number, sizeof number), sizeof number);
            exit(0);
        }
        close(input);
        close(next[1]);
        input = next[0];
    }
    CHECK_EQUAL(write(first[1], &number, sizeof number), sizeof number);
    CHECK_EQUAL(read(input, &number, sizeof number), sizeof number);
    CHECK_EQUAL(number, 100 + LENGTH);
    while (wait(NULL) > 0)
        continue;
}

/* Making and dropping pipes, with bytes in them, loses neither descriptors nor frames. */
static void pipe_leaks_nothing(void) {
    int fd = next_descriptor();
    unsigned before = 0;

    for (int i = 0; i < 60; i++) {
        struct gate gate = make_gate();
        if (i == 10)
            before = free_frames();
        open_gate(gate);
        drop_gate(gate);
    }
    CHECK_EQUAL(next_descriptor(), fd);
    CHECK((int)(before - free_frames()) <= 1);
}

const struct test pipe_tests[] = {
    {"pipe_keeps_order", pipe_keeps_order},
    {"pipe_has_directions", pipe_has_directions},
    {"pipe_across_fork", pipe_across_fork},
    {"pipe_end_after_last_writer", pipe_end_after_last_writer},
    {"pipe_end_wakes_reader", pipe_end_wakes_reader},
    {"pipe_without_reader", pipe_without_reader},
    {"pipe_reader_leaves_writer", pipe_reader_leaves_writer},
    {"pipe_big_transfer", pipe_big_transfer},
    {"pipe_many_writers", pipe_many_writers},
    {"pipe_chain", pipe_chain},
    {"pipe_leaks_nothing", pipe_leaks_nothing},
    {NULL, NULL},
};
