/* Tests of files and descriptors. */
#include "guest/user/usertests/usertests.h"

/* A file read in odd pieces gives exactly its bytes, then its end. */
static void file_read(void) {
    char* bytes = malloc(LINES_BYTES + 2000);
    unsigned done = 0;
    int fd = open_file(LINES_PATH);
    int count;

    CHECK(bytes != NULL);
    while ((count = read(fd, bytes + done, 1000 + done % 777)) > 0)
        done += (unsigned)count;
    CHECK_EQUAL(count, 0);
    CHECK_EQUAL(done, LINES_BYTES);
    check_lines(bytes, 0, LINES_BYTES);
    CHECK_EQUAL(read(fd, bytes, 10), 0);
    CHECK_EQUAL(read(fd, bytes, 0), 0);
}

/* lseek goes everywhere in the file, and beyond its end, where there is nothing to read. */
static void file_seek(void) {
    char bytes[32];
    int fd = open_file(LINES_PATH);

    CHECK_EQUAL(lseek(fd, 5000, SEEK_SET), 5000);
    CHECK_EQUAL(read(fd, bytes, 32), 32);
    check_lines(bytes, 5000, 32);
    CHECK_EQUAL(lseek(fd, -32, SEEK_CUR), 5000);
    CHECK_EQUAL(lseek(fd, -10, SEEK_END), LINES_BYTES - 10);
    CHECK_EQUAL(read(fd, bytes, 32), 10);
    check_lines(bytes, LINES_BYTES - 10, 10);
    CHECK_EQUAL(lseek(fd, 1000, SEEK_END), LINES_BYTES + 1000);
    CHECK_EQUAL(read(fd, bytes, 32), 0);
}

/* Bad positions and bad ways of counting are refused and change nothing; a pipe has no position. */
static void file_seek_refusals(void) {
    int fd = open_file(LINES_PATH);
    int fds[2];

    CHECK_EQUAL(lseek(fd, 7, SEEK_SET), 7);
    CHECK_ERROR(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK_ERROR(lseek(fd, -8, SEEK_CUR), EINVAL);
    CHECK_ERROR(lseek(fd, -LINES_BYTES - 1, SEEK_END), EINVAL);
    CHECK_ERROR(lseek(fd, 0, 3), EINVAL);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 7);
    CHECK_EQUAL(pipe(fds), 0);
    CHECK_ERROR(lseek(fds[0], 0, SEEK_CUR), ESPIPE);
}

/* Parent and child share the offset of a file that was open at the fork. */
static void file_offset_shared_by_fork(void) {
    char bytes[16];
    int fd = open_file(LINES_PATH);

    CHECK_EQUAL(read(fd, bytes, 16), 16);
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK_EQUAL(read(fd, bytes, 16), 16);
        check_lines(bytes, 16, 16);
        exit(0);
    }
    finish(pid);
    CHECK_EQUAL(read(fd, bytes, 16), 16);
    check_lines(bytes, 32, 16);
}

/* Descriptors opened or closed after the fork belong to one side only. */
static void file_table_is_own(void) {
    char byte;
    int fd = open_file(LINES_PATH);
    int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK_EQUAL(close(fd), 0);
        CHECK_EQUAL(open_file("/etc/motd"), fd);
        CHECK(open_file("/etc/motd") != fd);
        exit(0);
    }
    finish(pid);
    CHECK_EQUAL(read(fd, &byte, 1), 1);
    CHECK_EQUAL(byte, 'l');
    CHECK_ERROR(read(fd + 1, &byte, 1), EBADF);
}

/* dup gives the lowest free descriptor; both share one offset, and closing one leaves the other. */
static void file_dup(void) {
    char byte;
    int fd = open_file(LINES_PATH);
    int copy = dup(fd);

    CHECK_EQUAL(copy, fd + 1);
    CHECK_EQUAL(read(fd, &byte, 1), 1);
    CHECK_EQUAL(read(copy, &byte, 1), 1);
    CHECK_EQUAL(byte, lines_byte(1));
    CHECK_EQUAL(close(fd), 0);
    CHECK_EQUAL(read(copy, &byte, 1), 1);
    CHECK_EQUAL(byte, lines_byte(2));
    CHECK_EQUAL(dup(copy), fd);
}

/* dup2 closes what was at its target, leaves everything alone when both are the same, and refuses nonsense. */
static void file_dup2(void) {
    char byte;
    int fds[2];
    int fd = open_file(LINES_PATH);

    CHECK_EQUAL(pipe(fds), 0);
    CHECK_EQUAL(dup2(fd, fds[1]), fds[1]);
    CHECK_EQUAL(read(fds[0], &byte, 1), 0); /* the only writer is gone */
    CHECK_EQUAL(read(fds[1], &byte, 1), 1);
    CHECK_EQUAL(byte, lines_byte(0));
    CHECK_EQUAL(dup2(fd, fd), fd);
    CHECK_EQUAL(read(fd, &byte, 1), 1);
    CHECK_ERROR(dup2(60, fd), EBADF);
    CHECK_ERROR(dup2(fd, -1), EBADF);
    CHECK_ERROR(dup2(fd, 100000), EBADF);
    CHECK_ERROR(dup(60), EBADF);
    CHECK_EQUAL(read(fd, &byte, 1), 1);
}

