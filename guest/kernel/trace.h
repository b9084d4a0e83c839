/* Owns: the guest's tracepoints. Anybody in the kernel calls. Promises: where nobody listens on the trace port,
 * a tracepoint costs one test of a flag. */
#ifndef KERNEL_TRACE_H
#define KERNEL_TRACE_H

#include "guest/abi/ports.h"
#include "guest/abi/tracepoints.h"
#include "x86.h"

extern bool trace_listening;

/* Asks the port whether somebody listens. */
void trace_init(void);

/* States one event: arguments first, the id last, for the write of the id emits it. */
static inline void trace(unsigned id, uint32_t argument0, uint32_t argument1, uint32_t argument2) {
    if (trace_listening) {
        outl(ABI_PORT_TRACE_ARG0, argument0);
        outl(ABI_PORT_TRACE_ARG1, argument1);
        outl(ABI_PORT_TRACE_ARG2, argument2);
        outl(ABI_PORT_TRACE_ID, id);
    }
}

#endif
