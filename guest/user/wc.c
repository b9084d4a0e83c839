/* wc: counts lines, words and bytes of files, or of standard input. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/system.h"

/* What was counted. */
struct counts {
    unsigned lines;
    unsigned words;
    unsigned bytes;
};

/* Prints one line of the result. */
static void show(const struct counts* counts, const char* name) {
    printf("%7u %7u %7u %s\n", counts->lines, counts->words, counts->bytes, name);
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

/* Counts each file named, and their sum if there are several. */
int main(int argc, char* argv[]) {
    struct counts total = {0, 0, 0};
    int failed = 0;

    if (argc < 2)
        return count_descriptor(STDIN, "", &total);
    for (int i = 1; i < argc; i++) {
        int fd = open(argv[i], O_RDONLY);
        if (fd < 0) {
            complain("wc", argv[i]);
            failed = 1;
            continue;
        }
        failed |= count_descriptor(fd, argv[i], &total);
        close(fd);
    }
    if (argc > 2)
        show(&total, "total");
    return failed;
}
