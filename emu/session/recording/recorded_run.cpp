#include "emu/session/recording/recorded_run.hpp"

#include "emu/base/log.hpp"
#include "emu/session/recording/rerun.hpp"

namespace forkscope {

Result<void> adopt_recording(Options& options) {
    if (options.recording_path.empty())
        return {};
    auto opened = Recording::open(options.recording_path);
    if (!opened.ok())
        return opened.error();
    const Recording& recording = **opened;
    MachineConfig machine = recording.machine();
    machine.engine = options.machine.engine;
    machine.fast_table = options.machine.fast_table;
    options.machine = std::move(machine);
    options.recorded_own_kernel = recording.run().os.empty();
    if (!recording.run().os.empty())
        options.os = recording.run().os;
    if (!recording.damage().empty())
        tell(fmt::format("the recording '{}' did not end in order: {}; the run is known up to instruction {}",
                         recording.name(), recording.damage(), recording.end().instructions));
    // What a run does once more ends where it was left.
    if (options.command == Command::Fork)
        options.limit.cycle = std::min(options.limit.cycle, recording.end().cycle);
    options.recording = std::move(opened).value();
    return {};
}

Result<void> begin_recorded(Machine& machine, const Recording& recording) {
    if (recording.beginning() == Position{})
        return {};
    const auto* first = recording.checkpoint_before(recording.beginning());
    auto state = first != nullptr ? recording.state(*first)
                                  : Result<Snapshot>(Error{"the checkpoint at its beginning is damaged"});
    if (!state.ok())
        return Error{fmt::format("the recording '{}' cannot be opened: {}", recording.name(), state.error().message)};
    return machine.restore(*state);
}

RecordingShelf::RecordingShelf(std::shared_ptr<const Recording> recording) : recording_(std::move(recording)) {
    for (const Recording::Checkpoint& checkpoint : recording_->checkpoints())
        places_.push_back(checkpoint.at);
}

Result<void> RecordingShelf::put_back(std::size_t place, Machine& machine) const {
    const auto state = recording_->state(recording_->checkpoints()[place]);
    return state.ok() ? machine.restore(*state) : state.error();
}

Result<void> open_recorded_place(Timeline& timeline, const RecordingShelf& shelf, const Options& options) {
    const Recording& recording = *options.recording;
    timeline.set_shelf(&shelf);
    timeline.expect(inputs_from(recording, timeline.present().inputs.size()), recording.end());
    const bool runs = options.command == Command::Run;
    const Position end = recording.end();
    if (options.recorded_place != kNoPlace &&
        (options.recorded_place < recording.beginning().instructions || options.recorded_place > end.instructions))
        return Error{fmt::format("instruction {} is not in the recording '{}'; give one from {} to {}",
                                 options.recorded_place, recording.name(), recording.beginning().instructions,
                                 end.instructions),
                     ExitCode::Usage};
    Result<void> gone;
    if (options.recorded_place != kNoPlace)
        gone = timeline.go_to(options.recorded_place);
    else if (runs)
        gone = timeline.go_to(end);
    if (gone.ok() && runs)
        timeline.start_branch();
    return gone;
}

Result<void> open_recorded_checkpoint(Machine& machine, const Options& options) {
    const Recording& recording = *options.recording;
    const bool asked = options.recorded_place != kNoPlace;
    const Position place = asked ? Position{options.recorded_place, ~0u, kNever} : recording.end();
    const auto* nearest = recording.checkpoint_before(place);
    if (options.command == Command::Fork || nearest == nullptr ||
        (asked && nearest->at.instructions != options.recorded_place))
        return Error{fmt::format("'{}' cannot be re-executed: {}; its events open with `trace dump`, its checkpoints "
                                 "with --at or --from{}",
                                 recording.name(), recording.run().refusal(),
                                 nearest != nullptr ? fmt::format(" {}", nearest->at.instructions) : "")};
    const auto state = recording.state(*nearest);
    return state.ok() ? machine.restore(*state) : state.error();
}

} // namespace forkscope
