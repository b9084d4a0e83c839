/* cat: copies files, or standard input, to standard output. */
#include "guest/user/lib/stdio.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

/* Copies everything that the descriptor gives to standard output; returns 0, or 1 after a complaint. */
static int copy(int fd, const char* name) {
    static char buffer[2048];
    int count;

    while ((count = read(fd, buffer, sizeof buffer)) > 0) {
        if (write_all(STDOUT, buffer, (size_t)count) < 0) {
            complain("cat", "standard output");
            return 1;
        }
    }
    if (count < 0)
        complain("cat", name);
    return count < 0;
}

/* Copies each file named; "-" and no name at all mean standard input. */
int main(int argc, char* argv[]) {
    int failed = 0;

    if (argc < 2)
        return copy(STDIN, "standard input");
    for (int i = 1; i < argc; i++) {
        int fd = strcmp(argv[i], "-") == 0 ? dup(STDIN) : open(argv[i], O_RDONLY);
        if (fd < 0) {
            complain("cat", argv[i]);
            failed = 1;
            continue;
        }
        failed |= copy(fd, argv[i]);
        close(fd);
    }
    return failed;
}
