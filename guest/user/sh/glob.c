#include "guest/user/sh/glob.h"

#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

#define PATH_BYTES 256

static char path[PATH_BYTES]; /* as far as it is matched */
static bool (*report)(const char* path);

bool is_pattern(const char* word) { return strchr(word, GLOB_MANY) != NULL || strchr(word, GLOB_ONE) != NULL; }

/* Says whether a name matches the part of a pattern before `end`. */
static bool matches(const char* pattern, const char* end, const char* name) {
    for (; pattern < end; pattern++, name++) {
        if (*pattern == GLOB_MANY) {
            do {
                if (matches(pattern + 1, end, name))
                    return true;
            } while (*name++ != '\0');
            return false;
        }
        if (*name == '\0' || (*pattern != GLOB_ONE && *pattern != *name))
            return false;
    }
    return *name == '\0';
}

/* Appends to the path; false where it would be too long. */
static bool append(size_t at, const char* text, size_t count) {
    if (at + count >= sizeof path)
        return false;
    memcpy(path + at, text, count);
    path[at + count] = '\0';
    return true;
}

static bool match_rest(size_t at, const char* rest);

/* Goes through a directory for the names that match the pattern's next part. False once the caller wants no more. */
static bool match_names(size_t at, const char* part, const char* end) {
    struct dirent entry;
    bool more = true;
    int fd = open(at > 0 ? path : ".", O_RDONLY);

    while (more && fd >= 0 && readdir(fd, &entry) == 1) {
        bool hidden = entry.name[0] == '.' && *part != '.';
        if (!hidden && matches(part, end, entry.name) && append(at, entry.name, strlen(entry.name)) &&
            (*end == '\0' || entry.type == FILE_DIRECTORY))
            more = match_rest(at + strlen(entry.name), end);
        path[at] = '\0';
    }
    if (fd >= 0)
        close(fd);
    return more;
}

/* Matches what follows the path of length `at`. False once the caller wants no more. */
static bool match_rest(size_t at, const char* rest) {
    struct stat status;

    for (; *rest == '/'; rest++)
        if (!append(at++, rest, 1))
            return true;
    if (*rest == '\0')
        return stat(path, &status) < 0 || report(path);
    const char* end = rest;
    bool pattern = false;
    for (; *end != '\0' && *end != '/'; end++)
        pattern = pattern || *end == GLOB_MANY || *end == GLOB_ONE;
    if (pattern)
        return match_names(at, rest, end);
    return !append(at, rest, (size_t)(end - rest)) || match_rest(at + (size_t)(end - rest), end);
}

void for_each_match(const char* pattern, bool (*found)(const char* path)) {
    report = found;
    path[0] = '\0';
    match_rest(0, pattern);
}
