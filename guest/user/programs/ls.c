/* ls: lists directories, or files, sorted by name. -l adds type and size. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

/* Compares two entries by name, for sort(). */
static int by_name(const void* left, const void* right) {
    return strcmp(((const struct dirent*)left)->name, ((const struct dirent*)right)->name);
}

/* Returns the letter that stands for a file's type. */
static char type_letter(unsigned type) {
    switch (type) {
    case FILE_REGULAR:
        return '-';
    case FILE_DIRECTORY:
        return 'd';
    case FILE_DEVICE:
        return 'c';
    case FILE_PIPE:
        return 'p';
    default:
        return '?';
    }
}

/* Prints one entry. */
static void show(const struct dirent* entry, bool all) {
    if (all)
        printf("%c %8u  %s\n", type_letter(entry->type), entry->size, entry->name);
    else
        printf("%s%s\n", entry->name, entry->type == FILE_DIRECTORY ? "/" : "");
}

/* Reads all entries of a directory into memory that the caller frees; returns NULL with errno on failure. */
static struct dirent* read_entries(int fd, size_t* count) {
    struct dirent* entries = NULL;
    size_t room = 0;
    int more;

    *count = 0;
    do {
        if (*count == room) {
            room += 32;
            struct dirent* bigger = realloc(entries, room * sizeof *entries);
            if (bigger == NULL) {
                free(entries);
                return NULL;
            }
            entries = bigger;
        }
        more = readdir(fd, &entries[*count]);
        *count += more == 1;
    } while (more == 1);
    if (more < 0) {
        free(entries);
        return NULL;
    }
    return entries;
}

/* Lists one directory. */
static int list_directory(const char* path, bool all) {
    int fd = open(path, O_RDONLY);
    size_t count;
    struct dirent* entries = fd < 0 ? NULL : read_entries(fd, &count);

    if (fd >= 0)
        close(fd);
    if (entries == NULL) {
        complain("ls", path);
        return 1;
    }
    sort(entries, count, sizeof *entries, by_name);
    for (size_t i = 0; i < count; i++)
        show(&entries[i], all);
    free(entries);
    return 0;
}

/* Lists what a path names: a directory's entries, or the file itself. */
static int list(const char* path, bool all) {
    struct stat status;
    struct dirent entry;

    if (stat(path, &status) < 0) {
        complain("ls", path);
        return 1;
    }
    if (status.type == FILE_DIRECTORY)
        return list_directory(path, all);
    entry.type = status.type;
    entry.size = status.size;
    strlcpy(entry.name, path, sizeof entry.name);
    show(&entry, all);
    return 0;
}

/* Lists each path given, or the working directory. */
int main(int argc, char* argv[]) {
    bool all = argc > 1 && strcmp(argv[1], "-l") == 0;
    int first = all ? 2 : 1;
    int failed = 0;

    if (first >= argc)
        return list(".", all);
    for (int i = first; i < argc; i++) {
        if (argc - first > 1)
            printf("%s:\n", argv[i]);
        failed |= list(argv[i], all);
    }
    return failed;
}
