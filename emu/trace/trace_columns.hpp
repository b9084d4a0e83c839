// Owns: the layout of a trace's chunks of events: what the label says, and the columns. docs/trace-format.md says the
// same in words. Callers: the writer and the reader of trace files. Promises: little-endian; unpacking checks every
// length.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "emu/base/trace.hpp"
#include "emu/files/chunk_file.hpp"

namespace forkscope::trace_layout {

inline constexpr u32 kEventsType = chunk_type("EVNT");
inline constexpr u32 kEventsVersion = 1;
inline constexpr u32 kColumns = 11;
inline constexpr u32 kMostEvents = 1u << 17; // in one chunk
inline constexpr u32 kMostVarint = 10;       // bytes

// The label of a chunk.
struct EventSpan {
    u32 events = 0;
    u32 columns = kColumns;
    u64 first_event = 0;
    u64 first_instructions = 0;
    u64 last_instructions = 0;
    u64 first_cycle = 0;
    u64 last_cycle = 0;
};
static_assert(sizeof(EventSpan) == sizeof(ChunkLabel), "the label is part of the file format");

// The column table {packed bytes, raw bytes} x kColumns, then the packed columns.
std::vector<u8> pack_events(Packer& packer, std::span<const TraceEvent> events);
// The largest body of so many events.
u64 most_body_bytes(u32 events);
// Nothing if the body is not what `pack_events` makes.
std::optional<std::vector<TraceEvent>> unpack_events(Unpacker& unpacker, std::span<const u8> body, u32 events);

} // namespace forkscope::trace_layout
