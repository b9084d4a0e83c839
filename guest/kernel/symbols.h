/* Owns: the names of the kernel's functions, built into the image by the build. Only panics ask. */
#ifndef KERNEL_SYMBOLS_H
#define KERNEL_SYMBOLS_H

#include "guest/kernel/types.h"

/* Returns the function that an address lies in and how far inside; NULL outside the kernel's code. */
const char* symbol_name(ptr_t address, unsigned* offset);

#endif
