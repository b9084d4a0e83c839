/* wc: counts lines, words and bytes of files, or of standard input. -l, -w and -c choose what is shown. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

/* What was counted. */
struct counts {
    unsigned lines;
    unsigned words;
    unsigned bytes;
};

static const char* shown = "lwc"; /* the columns, as letters */

/* Prints one line of the result. */
static void show(const struct counts* counts, const char* name) {
    if (strchr(shown, 'l') != NULL)
        printf("%7u ", counts->lines);
    if (strchr(shown, 'w') != NULL)
        printf("%7u ", counts->words);
    if (strchr(shown, 'c') != NULL)
        printf("%7u ", counts->bytes);
    printf("%s\n", name);
}

/* Counts what the descriptor gives, shows it and adds it to the total; returns 0, or 1 after a complaint. */
static int count_descriptor(int fd, const char* name, struct counts* total) {
    static char buffer[2048];
    struct counts counts = {0, 0, 0};
    bool in_word = false;
    int count;

    while ((count = read(fd, buffer, sizeof buffer)) > 0) {
        counts.bytes += (unsigned)count;
        for (int i = 0; i < count; i++) {
            bool space = buffer[i] == ' ' || (buffer[i] >= '\t' && buffer[i] <= '\r');
            counts.lines += buffer[i] == '\n';
            counts.words += in_word && space;
            in_word = !space;
        }
    }
    counts.words += in_word;
    if (count < 0) {
        complain("wc", name);
        return 1;
    }
    show(&counts, name);
    total->lines += counts.lines;
    total->words += counts.words;
    total->bytes += counts.bytes;
    return 0;
}

/* Opens and counts one file; returns 0, or 1 after a complaint. */
static int count_file(const char* name, struct counts* total) {
    int fd = open(name, O_RDONLY);

    if (fd < 0) {
        complain("wc", name);
        return 1;
    }
    int failed = count_descriptor(fd, name, total);
    close(fd);
    return failed;
}

/* Counts each file named, and their sum if there are several. */
int main(int argc, char* argv[]) {
    struct counts total = {0, 0, 0};
    int first = 1;
    int failed = 0;

    if (argc > 1 && argv[1][0] == '-') {
        shown = argv[1] + 1;
        first = 2;
    }
    for (const char* letter = shown; *letter != '\0'; letter++) {
        if (strchr("lwc", *letter) == NULL) {
            dprintf(STDERR, "usage: wc [-lwc] [FILE]...\n");
            return 2;
        }
    }
    if (first >= argc)
        return count_descriptor(STDIN, "", &total);
    for (int i = first; i < argc; i++)
        failed |= count_file(argv[i], &total);
    if (argc - first > 1)
        show(&total, "total");
    return failed;
}
