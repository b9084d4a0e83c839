/* Owns: how a test fails, and the page in which it says why. */
#include "guest/user/usertests/report.h"

#include "guest/user/usertests/usertests.h"

#define REPORT_BYTES PAGE_BYTES

static char* report; /* shared by all processes of a run; NULL in a program started by exec */

/* Forgets the reason of the test before. */
void clear_report(void) {
    if (report != NULL)
        report[0] = '\0';
}

/* Makes the shared page, before the first test. Without it, reasons go to standard error. */
void prepare_report(void) {
    void* page = mmap(NULL, REPORT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    report = page == MAP_FAILED ? NULL : page;
    clear_report();
}

/* Returns the first reason given since clear_report. */
const char* read_report(void) { return report != NULL ? report : ""; }

/* Leaves a reason, unless an earlier one is there, and ends the process with the status. */
static __attribute__((noreturn)) void leave(int status, const char* reason) {
    if (report == NULL)
        dprintf(STDERR, "usertests: %s\n", reason);
    else if (report[0] == '\0')
        strlcpy(report, reason, REPORT_BYTES);
    exit(status);
}

/* Ends the process as failed; FAIL and the CHECK macros call it. */
void fail(const char* file, int line, const char* format, ...) {
    char reason[256];
    va_list arguments;

    int used = snprintf(reason, sizeof reason, "%s:%d: ", file, line);
    va_start(arguments, format);
    vsnprintf(reason + used, sizeof reason - (size_t)used, format, arguments);
    va_end(arguments);
    leave(1, reason);
}

/* Ends the test's process as not applicable to this kernel or machine. */
void skip(const char* why) { leave(SKIPPED, why); }

/* Fails unless both numbers are equal; CHECK_EQUAL calls it. */
void check_equal(const char* file, int line, const char* what, int actual, int expected) {
    if (actual != expected)
        fail(file, line, "%s is %d (0x%x), not %d (0x%x)", what, actual, (unsigned)actual, expected,
             (unsigned)expected);
}

/* Fails unless a call has failed with the right error; CHECK_ERROR calls it. */
void check_error(const char* file, int line, const char* what, int result, int error) {
    if (result != -1)
        fail(file, line, "%s gave %d, not the error \"%s\"", what, result, error_text(error));
    if (errno != error)
        fail(file, line, "%s: %s, not \"%s\"", what, error_text(errno), error_text(error));
}
