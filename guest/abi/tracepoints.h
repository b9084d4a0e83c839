/* Owns: the numbers by which a guest kernel states what its fork does, as constants of C: TP_*, FAULT_*, FRAME_*.
 * Callers: guest kernels (to emit), emu/observe (to understand). Made from tracepoints.def, where all else is said. */
#ifndef FORKSCOPE_ABI_TRACEPOINTS_H
#define FORKSCOPE_ABI_TRACEPOINTS_H

enum abi_tracepoint {
#define TRACEPOINT(id, name, ...) TP_##name = (id),
#include "guest/abi/tracepoints.def"
};

enum abi_fault_class {
#define FAULT_CLASS(value, name, ...) FAULT_##name = (value),
#include "guest/abi/tracepoints.def"
};

enum abi_frame_use {
#define FRAME_USE(value, name, text) FRAME_##name = (value),
#include "guest/abi/tracepoints.def"
};

#endif
