/* Tests of /tmp, whose files are in RAM, and of the console's mode. */
#include "guest/user/usertests/usertests.h"

#define DIRECTORY "/tmp/usertests"

/* Makes a directory for a test. What is in it when the test ends stays: each test removes what it makes. */
static void enter(void) {
    CHECK_EQUAL(mkdir(DIRECTORY), 0);
    CHECK_EQUAL(chdir(DIRECTORY), 0);
}

/* Leaves and removes the directory, which must be empty again. */
static void leave(void) {
    CHECK_EQUAL(chdir("/"), 0);
    CHECK_EQUAL(rmdir(DIRECTORY), 0);
}

/* Makes a file with a text, or replaces what it had. */
static void put(const char* path, const char* text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC);

    CHECK(fd >= 0);
    CHECK_EQUAL(write(fd, text, strlen(text)), strlen(text));
    CHECK_EQUAL(close(fd), 0);
}

/* Checks the whole contents of a file. */
static void check_text(const char* path, const char* expected) {
    char bytes[128];
    int fd = open_file(path);
    int count = read(fd, bytes, sizeof bytes - 1);

    CHECK_EQUAL(close(fd), 0);
    bytes[count > 0 ? count : 0] = '\0';
    if (strcmp(bytes, expected) != 0)
        FAIL("%s holds \"%s\", not \"%s\"", path, bytes, expected);
}

/* What is written is read, by the same and by another descriptor; O_TRUNC empties, O_APPEND adds. */
static void ram_write_and_read(void) {
    struct stat status;
    char byte;

    enter();
    CHECK_ERROR(open("a", O_WRONLY), ENOENT);
    put("a", "one ");
    check_text("a", "one ");
    put("a", "two");
    check_text("a", "two");
    int fd = open("a", O_RDWR | O_CREAT | O_APPEND);
    CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    CHECK_EQUAL(write(fd, " three", 6), 6);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 9);
    CHECK_EQUAL(read(fd, &byte, 1), 0);
    CHECK_EQUAL(fstat(fd, &status), 0);
    CHECK_EQUAL(status.size, 9);
    CHECK_EQUAL(status.type, FILE_REGULAR);
    close(fd);
    check_text("a", "two three");
    CHECK_EQUAL(unlink("a"), 0);
    CHECK_ERROR(open("a", O_RDONLY), ENOENT);
    leave();
}

/* Many pages, written in odd pieces, hold what was written; a hole reads as zeroes. */
static void ram_large_file(void) {
    unsigned char bytes[3000];
    unsigned written = 0;

    enter();
    int fd = open("large", O_RDWR | O_CREAT);
    for (unsigned i = 0; i < 40; i++) {
        unsigned count = 1 + i * 577 % sizeof bytes;
        for (unsigned j = 0; j < count; j++)
            bytes[j] = (unsigned char)((written + j) / 7);
        CHECK_EQUAL(write(fd, bytes, count), count);
        written += count;
    }
    CHECK_EQUAL(lseek(fd, 100000, SEEK_CUR), written + 100000);
    CHECK_EQUAL(write(fd, "x", 1), 1);
    CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    for (unsigned at = 0, count; at < written + 100000; at += count) {
        count = (unsigned)read(fd, bytes, 1777);
        CHECK(count > 0 && count <= 1777);
        for (unsigned j = 0; j < count; j++)
            CHECK_EQUAL(bytes[j], at + j < written             ? (unsigned char)((at + j) / 7)
                                  : at + j == written + 100000 ? 'x'
                                                               : 0);
    }
    CHECK_EQUAL(lseek(fd, 0x7F000000, SEEK_SET), 0x7F000000);
    CHECK_ERROR(write(fd, "x", 1), EFBIG);
    close(fd);
    CHECK_EQUAL(unlink("large"), 0);
    leave();
}

/* Removes a file's name while it is open here and in a child. */
static void unlink_open_file(void) {
    char byte = 0;

    put("gone", "still here");
    int fd = open("gone", O_RDWR);
    CHECK_EQUAL(unlink("gone"), 0);
    CHECK_ERROR(unlink("gone"), ENOENT);
    put("gone", "another");
    CHECK_EQUAL(lseek(fd, 6, SEEK_SET), 6);
    CHECK_EQUAL(read(fd, &byte, 1), 1);
    CHECK_EQUAL(byte, 'h');
    CHECK_EQUAL(write(fd, "?", 1), 1);
    int pid = fork();
    if (pid == 0) {
        CHECK_EQUAL(lseek(fd, 7, SEEK_SET), 7);
        CHECK_EQUAL(read(fd, &byte, 1), 1);
        CHECK_EQUAL(byte, '?');
        exit(0);
    }
    finish(pid);
    close(fd);
    check_text("gone", "another");
    CHECK_EQUAL(unlink("gone"), 0);
}

