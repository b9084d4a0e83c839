#include "trace.h"

bool trace_listening;

/* Asks the trace port whether somebody listens; kernel_main() calls it first of all. */
void trace_init(void) { trace_listening = inl(ABI_PORT_TRACE_ID) == ABI_TRACE_MAGIC; }
