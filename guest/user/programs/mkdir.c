/* mkdir: makes directories. -p makes those above them too, and is content where one is there. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

/* Makes one directory; returns whether it is there now. */
static bool make(const char* path, bool existing_is_fine) {
    struct stat status;

    if (mkdir(path) == 0)
        return true;
    if (existing_is_fine && errno == EEXIST && stat(path, &status) == 0 && status.type == FILE_DIRECTORY)
        return true;
    complain("mkdir", path);
    return false;
}

/* Makes a directory and those above it, which are cut off the path one after another. */
static bool make_all(char* path) {
    struct stat status;

    for (char* at = path + 1; *at != '\0'; at++) {
        if (*at != '/' || at[1] == '\0')
            continue;
        *at = '\0';
        bool there = (stat(path, &status) == 0 && status.type == FILE_DIRECTORY) || make(path, true);
        *at = '/';
        if (!there)
            return false;
    }
    return make(path, true);
}

int main(int argc, char* argv[]) {
    bool above = argc > 1 && strcmp(argv[1], "-p") == 0;
    int first = above ? 2 : 1;
    int failed = 0;

    if (first >= argc) {
        dprintf(STDERR, "usage: mkdir [-p] DIRECTORY...\n");
        return 2;
    }
    for (int i = first; i < argc; i++)
        failed |= above ? argv[i][0] == '\0' || !make_all(argv[i]) : !make(argv[i], false);
    return failed;
}