/* Calls everything that takes a descriptor with a bad one. */
static void check_bad_descriptor(int fd) {
    struct stat status;
    struct dirent entry;
    char byte = 0;

    CHECK_ERROR(read(fd, &byte, 1), EBADF);
    CHECK_ERROR(write(fd, &byte, 1), EBADF);
    CHECK_ERROR(close(fd), EBADF);
    CHECK_ERROR(lseek(fd, 0, SEEK_SET), EBADF);
    CHECK_ERROR(fstat(fd, &status), EBADF);
    CHECK_ERROR(readdir(fd, &entry), EBADF);
    CHECK_ERROR(dup(fd), EBADF);
}

/* Descriptors that are not open: negative, closed, never opened, far too big. */
static void file_bad_descriptors(void) {
    int fd = open_file("/etc/motd");

    CHECK_EQUAL(close(fd), 0);
    check_bad_descriptor(fd);
    check_bad_descriptor(-1);
    check_bad_descriptor(63);
    check_bad_descriptor(1000000);
    check_bad_descriptor((int)0x80000000);
}

/* Opening says no in the right words. */
static void file_open_refusals(void) {
    char name[600];

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    CHECK_ERROR(open("/no/such/file", O_RDONLY), ENOENT);
    CHECK_ERROR(open("/etc/none", O_RDONLY), ENOENT);
    CHECK_ERROR(open("", O_RDONLY), ENOENT);
    CHECK_ERROR(open("/etc/motd/x", O_RDONLY), ENOTDIR);
    CHECK(open(name, O_RDONLY) == -1 && (errno == ENAMETOOLONG || errno == ENOENT));
    CHECK(open("/etc/motd", O_WRONLY) == -1 && (errno == EROFS || errno == EACCES));
    CHECK(open("/etc/motd", O_RDWR) == -1 && (errno == EROFS || errno == EACCES));
    CHECK(open("/etc", O_WRONLY) == -1 && (errno == EISDIR || errno == EROFS));
    CHECK_ERROR(open("/etc/motd", 3), EINVAL);
}

/* A file opened for reading cannot be written, of whatever type. */
static void file_write_refusals(void) {
    int fd = open_file("/etc/motd");

    CHECK_ERROR(write(fd, "x", 1), EBADF);
    CHECK_EQUAL(close(fd), 0);
}

/* Descriptors run out with EMFILE, and come back. */
static void file_descriptors_run_out(void) {
    int fds[2];
    int first = next_descriptor();
    int last = first - 1;
    int fd;

    while ((fd = open("/etc/motd", O_RDONLY)) >= 0 && fd < 5000)
        last = fd;
    CHECK(fd < 0 && (errno == EMFILE || errno == ENFILE));
    CHECK(last >= 15);
    CHECK_ERROR(dup(0), EMFILE);
    CHECK(pipe(fds) == -1 && (errno == EMFILE || errno == ENFILE));
    CHECK_EQUAL(close(last), 0);
    CHECK(pipe(fds) == -1 && (errno == EMFILE || errno == ENFILE)); /* one is not enough for two ends */
    CHECK_EQUAL(open_file("/etc/motd"), last);
    for (fd = first; fd <= last; fd++)
        CHECK_EQUAL(close(fd), 0);
    CHECK_EQUAL(next_descriptor(), first);
}

/* stat and fstat agree on a file, and tell files, directories and pipes apart. */
static void file_stat(void) {
    struct stat by_path;
    struct stat by_fd;
    int fds[2];
    int fd = open_file(LINES_PATH);

    CHECK_EQUAL(stat(LINES_PATH, &by_path), 0);
    CHECK_EQUAL(fstat(fd, &by_fd), 0);
    CHECK_EQUAL(by_path.type, FILE_REGULAR);
    CHECK_EQUAL(by_path.size, LINES_BYTES);
    CHECK_EQUAL(by_fd.size, LINES_BYTES);
    CHECK_EQUAL(by_fd.inode, by_path.inode);
    CHECK_EQUAL(stat("/bin", &by_path), 0);
    CHECK_EQUAL(by_path.type, FILE_DIRECTORY);
    CHECK(by_path.inode != by_fd.inode);
    CHECK_EQUAL(pipe(fds), 0);
    CHECK_EQUAL(fstat(fds[1], &by_fd), 0);
    CHECK_EQUAL(by_fd.type, FILE_PIPE);
    CHECK_ERROR(stat("/none", &by_path), ENOENT);
}

/* Opens the file a second time and ends without closing it. */
static void open_and_end(void* unused) {
    struct stat status;

    (void)unused;
    int fd = open_file(LINES_PATH);
    CHECK_EQUAL(fstat(fd, &status), 0);
    CHECK_EQUAL(status.references, 2);
}

/* A process that ends closes what it had open. */
static void file_closed_at_exit(void) {
    struct stat status;
    int fd = open_file(LINES_PATH);

    CHECK_EQUAL(fstat(fd, &status), 0);
    CHECK_EQUAL(status.references, 1);
    finish(start(open_and_end, NULL));
    CHECK_EQUAL(fstat(fd, &status), 0);
    CHECK_EQUAL(status.references, 1);
}

const struct test file_tests[] = {
    {"file_read", file_read},
    {"file_seek", file_seek},
    {"file_seek_refusals", file_seek_refusals},
    {"file_offset_shared_by_fork", file_offset_shared_by_fork},
    {"file_table_is_own", file_table_is_own},
    {"file_dup", file_dup},
    {"file_dup2", file_dup2},
    {"file_bad_descriptors", file_bad_descriptors},
    {"file_open_refusals", file_open_refusals},
    {"file_write_refusals", file_write_refusals},
    {"file_descriptors_run_out", file_descriptors_run_out},
    {"file_stat", file_stat},
    {"file_closed_at_exit", file_closed_at_exit},
    {NULL, NULL},
};
