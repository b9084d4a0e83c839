/* Owns: how guest code emits a tracepoint: the kernel in ring 0, a server with IOPL 3. C for the guest alone. Callers:
 * programs that define trace_listening and call trace_init() once. Promises: if no host listens on the trace port, a
 * tracepoint costs one test of a flag. */
#ifndef FORKSCOPE_ABI_TRACE_H
#define FORKSCOPE_ABI_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/abi/ports.h"
#include "guest/abi/tracepoints.h"

extern bool trace_listening;

/* Writes one of the trace ports. */
static inline void trace_write(uint16_t port, uint32_t value) {
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

/* Asks the port whether a host listens; trace() does nothing before. */
static inline void trace_init(void) {
    uint32_t answer;
    __asm__ volatile("inl %1, %0" : "=a"(answer) : "Nd"((uint16_t)ABI_PORT_TRACE_ID));
    trace_listening = answer == ABI_TRACE_MAGIC;
}

/* Emits one event: arguments first, the id last, because the write of the id emits it. */
static inline void trace(unsigned id, uint32_t argument0, uint32_t argument1, uint32_t argument2) {
    if (trace_listening) {
        trace_write(ABI_PORT_TRACE_ARG0, argument0);
        trace_write(ABI_PORT_TRACE_ARG1, argument1);
        trace_write(ABI_PORT_TRACE_ARG2, argument2);
        trace_write(ABI_PORT_TRACE_ID, id);
    }
}

#endif
