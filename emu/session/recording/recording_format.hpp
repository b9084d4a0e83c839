// Owns: what a recording's chunks hold besides a trace's events. docs/recordings.md says the same in words.
// Callers: the writer and the reader of recordings. Promises: little-endian; a label is as large as a chunk's; a
// RecordedRun that loads is one that a machine can be made of.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "emu/base/trace.hpp"
#include "emu/files/chunk_file.hpp"
#include "emu/machine/config.hpp"
#include "emu/machine/input_log.hpp"
#include "emu/machine/snapshot.hpp"
#include "emu/machine/timeline/position.hpp"

namespace forkscope {

// Raised with any change after which a run costs other cycles, or has other hashes: such runs open, and are not
// re-executed.
inline constexpr u32 kCostVersion = 1;
inline constexpr u32 kHashVersion = 1;

// What makes the machine, but for its images.
struct RecordedRun {
    std::string program; // "forkscope 0.1.0"
    u32 cost_version = kCostVersion;
    u32 hash_version = kHashVersion;
    u64 firmware = 0; // XXH3: each program has its own
    TraceKinds kinds = 0;
    std::string os; // empty: a kernel of the person's own
    MachineConfig machine;
    std::vector<std::string> modules; // their command lines
    std::vector<u64> images;          // XXH3 of the kernel and of each module

    static RecordedRun of(const MachineConfig& machine, std::string os, TraceKinds kinds);
    void serialize(Archive& ar);
    // Why this program cannot re-execute it; empty: it can.
    std::string refusal() const;
};

// What the person named besides the images, and no machine reads.
struct RecordedNames {
    struct SymbolFile {
        std::string file; // as messages call it
        std::optional<u32> base;
        std::vector<u8> bytes;
    };
    std::vector<SymbolFile> symbols;
    std::string profile_name; // a fork profile; empty: none
    std::string profile;
};

// A hash of the machine's state.
struct HashMark {
    Position at;
    u64 hash = 0;
};

namespace recording_layout {

inline constexpr u32 kRunType = chunk_type("RUNS");
inline constexpr u32 kImageType = chunk_type("IMAG"); // the kernel, then each module
inline constexpr u32 kLogType = chunk_type("PAST");
inline constexpr u32 kMemoryType = chunk_type("FRAM");
inline constexpr u32 kCheckpointType = chunk_type("CKPT");
inline constexpr u32 kSymbolsType = chunk_type("SYMB"); // as many as the header has "symbols.FILE", in their order
inline constexpr u32 kProfileType = chunk_type("PROF"); // of the header's "profile"
inline constexpr u32 kVersion = 1;                      // of each

inline constexpr std::string_view kSymbolsField = "symbols."; // of the header, before a file's name
inline constexpr std::string_view kProfileField = "profile";

inline constexpr u64 kMostRunBytes = u64{1} << 20;
inline constexpr u64 kMostNameBytes = u64{64} << 20; // of all files of symbols
inline constexpr u64 kMostProfileBytes = u64{1} << 20;
inline constexpr u64 kMostStateBytes = u64{48} << 20; // of a checkpoint, but for memory

// Inputs and hashes since the chunk of this type before. Up to here everything is known.
struct LogLabel {
    u64 instructions = 0;
    Cycles cycle = 0;
    u64 first_input = 0;
    u32 deliveries = 0;
    u32 inputs = 0;
    u32 marks = 0;
    u32 reserved[3] = {};
};
static_assert(sizeof(LogLabel) == sizeof(ChunkLabel), "the label is part of the file format");

// Frames that were written since the checkpoint before, or all that are not zero: a piece of memory_pieces.
struct MemoryLabel {
    u32 checkpoint = 0; // the one that the frames belong to, which follows
    u32 piece = 0;
    u64 reserved[5] = {};
};
static_assert(sizeof(MemoryLabel) == sizeof(ChunkLabel), "the label is part of the file format");

// The state besides memory. Its memory is in this one's pieces, and in those of all from `whole` on.
struct CheckpointLabel {
    u64 instructions = 0;
    Cycles cycle = 0;
    u64 inputs = 0; // so many came before
    u64 events = 0; // so many were recorded before
    u32 deliveries = 0;
    u32 number = 0; // from 0
    u32 whole = 0;  // the last with all frames: this one, or one before
    u32 pieces = 0;
};
static_assert(sizeof(CheckpointLabel) == sizeof(ChunkLabel), "the label is part of the file format");

// A file of symbols: the whole of it, as it was.
struct SymbolsLabel {
    u32 base = 0;  // of its lowest byte
    u32 moved = 0; // 1: it lies there, else where it is linked
    u64 reserved[5] = {};
};
static_assert(sizeof(SymbolsLabel) == sizeof(ChunkLabel), "the label is part of the file format");

template <class Label> ChunkLabel label_bytes(const Label& label) {
    ChunkLabel bytes;
    std::copy_n(reinterpret_cast<const u8*>(&label), sizeof label, bytes.begin());
    return bytes;
}
template <class Label> Label label_of(const Chunk& chunk) {
    Label label;
    std::copy_n(chunk.label.begin(), sizeof label, reinterpret_cast<u8*>(&label));
    return label;
}

// The body of a log chunk: inputs, then four words a mark.
void serialize_log(Archive& ar, std::vector<InputEvent>& inputs, std::vector<HashMark>& marks);
// The body of a checkpoint: sections, each with its name, version and bytes.
void serialize_sections(Archive& ar, std::vector<SnapshotSection>& sections);

} // namespace recording_layout
} // namespace forkscope
