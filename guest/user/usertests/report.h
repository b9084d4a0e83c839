/* Owns: the page in which a failing process leaves its reason for the runner.
 * Callers: main.c reads it, fail() and skip() write it. */
#ifndef FORKSCOPE_USER_USERTESTS_REPORT_H
#define FORKSCOPE_USER_USERTESTS_REPORT_H

#define SKIPPED 77 /* the exit status of a test that says it does not apply */

void prepare_report(void);
void clear_report(void);
const char* read_report(void);

#endif
