#include "guest/abi/trace.h"

/* Whether somebody listens; kernel_main() has it asked first of all. */
bool trace_listening;