/* A file without a name lives until the last who has it open closes it; its frames are free then. */
static void ram_unlink_open_file(void) {
    enter();
    unlink_open_file(); /* touches what the second time needs */
    unsigned frames = free_frames();
    unlink_open_file();
    await_frames(frames);
    CHECK_EQUAL(free_frames(), frames);
    leave();
}

/* Directories: made once, listed in the order of names, removed only when empty. */
static void ram_directories(void) {
    static const char* const names[] = {"a", "b", "c"};
    struct dirent entry;
    struct stat status;

    enter();
    CHECK_ERROR(mkdir(DIRECTORY), EEXIST);
    CHECK_ERROR(mkdir("x/y"), ENOENT);
    CHECK_EQUAL(mkdir("c/"), 0);
    CHECK_EQUAL(mkdir("a"), 0);
    put("b", "file");
    CHECK_ERROR(mkdir("b"), EEXIST);
    CHECK_ERROR(mkdir("b/d"), ENOTDIR);
    int fd = open_file(".");
    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++) {
        CHECK_EQUAL(readdir(fd, &entry), 1);
        CHECK(strcmp(entry.name, names[i]) == 0);
        CHECK_EQUAL(entry.type, i == 1 ? FILE_REGULAR : FILE_DIRECTORY);
    }
    CHECK_EQUAL(readdir(fd, &entry), 0);
    close(fd);
    CHECK_ERROR(rmdir(DIRECTORY), ENOTEMPTY);
    CHECK_ERROR(rmdir("b"), ENOTDIR);
    CHECK_ERROR(unlink("a"), EISDIR);
    CHECK_EQUAL(stat("a", &status), 0);
    CHECK_EQUAL(rmdir("a"), 0);
    CHECK_ERROR(stat("a", &status), ENOENT);
    CHECK_EQUAL(rmdir("c"), 0);
    CHECK_EQUAL(unlink("b"), 0);
    leave();
}

/* A process may stand in a directory that was removed: it has no name, no parent, and nothing can be made there. */
static void ram_removed_directory(void) {
    struct stat status;
    char path[64];

    enter();
    CHECK_EQUAL(mkdir("here"), 0);
    CHECK_EQUAL(chdir("here"), 0);
    CHECK_EQUAL(rmdir("../here"), 0);
    CHECK_ERROR(getcwd(path, sizeof path), ENOENT);
    CHECK_ERROR(open("x", O_WRONLY | O_CREAT), ENOENT);
    CHECK_ERROR(mkdir("x"), ENOENT);
    CHECK_ERROR(stat("..", &status), ENOENT);
    CHECK_EQUAL(stat(".", &status), 0);
    leave();
}

/* rename moves, replaces, and refuses what would lose something or make a loop. */
static void ram_rename(void) {
    struct stat before, after;

    enter();
    put("a", "first");
    put("b", "second");
    CHECK_EQUAL(stat("a", &before), 0);
    CHECK_EQUAL(rename("a", "b"), 0);
    check_text("b", "first");
    CHECK_EQUAL(stat("b", &after), 0);
    CHECK_EQUAL(after.inode, before.inode);
    CHECK_EQUAL(rename("b", "b"), 0);
    CHECK_ERROR(rename("a", "c"), ENOENT);
    CHECK_EQUAL(mkdir("d"), 0);
    CHECK_EQUAL(mkdir("d/e"), 0);
    CHECK_ERROR(rename("b", "d"), EISDIR);
    CHECK_ERROR(rename("d", "b"), ENOTDIR);
    CHECK_ERROR(rename("d", "d/e/f"), EINVAL);
    CHECK_ERROR(rename("d", "d/f"), EINVAL);
    CHECK_EQUAL(rename("b", "d/e/a longer name than before"), 0);
    check_text("d/e/a longer name than before", "first");
    CHECK_EQUAL(mkdir("z"), 0);
    CHECK_ERROR(rename("z", "d"), ENOTEMPTY);
    CHECK_EQUAL(rename("d", "z"), 0);
    check_text("z/e/a longer name than before", "first");
    CHECK_EQUAL(unlink("z/e/a longer name than before"), 0);
    CHECK_EQUAL(rmdir("z/e"), 0);
    CHECK_EQUAL(rmdir("z"), 0);
    leave();
}

