// Owns: chunk files, the one container of whatever outlives a run: a header, then typed chunks, each with its own
// length and checksum, then an index. Callers: snapshots, traces. The format is docs/chunk-files.md. Promises: a file
// that was cut off opens up to its last whole chunk; no size in a file is believed that file and caller cannot hold; no
// bytes in a file can harm the reader.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "emu/files/packing.hpp"
#include "emu/files/whole_file.hpp"

namespace forkscope {

// What a file is. A reader of one kind tells the others by name, and refuses versions that it does not know.
struct FileKind {
    std::string_view magic; // eight letters
    u32 version = 0;
    std::string_view name;    // "trace"
    std::string_view refresh; // what to do about a file of another version: "record it again"
};
inline constexpr FileKind kTraceFile = {"FSTRACE\n", 2, "trace", "record it again"};
inline constexpr FileKind kSnapshotFile = {"FSCPSNAP", 2, "snapshot", "save it again"};
inline constexpr FileKind kRecordingFile = {"FSCPRECD", 1, "recording", "record it again"};

// Four letters as a number whose bytes are these letters.
constexpr u32 chunk_type(std::string_view letters) {
    return static_cast<u32>(static_cast<u8>(letters[0])) | static_cast<u32>(static_cast<u8>(letters[1])) << 8 |
           static_cast<u32>(static_cast<u8>(letters[2])) << 16 | static_cast<u32>(static_cast<u8>(letters[3])) << 24;
}

// What a reader may know of a chunk without reading it: its name, or what it spans. Repeated in the index.
using ChunkLabel = std::array<u8, 48>;

enum class Packing : u32 { None = 0, Zstd = 1 };

// What the file says of itself, as text: "machine", "image.kernel"…
struct FileHeader {
    std::vector<std::pair<std::string, std::string>> fields;

    void set(std::string key, std::string value);
    const std::string* get(std::string_view key) const;
};

// Where a chunk lies and what it is.
struct Chunk {
    u64 offset = 0; // of its head in the file
    u32 type = 0;
    u32 version = 0; // of what it holds
    Packing packing = Packing::None;
    u64 stored_bytes = 0;
    u64 plain_bytes = 0;
    ChunkLabel label{};
    u64 body_hash = 0;
};

class ChunkFileWriter {
  public:
    // Writes the header. The file has a temporary name until take_name() or finish().
    // `level` is zstd's.
    static Result<ChunkFileWriter> create(const std::string& path, const FileKind& kind, const FileHeader& header,
                                          int level = 3);

    // After an error the file ends with the last whole chunk, and nothing more can be written.
    Result<void> append(u32 type, u32 version, const ChunkLabel& label, std::span<const u8> body, Packing packing);
    // For files that are of use unfinished; see WholeFile.
    Result<void> take_name() { return file_.take_name(); }
    // Writes the index and closes.
    Result<void> finish();
    u64 bytes_written() const { return file_.bytes_written(); }

  private:
    ChunkFileWriter(WholeFile file, int level) : file_(std::move(file)), packer_(level) {}
    Result<void> write_chunk(u32 type, u32 version, const ChunkLabel& label, std::span<const u8> body, Packing packing);

    WholeFile file_;
    Packer packer_;
    std::vector<u8> packed_;
    std::vector<u8> index_; // an entry a chunk
};

class ChunkFileReader {
  public:
    // `kin`, if any, is a kind whose files hold what those of `kind` do, and are as welcome.
    static Result<ChunkFileReader> open(const std::string& path, const FileKind& kind, const FileKind* kin = nullptr);
    // `name` is what messages call it.
    static Result<ChunkFileReader> from_bytes(std::vector<u8> bytes, const FileKind& kind, const std::string& name,
                                              const FileKind* kin = nullptr);

    const FileKind& kind() const { return *kind_; }
    const FileHeader& header() const { return header_; }
    const std::vector<Chunk>& chunks() const { return chunks_; }
    u64 file_bytes() const { return size_; }
    // True if the index at the end is there: the file was finished.
    bool complete() const { return complete_; }
    // What was found wrong while opening; empty if nothing.
    const std::string& damage() const { return damage_; }

    // The plain bytes of a chunk, at most `most` of them. Nothing: it is damaged, or larger.
    std::optional<std::vector<u8>> read(const Chunk& chunk, u64 most) const;

  private:
    using ReadAt = std::function<bool(u64 offset, std::span<u8> bytes)>;
    static Result<ChunkFileReader> open_source(ReadAt read_at, u64 size, const FileKind& kind, const FileKind* kin,
                                               const std::string& name);
    std::optional<Chunk> chunk_at(u64 offset) const;
    bool read_index(u64 first_chunk);
    void scan(u64 offset);

    ReadAt read_at_;
    u64 size_ = 0;
    const FileKind* kind_ = nullptr;
    FileHeader header_;
    std::vector<Chunk> chunks_; // without header and index
    bool complete_ = false;
    std::string damage_;
};

} // namespace forkscope
