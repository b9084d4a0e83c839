/* echo: prints its arguments, with spaces between them. -n leaves out the newline. */
#include "guest/user/lib/stdio.h"
#include "guest/user/lib/string.h"

/* Prints the arguments; fails if they could not be written. */
int main(int argc, char* argv[]) {
    int first = argc > 1 && strcmp(argv[1], "-n") == 0 ? 2 : 1;
    int result = 0;

    for (int i = first; i < argc; i++)
        result |= printf(i + 1 < argc ? "%s " : "%s", argv[i]);
    if (first == 1)
        result |= printf("\n");
    return result < 0 ? 1 : 0;
}