/* Nothing else can be changed, and what is in RAM can be neither mapped nor run. */
static void ram_refusals(void) {
    char* words[] = {"x", NULL};
    char name[300];

    enter();
    memset(name, 'n', sizeof name);
    name[256] = '\0';
    CHECK_ERROR(open(name, O_WRONLY | O_CREAT), ENAMETOOLONG);
    CHECK_ERROR(mkdir(name), ENAMETOOLONG);
    CHECK_ERROR(open("/etc/new", O_WRONLY | O_CREAT), EROFS);
    CHECK_ERROR(open("/etc/motd", O_WRONLY | O_CREAT | O_TRUNC), EROFS);
    CHECK_ERROR(mkdir("/new"), EROFS);
    CHECK_ERROR(unlink("/etc/motd"), EROFS);
    CHECK_ERROR(rmdir("/share/deep/er"), EROFS);
    CHECK_ERROR(rmdir("/tmp"), EROFS);
    CHECK_ERROR(rename("/etc/motd", "motd"), EROFS);
    CHECK_ERROR(rename(DIRECTORY, "/etc/new"), EROFS);
    CHECK_ERROR(mkdir("."), EINVAL);
    CHECK_ERROR(rmdir(".."), EINVAL);
    CHECK_ERROR(unlink(""), ENOENT);
    put("x", "not a program");
    int fd = open("x", O_RDWR);
    CHECK(mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == ENODEV);
    CHECK_ERROR(exec("x", words), EACCES);
    CHECK_EQUAL(unlink("x"), 0);
    leave();
}

/* Children that append to one file at a time lose nothing of each other's. */
static void ram_append_together(void) {
    char bytes[8];
    int pids[8], counts[8] = {0};

    enter();
    put("log", "");
    for (int i = 0; i < 8; i++) {
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0) {
            int fd = open("log", O_WRONLY | O_APPEND);
            memset(bytes, 'a' + i, sizeof bytes);
            for (int j = 0; j < 50; j++)
                if (write(fd, bytes, sizeof bytes) != sizeof bytes || (j % 8 == i && yield() < 0))
                    exit(1);
            exit(0);
        }
    }
    for (int i = 0; i < 8; i++)
        finish(pids[i]);
    int fd = open_file("log");
    while (read(fd, bytes, sizeof bytes) == sizeof bytes) {
        for (unsigned j = 1; j < sizeof bytes; j++)
            CHECK_EQUAL(bytes[j], bytes[0]);
        counts[(bytes[0] - 'a') & 7]++;
    }
    for (int i = 0; i < 8; i++)
        CHECK_EQUAL(counts[i], 50);
    CHECK_EQUAL(unlink("log"), 0);
    leave();
}

/* A full table of descriptors refuses to open before it makes or empties the file. */
static void ram_no_descriptor(void) {
    struct stat status;

    enter();
    put("full", "text");
    while (open("/etc/motd", O_RDONLY) >= 0)
        continue;
    CHECK_ERROR(open("new", O_WRONLY | O_CREAT), EMFILE);
    CHECK_ERROR(open("full", O_WRONLY | O_TRUNC), EMFILE);
    CHECK_ERROR(stat("new", &status), ENOENT);
    CHECK_EQUAL(stat("full", &status), 0);
    CHECK_EQUAL(status.size, 4);
    CHECK_EQUAL(unlink("full"), 0);
    leave();
}

/* Only the console has a mode, and there are two. */
static void terminal_mode(void) {
    int fds[2];
    int console = open("/dev/console", O_RDWR);

    CHECK_EQUAL(pipe(fds), 0);
    CHECK_EQUAL(terminal(console, TERMINAL_LINES), TERMINAL_LINES);
    CHECK_EQUAL(terminal(console, TERMINAL_KEYS), TERMINAL_LINES);
    CHECK_EQUAL(terminal(console, TERMINAL_LINES), TERMINAL_KEYS);
    CHECK_ERROR(terminal(console, 2), EINVAL);
    CHECK_ERROR(terminal(console, -1), EINVAL);
    CHECK_ERROR(terminal(fds[0], TERMINAL_LINES), ENOTTY);
    CHECK_ERROR(terminal(open_file("/dev/null"), TERMINAL_LINES), ENOTTY);
    CHECK_ERROR(terminal(open_file("/etc/motd"), TERMINAL_LINES), ENOTTY);
    CHECK_ERROR(terminal(63, TERMINAL_LINES), EBADF);
}

const struct test ram_file_tests[] = {
    {"ram_write_and_read", ram_write_and_read},
    {"ram_large_file", ram_large_file},
    {"ram_unlink_open_file", ram_unlink_open_file},
    {"ram_directories", ram_directories},
    {"ram_removed_directory", ram_removed_directory},
    {"ram_rename", ram_rename},
    {"ram_refusals", ram_refusals},
    {"ram_append_together", ram_append_together},
    {"ram_no_descriptor", ram_no_descriptor},
    {"terminal_mode", terminal_mode},
    {NULL, NULL},
};
