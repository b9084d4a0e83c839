/* rm: removes files. -r removes directories with all that they hold, -f says nothing of what is not there. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

static bool recursive, forced;

static bool remove_path(const char* path);

/* Removes the first entry of a directory; returns 1, 0 where there is none, or -1 after a complaint. */
static int remove_first(const char* directory) {
    struct dirent entry;
    int fd = open(directory, O_RDONLY);
    int got = fd < 0 ? -1 : readdir(fd, &entry);

    if (fd >= 0)
        close(fd);
    if (got <= 0) {
        if (got < 0)
            complain("rm", directory);
        return got;
    }
    size_t size = strlen(directory) + strlen(entry.name) + 2;
    char* path = malloc(size);
    if (path == NULL) {
        complain("rm", directory);
        return -1;
    }
    snprintf(path, size, "%s/%s", directory, entry.name);
    bool removed = remove_path(path);
    free(path);
    return removed ? 1 : -1;
}

/* Removes a directory and what it holds; returns whether it is gone. */
static bool remove_directory(const char* path) {
    int got;

    while ((got = remove_first(path)) > 0)
        continue;
    if (got < 0)
        return false;
    if (rmdir(path) == 0)
        return true;
    complain("rm", path);
    return false;
}

/* Removes what a path names; returns whether it is gone. */
static bool remove_path(const char* path) {
    if (unlink(path) == 0 || (forced && errno == ENOENT))
        return true;
    if (errno == EISDIR && recursive)
        return remove_directory(path);
    complain("rm", path);
    return false;
}

/* Takes a word of options; false if there is one that rm does not have. */
static bool take_options(const char* letters) {
    for (; *letters != '\0'; letters++) {
        recursive = recursive || *letters == 'r';
        forced = forced || *letters == 'f';
        if (*letters != 'r' && *letters != 'f')
            return false;
    }
    return true;
}

int main(int argc, char* argv[]) {
    int first = 1;
    int failed = 0;
    bool good = true;

    for (; good && first < argc && argv[first][0] == '-' && argv[first][1] != '\0'; first++)
        good = take_options(argv[first] + 1);
    if (!good || (first == argc && !forced)) {
        dprintf(STDERR, "usage: rm [-rf] FILE...\n");
        return 2;
    }
    for (; first < argc; first++)
        failed |= !remove_path(argv[first]);
    return failed;
}
