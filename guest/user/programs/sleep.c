/* sleep: waits for a number of seconds; a fraction such as 0.25 is understood. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/system.h"

/* Reads seconds with an optional fraction as milliseconds; returns false if the text is not such a number. */
static bool parse_seconds(const char* text, unsigned* milliseconds) {
    unsigned value = 0;
    unsigned places = 0;
    bool digits = false;
    bool point = false;

    for (; *text != '\0'; text++) {
        if (*text == '.' && !point) {
            point = true;
        } else if (*text >= '0' && *text <= '9' && value < 100000000) {
            digits = true;
            if (point && places == 3)
                continue;
            value = value * 10 + (unsigned)(*text - '0');
            places += point;
        } else {
            return false;
        }
    }
    for (; places < 3; places++)
        value *= 10;
    *milliseconds = value;
    return digits;
}

/* Sleeps the whole time, signals or not. */
int main(int argc, char* argv[]) {
    unsigned milliseconds;

    if (argc != 2 || !parse_seconds(argv[1], &milliseconds)) {
        dprintf(STDERR, "usage: sleep SECONDS\n");
        return 2;
    }
    unsigned start = uptime_ms();
    for (unsigned passed; (passed = uptime_ms() - start) < milliseconds;)
        sleep_ms(milliseconds - passed);
    return 0;
}
