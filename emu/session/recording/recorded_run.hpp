// Owns: how options and sessions go on from a recording: its machine, its known future, its checkpoints.
// Callers: commands call adopt_recording() first, Session the rest. Promises: what the recording decides is not asked
// of anybody else; what cannot be re-executed is refused by name.
#pragma once

#include <memory>

#include "emu/machine/timeline/timeline.hpp"
#include "emu/session/options/options.hpp"
#include "emu/session/recording/recording.hpp"

namespace forkscope {

// Opens options.recording_path, if there is one, and takes over what it decides: machine, images, where a run ends.
// Tells what is missing of it.
Result<void> adopt_recording(Options& options);

// Before a run's files are opened: the machine to the recording's beginning, which may not be power-on.
Result<void> begin_recorded(Machine& machine, const Recording& recording);

// Checkpoints of a recording for a timeline.
class RecordingShelf final : public CheckpointShelf {
  public:
    explicit RecordingShelf(std::shared_ptr<const Recording> recording);
    const std::vector<Position>& places() const override { return places_; }
    Result<void> put_back(std::size_t place, Machine& machine) const override;

  private:
    std::shared_ptr<const Recording> recording_;
    std::vector<Position> places_;
};

// The machine of a timeline, which is at the recording's beginning, to the place that the options ask for; `run` goes
// on from there as a branch.
Result<void> open_recorded_place(Timeline& timeline, const RecordingShelf& shelf, const Options& options);
// The same where the program cannot re-execute it: to a checkpoint, without a past.
Result<void> open_recorded_checkpoint(Machine& machine, const Options& options);

} // namespace forkscope
