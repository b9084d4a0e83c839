#include "guest/abi/trace.h"

/* Whether a host listens; kernel_main() asks before anything else. */
bool trace_listening;
