// Owns: RecordingWriter, a run as a file: its images, inputs, events, hashes and checkpoints (docs/recordings.md).
// Callers: HostEnds opens it, the session tells it where the machine is. Promises: what it adds to a run is not seen by
// the guest; killed at any time, the file holds everything up to its last whole chunk.
#pragma once

#include <memory>
#include <string>

#include "emu/machine/machine.hpp"
#include "emu/session/recording/recording_format.hpp"
#include "emu/trace/trace_file.hpp"

namespace forkscope {

class RecordingWriter {
  public:
    static constexpr u64 kHashSpacing = 4'000'000;        // instructions
    static constexpr u64 kCheckpointSpacing = 16'000'000; // a multiple of it
    static constexpr u32 kWholeEvery = 16;                // checkpoints

    // `run` is the machine's, which is at the place where the recording begins.
    static Result<std::unique_ptr<RecordingWriter>> create(const std::string& path, FileHeader header,
                                                           const RecordedRun& run, const RecordedNames& names,
                                                           Machine& machine);

    // The sink that the session attaches; it holds the file, too.
    TraceFileWriter& events() { return *events_; }
    // At this count of instructions the machine stops next, and noted() is called.
    u64 next_stop() const { return next_hash_; }
    // Between two slices.
    void noted();
    // The end of the run: the last hash, what is buffered, the index.
    Result<void> finish();

  private:
    RecordingWriter(std::unique_ptr<TraceFileWriter> events, Machine& machine)
        : events_(std::move(events)), machine_(machine) {}
    void write_images(const RecordedRun& run);
    void write_names(const RecordedNames& names);
    void mark();
    void write_log();
    void write_checkpoint();
    u32 write_memory(bool whole);

    std::unique_ptr<TraceFileWriter> events_;
    Machine& machine_;
    std::vector<HashMark> marks_; // not in the file yet
    u64 inputs_written_ = 0;
    u64 next_hash_ = 0;
    u64 next_checkpoint_ = 0;
    u32 checkpoints_ = 0;
    u32 whole_ = 0;
    u32 epoch_ = 1; // frames written in it are not in a checkpoint
};

} // namespace forkscope
