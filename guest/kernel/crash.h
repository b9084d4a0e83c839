/* Owns: breaking the kernel on purpose, so that the ways to break can be seen and tested. */
#ifndef KERNEL_CRASH_H
#define KERNEL_CRASH_H

/* Breaks the kernel as crash=fault|overrun|assert|divide says; returns if the command line does not ask for it. Process
 * 1 calls it in the kernel, before it becomes init. */
void crash_if_asked(void);

#endif
