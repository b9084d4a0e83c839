// Owns: the trace file: TraceFileWriter, a sink that records, and TraceFileReader. The format is docs/trace-format.md.
// Callers: cli, exports, tests. Promises: a file that was cut off anywhere opens up to its last whole chunk; a write
// error is reported and what was written before stays readable; no bytes in a file can harm the reader.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/trace.hpp"

namespace forkscope {

inline constexpr u32 kTraceVersion = 1;
inline constexpr u32 kTraceEventsPerChunk = 65536;

// What the file says about the run: "machine", "seed", "image.kernel"…; the writer adds "schema".
struct TraceHeader {
    std::vector<std::pair<std::string, std::string>> fields;

    void set(std::string key, std::string value);
    const std::string* get(std::string_view key) const;
};

// trace_kinds.def as text: a line a kind, tab-separated: number, name, exported name, a, b, c, d, sentence.
std::string trace_schema();

// Where a chunk lies and what it spans.
struct TraceChunk {
    u64 offset = 0; // of its head in the file
    u32 body_bytes = 0;
    u32 events = 0;
    u64 first_event = 0;
    u64 first_instructions = 0, last_instructions = 0;
    Cycles first_cycle = 0, last_cycle = 0;
};

// The process must ignore SIGXFSZ, so that a file-size limit is an error of the writer and not the end of the process.
class TraceFileWriter : public TraceSink {
  public:
    static Result<std::unique_ptr<TraceFileWriter>> create(const std::string& path, TraceHeader header,
                                                           TraceKinds kinds = kAllTraceKinds);
    // Finishes the file if finish() was not called; a failure then goes to the log.
    ~TraceFileWriter() override;
    TraceFileWriter(const TraceFileWriter&) = delete;
    TraceFileWriter& operator=(const TraceFileWriter&) = delete;

    TraceKinds kinds() const override { return kinds_; }
    void on_event(const TraceEvent& event) override;
    // Writes what is buffered and the index. The Error says how many events are in the file and how many are lost.
    Result<void> finish();
    // After the first write error nothing more is written.
    bool failed() const { return !error_.empty(); }
    u64 events_written() const { return written_; }
    u64 events_lost() const { return lost_; }
    u64 bytes_written() const { return good_bytes_; }

  private:
    TraceFileWriter(std::string path, int file) : path_(std::move(path)), file_(file) {}
    void write_chunk();
    void write_index();
    bool write_all(std::span<const u8> bytes);

    std::string path_;
    int file_;
    TraceKinds kinds_ = kAllTraceKinds;
    bool finished_ = false;
    std::string error_;
    std::vector<TraceEvent> buffer_;
    std::vector<TraceChunk> chunks_;
    u64 written_ = 0;
    u64 lost_ = 0;
    u64 good_bytes_ = 0; // the file's length up to the last whole part
};

class TraceFileReader {
  public:
    static Result<TraceFileReader> open(const std::string& path);
    static Result<TraceFileReader> from_bytes(std::vector<u8> bytes);

    u32 version() const { return version_; }
    const TraceHeader& header() const { return header_; }
    const std::vector<TraceChunk>& chunks() const { return chunks_; }
    u64 event_count() const { return chunks_.empty() ? 0 : chunks_.back().first_event + chunks_.back().events; }
    u64 file_bytes() const { return size_; }
    // True if the index at the end is there: the recording was ended in order.
    bool complete() const { return complete_; }
    // What was found wrong while opening; empty if nothing.
    const std::string& damage() const { return damage_; }

    Result<std::vector<TraceEvent>> read_chunk(std::size_t number) const;
    // Calls `visit` for every event in order until it returns false. Damaged chunks are left out and make the result an
    // Error that names them, after everything readable was visited.
    Result<void> for_each(const std::function<bool(const TraceEvent&)>& visit) const;
    // The name of a kind as the file's own schema has it: a newer file may know more kinds than this program.
    std::string kind_name(u8 kind) const;

  private:
    using ReadAt = std::function<bool(u64 offset, std::span<u8> bytes)>;
    static Result<TraceFileReader> open_source(ReadAt read_at, u64 size, const std::string& name);
    Result<u64> read_header(const std::string& name);
    bool read_index(u64 first_chunk);
    void scan(u64 offset);
    std::optional<TraceChunk> chunk_at(u64 offset) const;

    ReadAt read_at_;
    u64 size_ = 0;
    u32 version_ = 0;
    TraceHeader header_;
    std::vector<std::string> schema_names_;
    std::vector<TraceChunk> chunks_;
    bool complete_ = false;
    std::string damage_;
};

} // namespace forkscope
