/* Owns: breaking the kernel on purpose, so that the ways to break can be seen and tested. */
#ifndef KERNEL_CRASH_H
#define KERNEL_CRASH_H

/* Does what crash=fault|overrun|assert|divide on the command line asks for; returns where it asks for nothing. */
void crash_if_asked(void);

#endif
