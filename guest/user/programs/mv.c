/* mv: gives a file or directory another name, or moves several into a directory. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

#define PATH_BYTES 256

/* Says whether a path names a directory. */
static bool is_directory(const char* path) {
    struct stat status;

    return stat(path, &status) == 0 && status.type == FILE_DIRECTORY;
}

/* Returns the last name of a path; a final slash is none. */
static const char* last_name(const char* path) {
    const char* name = path;

    for (; *path != '\0'; path++)
        if (*path == '/' && path[1] != '\0' && path[1] != '/')
            name = path + 1;
    return name;
}

/* Moves one file to a path, or into a directory; returns whether it is there. */
static bool move(const char* from, const char* to) {
    char path[PATH_BYTES];

    if (is_directory(to) && snprintf(path, sizeof path, "%s/%s", to, last_name(from)) < (int)sizeof path)
        to = path;
    if (rename(from, to) == 0)
        return true;
    dprintf(STDERR, "mv: %s to %s: %s\n", from, to, error_text(errno));
    return false;
}

int main(int argc, char* argv[]) {
    int failed = 0;

    if (argc < 3 || (argc > 3 && !is_directory(argv[argc - 1]))) {
        dprintf(STDERR, "usage: mv FROM TO, or mv FILE... DIRECTORY\n");
        return 2;
    }
    for (int i = 1; i < argc - 1; i++)
        failed |= !move(argv[i], argv[argc - 1]);
    return failed;
}
