/* Tests of mapped files: contents, offsets, the end of the file, private and shared. */
#include "guest/user/usertests/usertests.h"

/* Maps part of the big file; closes it at once, for the mapping keeps it. */
static char* map_lines(unsigned length, int protection, int flags, unsigned offset) {
    int fd = open_file(LINES_PATH);
    char* memory = mmap(NULL, length, protection, flags, fd, offset);

    CHECK_EQUAL(close(fd), 0);
    return memory;
}

/* A private mapping shows the file's bytes, page by page as they are touched, in any order. */
static void file_map_contents(void) {
    char* memory = map_lines(LINES_BYTES, PROT_READ, MAP_PRIVATE, 0);

    CHECK(memory != MAP_FAILED);
    for (unsigned i = 16; i-- > 0;)
        check_lines(memory + i * PAGE_BYTES, i * PAGE_BYTES, PAGE_BYTES);
}

/* An offset moves the window; one that is no multiple of a page is refused. */
static void file_map_offset(void) {
    char* memory = map_lines(3 * PAGE_BYTES, PROT_READ, MAP_PRIVATE, 5 * PAGE_BYTES);

    CHECK(memory != MAP_FAILED);
    check_lines(memory, 5 * PAGE_BYTES, 3 * PAGE_BYTES);
    CHECK_ERROR(map_lines(PAGE_BYTES, PROT_READ, MAP_PRIVATE, 100), EINVAL);
}

/* Writes to a private mapping stay in memory: a second mapping and read() still show the file. */
static void file_map_private_writes(void) {
    char* memory = map_lines(2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    char* other = map_lines(2 * PAGE_BYTES, PROT_READ, MAP_PRIVATE, 0);
    char bytes[64];

    CHECK(memory != MAP_FAILED && other != MAP_FAILED);
    check_lines(other, 0, 100); /* both see page 0 before the write, only one page 1 */
    check_lines(memory, 0, 100);
    memory[10] = '#';
    memory[PAGE_BYTES + 10] = '#';
    CHECK_EQUAL(memory[11], lines_byte(11));
    CHECK_EQUAL(memory[PAGE_BYTES + 11], lines_byte(PAGE_BYTES + 11));
    check_lines(other, 0, 2 * PAGE_BYTES);
    int fd = open_file(LINES_PATH);
    CHECK_EQUAL(read(fd, bytes, sizeof bytes), sizeof bytes);
    check_lines(bytes, 0, sizeof bytes);
}

/* A private mapping is copied on write across fork, touched or not before it. */
static void file_map_private_fork(void) {
    char* memory = map_lines(3 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);

    CHECK(memory != MAP_FAILED);
    memory[1] = 'P';
    check_lines(memory + PAGE_BYTES, PAGE_BYTES, 8);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK_EQUAL(memory[1], 'P');
        for (unsigned i = 0; i < 3; i++)
            memory[i * PAGE_BYTES] = 'C';
        check_lines(memory + PAGE_BYTES + 1, PAGE_BYTES + 1, 2 * PAGE_BYTES - 1 - PAGE_BYTES);
        exit(0);
    }
    finish(pid);
    CHECK_EQUAL(memory[1], 'P');
    memory[1] = lines_byte(1);
    check_lines(memory, 0, 3 * PAGE_BYTES);
}

/* A shared mapping for reading shows the file to parent and child. */
static void file_map_shared(void) {
    char* memory = map_lines(4 * PAGE_BYTES, PROT_READ, MAP_SHARED, 0);

    CHECK(memory != MAP_FAILED);
    check_lines(memory, 0, PAGE_BYTES);
    int pid = fork();
    CHECK(pid >= 0);
    check_lines(memory, 0, 4 * PAGE_BYTES);
    if (pid == 0)
        exit(0);
    finish(pid);
}

/* A shared mapping for writing is refused, or parent and child see each other's writes; the file stays as it is. */
static void file_map_shared_writes(void) {
    volatile char* memory = map_lines(PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, PAGE_BYTES);
    char byte;

    if (memory == MAP_FAILED) {
        CHECK(errno == EACCES || errno == EROFS);
        return;
    }
    memory[0] = 'p';
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        memory[1] = 'c';
        exit(memory[0] == 'p' ? 0 : 1);
    }
    finish(pid);
    CHECK_EQUAL(memory[1], 'c');
    int fd = open_file(LINES_PATH);
    CHECK_EQUAL(lseek(fd, PAGE_BYTES, SEEK_SET), PAGE_BYTES);
    CHECK_EQUAL(read(fd, &byte, 1), 1);
    CHECK_EQUAL(byte, lines_byte(PAGE_BYTES));
}

