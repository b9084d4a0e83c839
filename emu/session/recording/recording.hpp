// Owns: Recording, a recorded run that is open: what made its machine, what came from outside, hashes, checkpoints.
// Callers: sessions that go on from one, `replay`, tests. Promises: no other file is opened; memory is taken for what
// the file holds, the guest's RAM and 64 MB; what is damaged is left out and said.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "emu/machine/machine.hpp"
#include "emu/session/recording/recording_format.hpp"
#include "emu/trace/trace_file.hpp"

namespace forkscope {

class Recording {
  public:
    struct Checkpoint {
        Position at;
        u64 inputs = 0; // so many came before
        u64 events = 0; // so many were recorded before
        u32 number = 0;
    };

    static Result<std::shared_ptr<const Recording>> open(const std::string& path);
    static Result<std::shared_ptr<const Recording>> from_bytes(std::vector<u8> bytes, const std::string& name);

    const std::string& name() const { return name_; }
    const RecordedRun& run() const { return run_; }
    // With its images.
    const MachineConfig& machine() const { return run_.machine; }
    const TraceFileReader& events() const { return events_; }
    // Everything that came from outside up to end(), also what came before beginning().
    const std::vector<InputEvent>& inputs() const { return inputs_; }
    const std::vector<HashMark>& hashes() const { return hashes_; }
    // Read from the file. Error: a part of them is damaged.
    Result<RecordedNames> names() const;
    Position beginning() const { return hashes_.front().at; }
    Position end() const { return end_; }
    // In their order; those alone whose parts are all there.
    const std::vector<Checkpoint>& checkpoints() const { return checkpoints_; }
    // The last one at or before a place; nullptr: none.
    const Checkpoint* checkpoint_before(Position at) const;
    // A state as a snapshot holds it. Error: a part of it is damaged.
    Result<Snapshot> state(const Checkpoint& checkpoint) const;
    // What is missing of the run, and why; empty: nothing.
    const std::string& damage() const { return damage_; }

  private:
    struct Stored {
        recording_layout::CheckpointLabel label;
        Chunk chunk;
        std::vector<Chunk> pieces;
    };

    Recording(TraceFileReader events, std::string name) : events_(std::move(events)), name_(std::move(name)) {}
    static Result<std::shared_ptr<const Recording>> of(Result<ChunkFileReader> file, const std::string& name);
    Result<void> read_run();
    Result<void> read_images();
    bool read_log(const Chunk& chunk);
    Result<void> read_past();
    void list_checkpoints();
    bool reachable(const Stored& stored) const;

    TraceFileReader events_;
    std::string name_;
    RecordedRun run_;
    std::vector<InputEvent> inputs_;
    std::vector<HashMark> hashes_;
    Position end_;
    std::map<u32, Stored> stored_; // by number
    std::vector<Checkpoint> checkpoints_;
    std::string damage_;
};

} // namespace forkscope
