/* Tests of directories and paths. */
#include "guest/user/usertests/usertests.h"

/* Returns true if a directory has an entry of this name, and stores the entry. */
static bool find_entry(const char* path, const char* name, struct dirent* entry) {
    int fd = open_file(path);
    bool found = false;

    while (!found && readdir(fd, entry) == 1)
        found = strcmp(entry->name, name) == 0;
    close(fd);
    return found;
}

/* The directory of programs lists them with type and size, each once, and ends. */
static void directory_read(void) {
    struct dirent entry;
    struct stat status;
    int count = 0;
    int shells = 0;
    int fd = open_file("/bin");

    while (readdir(fd, &entry) == 1) {
        count++;
        shells += strcmp(entry.name, "sh") == 0;
        CHECK(entry.name[0] != '\0');
    }
    CHECK(count >= 15 && count < 100);
    CHECK_EQUAL(shells, 1);
    CHECK_EQUAL(readdir(fd, &entry), 0);
    CHECK(find_entry("/bin", "sh", &entry));
    CHECK_EQUAL(entry.type, FILE_REGULAR);
    CHECK_EQUAL(stat("/bin/sh", &status), 0);
    CHECK_EQUAL(entry.size, status.size);
    CHECK(find_entry("/", "bin", &entry));
    CHECK_EQUAL(entry.type, FILE_DIRECTORY);
    CHECK(!find_entry("/bin", "motd", &entry));
}

/* Files are no directories and directories are no files. */
static void directory_refusals(void) {
    struct dirent entry;
    char bytes[16];
    int fds[2];

    CHECK_ERROR(readdir(open_file("/etc/motd"), &entry), ENOTDIR);
    CHECK_EQUAL(pipe(fds), 0);
    CHECK_ERROR(readdir(fds[0], &entry), ENOTDIR);
    CHECK_ERROR(read(open_file("/etc"), bytes, sizeof bytes), EISDIR);
    CHECK_ERROR(chdir("/etc/motd"), ENOTDIR);
    CHECK_ERROR(chdir("/none"), ENOENT);
    CHECK_ERROR(chdir(""), ENOENT);
}

/* Checks the working directory's path, and the length that getcwd returns. */
static void check_directory(const char* expected) {
    char path[128];
    int length = getcwd(path, sizeof path);

    CHECK_EQUAL(length, strlen(expected));
    if (strcmp(path, expected) != 0)
        FAIL("the working directory is \"%s\", not \"%s\"", path, expected);
}

/* chdir goes by absolute and relative paths; dots and extra slashes change nothing in the name. */
static void directory_change(void) {
    CHECK_EQUAL(chdir("/"), 0);
    check_directory("/");
    CHECK_EQUAL(chdir("share"), 0);
    check_directory("/share");
    CHECK_EQUAL(chdir("deep/er"), 0);
    check_directory("/share/deep/er");
    CHECK_EQUAL(chdir(".."), 0);
    check_directory("/share/deep");
    CHECK_EQUAL(chdir("./er/../../../bin/."), 0);
    check_directory("/bin");
    CHECK_EQUAL(chdir("//share///deep/"), 0);
    check_directory("/share/deep");
    CHECK_EQUAL(chdir("../../../../.."), 0);
    check_directory("/");
}

/* Relative paths start at the working directory. */
static void directory_relative_paths(void) {
    struct stat status;
    char bytes[32];

    CHECK_EQUAL(chdir("/share/deep"), 0);
    int fd = open_file("er/treasure");
    CHECK_EQUAL(read(fd, bytes, sizeof bytes), 19);
    CHECK(memcmp(bytes, "You have found it.\n", 19) == 0);
    CHECK_EQUAL(stat("../lines.txt", &status), 0);
    CHECK_EQUAL(status.size, LINES_BYTES);
    CHECK_ERROR(open("treasure", O_RDONLY), ENOENT);
    CHECK_EQUAL(stat("er/../er/./treasure", &status), 0);
}

/* getcwd refuses a buffer that is too small, and does not write beyond it. */
static void directory_small_buffer(void) {
    char path[16];

    CHECK_EQUAL(chdir("/share/deep"), 0);
    memset(path, '#', sizeof path);
    CHECK_EQUAL(getcwd(path, 11), -1);
    CHECK_EQUAL(path[11], '#');
    CHECK_EQUAL(getcwd(path, 0), -1);
    CHECK_EQUAL(getcwd(path, 12), 11);
    CHECK_EQUAL(path[12], '#');
    CHECK(strcmp(path, "/share/deep") == 0);
}

/* Goes somewhere else. */
static void go_away(void* unused) {
    (void)unused;
    check_directory("/share");
    CHECK_EQUAL(chdir("/etc"), 0);
}

/* A child inherits the working directory, and has its own from then on. */
static void directory_across_fork(void) {
    CHECK_EQUAL(chdir("/share"), 0);
    finish(start(go_away, NULL));
    check_directory("/share");
}

const struct test directory_tests[] = {
    {"directory_read", directory_read},
    {"directory_refusals", directory_refusals},
    {"directory_change", directory_change},
    {"directory_relative_paths", directory_relative_paths},
    {"directory_small_buffer", directory_small_buffer},
    {"directory_across_fork", directory_across_fork},
    {NULL, NULL},
};
