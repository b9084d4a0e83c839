// Owns: the layout of a trace file's parts in bytes: heads, columns, index. docs/trace-format.md says the same in
// words. Callers: the writer and the reader of trace files. Promises: little-endian; unpacking checks every length.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "emu/base/trace.hpp"

namespace forkscope::trace_layout {

inline constexpr char kFileMagic[8] = {'F', 'S', 'T', 'R', 'A', 'C', 'E', '\n'};
inline constexpr char kEndMagic[8] = {'F', 'S', 'T', 'R', 'E', 'N', 'D', '\n'};
inline constexpr u32 kChunkMagic = 0x4B4E4843; // "CHNK"
inline constexpr u32 kIndexMagic = 0x58444E49; // "INDX"
inline constexpr u32 kColumns = 11;
inline constexpr u32 kMostEvents = 1u << 20; // in one chunk
inline constexpr u32 kMostVarint = 10;       // bytes

// Starts every chunk and the index. `hash` is XXH3-64 over the head with hash = 0, then the body.
struct PartHead {
    u32 magic = 0;
    u32 body_bytes = 0;
    u32 events = 0;      // index: number of chunks
    u32 columns = 0;     // index: 0
    u64 first_event = 0; // index: number of events in the file
    u64 first_instructions = 0;
    u64 last_instructions = 0;
    u64 first_cycle = 0;
    u64 last_cycle = 0;
    u64 hash = 0;
};
static_assert(sizeof(PartHead) == 64, "the head is part of the file format");

// The index's body is one of these per chunk.
struct IndexEntry {
    u64 offset = 0;
    u32 body_bytes = 0;
    u32 events = 0;
    u64 first_instructions = 0;
    u64 last_instructions = 0;
    u64 first_cycle = 0;
    u64 last_cycle = 0;
};
static_assert(sizeof(IndexEntry) == 48, "the entry is part of the file format");

u64 part_hash(PartHead head, std::span<const u8> body);

// The column table {packed bytes, raw bytes} x kColumns, then the packed columns.
std::vector<u8> pack_events(std::span<const TraceEvent> events);
// Nothing if the body is not what `pack_events` makes.
std::optional<std::vector<TraceEvent>> unpack_events(std::span<const u8> body, u32 events);

} // namespace forkscope::trace_layout
