// Owns: where the names of a guest come from when there is only a file of events.
// Callers: `forkscope trace query`. Promises: no other file is opened; at most 16 MB of images are read.
#pragma once

#include "emu/symbols/symbolizer.hpp"
#include "emu/trace/trace_file.hpp"

namespace forkscope {

// From a recording's own images; of a trace whose header names the checksums of a built-in guest, from that guest.
void add_symbols_of_trace(Symbolizer& symbols, const TraceFileReader& trace);

} // namespace forkscope