/* Reads a byte far beyond the end of the file. */
static void read_behind_end(void* memory) { peek((unsigned)memory + 3 * PAGE_BYTES); }

/* After the file's last byte its last page is zero; pages after that are zero too, or a signal. */
static void file_map_end(void) {
    struct stat status;
    int fd = open_file("/etc/motd");

    CHECK_EQUAL(fstat(fd, &status), 0);
    CHECK(status.size > 0 && status.size < PAGE_BYTES);
    char* memory = mmap(NULL, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(memory != MAP_FAILED);
    CHECK_EQUAL(memory[status.size - 1], '\n');
    for (unsigned i = status.size; i < PAGE_BYTES; i++)
        CHECK_EQUAL(memory[i], 0);
    int ending = run_apart(read_behind_end, memory);
    CHECK(ending == 0 || ending == SIGSEGV);
}

/* read() into memory that maps another part of the same file, not yet present, works. */
static void file_map_as_buffer(void) {
    char* memory = map_lines(2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    int fd = open_file(LINES_PATH);

    CHECK(memory != MAP_FAILED);
    CHECK_EQUAL(lseek(fd, 4 * PAGE_BYTES, SEEK_SET), 4 * PAGE_BYTES);
    CHECK_EQUAL(read(fd, memory + 100, PAGE_BYTES), PAGE_BYTES);
    check_lines(memory, 0, 100);
    check_lines(memory + 100, 4 * PAGE_BYTES, PAGE_BYTES);
    check_lines(memory + PAGE_BYTES + 100, PAGE_BYTES + 100, PAGE_BYTES - 100);
}

/* What is left when the middle is unmapped, touched only then, shows the same bytes as before, at fork too. */
static void file_map_unmap_middle(void) {
    char* memory = map_lines(8 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, PAGE_BYTES);

    CHECK(memory != MAP_FAILED);
    CHECK_EQUAL(munmap(memory + 2 * PAGE_BYTES, 3 * PAGE_BYTES), 0);
    int pid = fork();
    CHECK(pid >= 0);
    check_lines(memory, PAGE_BYTES, 2 * PAGE_BYTES);
    check_lines(memory + 5 * PAGE_BYTES, 6 * PAGE_BYTES, 3 * PAGE_BYTES);
    if (pid == 0)
        exit(0);
    finish(pid);
}

/* A directory, a pipe and a bad descriptor cannot be mapped. */
static void file_map_refusals(void) {
    int fds[2];
    int directory = open_file("/");

    CHECK_EQUAL(pipe(fds), 0);
    CHECK(mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE, directory, 0) == MAP_FAILED);
    CHECK(errno == EACCES || errno == EISDIR || errno == EINVAL);
    CHECK(mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE, fds[0], 0) == MAP_FAILED);
    CHECK(errno == EACCES || errno == EINVAL || errno == ESPIPE);
    CHECK_ERROR(mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE, 63, 0), EBADF);
    CHECK_ERROR(mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE, -1, 0), EBADF);
    CHECK_ERROR(mmap(NULL, 2 * PAGE_BYTES, PROT_READ, MAP_PRIVATE, open_file(LINES_PATH), 0u - PAGE_BYTES), EINVAL);
}

const struct test file_map_tests[] = {
    {"file_map_contents", file_map_contents},
    {"file_map_offset", file_map_offset},
    {"file_map_private_writes", file_map_private_writes},
    {"file_map_private_fork", file_map_private_fork},
    {"file_map_shared", file_map_shared},
    {"file_map_shared_writes", file_map_shared_writes},
    {"file_map_end", file_map_end},
    {"file_map_as_buffer", file_map_as_buffer},
    {"file_map_unmap_middle", file_map_unmap_middle},
    {"file_map_refusals", file_map_refusals},
    {NULL, NULL},
};
