// Owns: the layout in bytes of what every chunk file is made of. docs/chunk-files.md says the same in words.
// Callers: ChunkFileWriter and ChunkFileReader. Promises: little-endian; nothing here ever changes but with the version
// of every kind of file.
#pragma once

#include <array>

#include "emu/files/chunk_file.hpp"

namespace forkscope::chunk_layout {

inline constexpr u32 kChunkMagic = chunk_type("CHNK");
inline constexpr u32 kHeaderType = chunk_type("HEAD");
inline constexpr u32 kIndexType = chunk_type("INDX");
inline constexpr std::array<char, 8> kEndMagic = {'C', 'H', 'U', 'N', 'K', 'E', 'N', 'D'};

struct FilePreamble {
    std::array<char, 8> magic{};
    u32 version = 0;
    u32 reserved = 0;
};
static_assert(sizeof(FilePreamble) == 16, "the preamble is part of the file format");

struct ChunkHead {
    u32 magic = kChunkMagic;
    u32 type = 0;
    u32 version = 0;
    u32 packing = 0;
    u64 stored_bytes = 0;
    u64 plain_bytes = 0;
    ChunkLabel label{};
    u64 body_hash = 0; // XXH3-64 of the stored bytes
    u64 head_hash = 0; // XXH3-64 of the head before this field
};
static_assert(sizeof(ChunkHead) == 96, "the head is part of the file format");

// The index's body is one of these per chunk.
struct IndexEntry {
    u64 offset = 0; // of the head in the file
    ChunkHead head;
};
static_assert(sizeof(IndexEntry) == 104, "the entry is part of the file format");

struct FileEnd {
    u64 index_offset = 0;
    std::array<char, 8> magic = kEndMagic;
};
static_assert(sizeof(FileEnd) == 16, "the end is part of the file format");

template <class T> std::span<const u8> bytes_of(const T& value) {
    return {reinterpret_cast<const u8*>(&value), sizeof value};
}
u64 head_hash(const ChunkHead& head);

} // namespace forkscope::chunk_layout
