// Owns: the trace file: TraceFileWriter, a sink that records, and TraceFileReader. The format is docs/trace-format.md.
// Callers: cli, exports, tests. Promises: a file that was cut off anywhere opens up to its last whole chunk; a write
// error is reported and what was written before stays readable; no bytes in a file can harm the reader.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "emu/base/trace.hpp"
#include "emu/files/chunk_file.hpp"

namespace forkscope {

inline constexpr u32 kTraceEventsPerChunk = 65536;

// What the file says about the run: "machine", "seed", "image.kernel"…; the writer adds "schema".
using TraceHeader = FileHeader;

// trace_kinds.def as text: a line a kind, tab-separated: number, name, a, b, c, d, sentence.
std::string trace_schema();

// What a chunk spans.
struct TraceChunk {
    Chunk chunk; // of the file
    u32 events = 0;
    u64 first_event = 0;
    u64 first_instructions = 0, last_instructions = 0;
    Cycles first_cycle = 0, last_cycle = 0;
};

// The file takes its name with the first event, so that a run that never starts leaves an older trace alone; from then
// on it is of use at any time: to a reader while it grows, and when the process is killed.
class TraceFileWriter : public TraceSink {
  public:
    static Result<std::unique_ptr<TraceFileWriter>> create(const std::string& path, TraceHeader header,
                                                           TraceKinds kinds = kAllTraceKinds,
                                                           const FileKind& kind = kTraceFile);
    // Finishes the file if finish() was not called and there was an event; a failure then goes to the log.
    ~TraceFileWriter() override;
    TraceFileWriter(const TraceFileWriter&) = delete;
    TraceFileWriter& operator=(const TraceFileWriter&) = delete;

    TraceKinds kinds() const override { return kinds_; }
    TraceKinds looks_at() const override { return 0; }
    void on_event(const TraceEvent& event) override;
    // Writes what is buffered, as a chunk of its own.
    void flush();
    // A chunk of another type, behind the events that were written.
    void append(u32 type, u32 version, const ChunkLabel& label, std::span<const u8> body, Packing packing);
    // Writes what is buffered and the index. The Error says how many events are in the file and how many are lost.
    Result<void> finish();
    // After the first write error nothing more is written.
    bool failed() const { return !error_.empty(); }
    // Events so far, in the file or not.
    u64 events_seen() const { return written_ + lost_ + buffer_.size(); }
    u64 events_written() const { return written_; }
    u64 events_lost() const { return lost_; }
    u64 bytes_written() const { return file_.bytes_written(); }

  private:
    TraceFileWriter(ChunkFileWriter file, TraceKinds kinds);
    void on_buffer();
    void write_chunk();

    ChunkFileWriter file_;
    TraceKinds kinds_;
    Packer packer_{1};
    bool finished_ = false;
    std::string error_;
    std::vector<TraceEvent> buffer_;
    std::size_t act_at_ = 1; // on_buffer() is called when so many events are buffered
    u64 written_ = 0;
    u64 lost_ = 0;
};

class TraceFileReader {
  public:
    // A trace, or a recording, which holds one.
    static Result<TraceFileReader> open(const std::string& path);
    static Result<TraceFileReader> from_bytes(std::vector<u8> bytes);
    // Of a file that is open; `name` is what messages call it.
    static Result<TraceFileReader> of(Result<ChunkFileReader> file, const std::string& name);

    u32 version() const { return file_.kind().version; }
    const TraceHeader& header() const { return file_.header(); }
    const ChunkFileReader& file() const { return file_; }
    const std::vector<TraceChunk>& chunks() const { return chunks_; }
    u64 event_count() const { return chunks_.empty() ? 0 : chunks_.back().first_event + chunks_.back().events; }
    u64 file_bytes() const { return file_.file_bytes(); }
    // True if the index at the end is there: the recording was ended in order.
    bool complete() const { return file_.complete(); }
    // What was found wrong while opening; empty if nothing.
    const std::string& damage() const { return damage_; }

    Result<std::vector<TraceEvent>> read_chunk(std::size_t number) const;
    // Calls `visit` for every event in order until it returns false. Damaged chunks are left out and make the result an
    // Error that names them, after everything readable was visited.
    Result<void> for_each(const std::function<bool(const TraceEvent&)>& visit) const;
    // The name of a kind; of one that only a newer program knows, as the file's own schema has it.
    std::string kind_name(u8 kind) const;

  private:
    explicit TraceFileReader(ChunkFileReader file);
    void list_chunks();

    ChunkFileReader file_;
    std::vector<std::string> schema_names_;
    std::vector<TraceChunk> chunks_;
    std::string damage_;
};

} // namespace forkscope
