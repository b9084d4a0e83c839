#include "emu/session/recording/recording_writer.hpp"

#include "emu/machine/memory_pieces.hpp"

namespace forkscope {

using namespace recording_layout;

Result<std::unique_ptr<RecordingWriter>> RecordingWriter::create(const std::string& path, FileHeader header,
                                                                 const RecordedRun& run, const RecordedNames& names,
                                                                 Machine& machine) {
    for (const RecordedNames::SymbolFile& file : names.symbols)
        header.set(std::string(kSymbolsField) + file.file, fmt::format("xxh3:{:016x}", checksum(file.bytes)));
    if (!names.profile_name.empty())
        header.set(std::string(kProfileField), names.profile_name);
    auto events = TraceFileWriter::create(path, std::move(header), run.kinds, kRecordingFile);
    if (!events.ok())
        return events.error();
    std::unique_ptr<RecordingWriter> writer(new RecordingWriter(std::move(events).value(), machine));
    writer->write_images(run);
    writer->write_names(names);
    writer->mark();
    writer->write_log();
    writer->write_checkpoint();
    writer->next_hash_ = machine.instructions() + kHashSpacing;
    writer->next_checkpoint_ = machine.instructions() + kCheckpointSpacing;
    return writer;
}

void RecordingWriter::write_images(const RecordedRun& run) {
    SaveArchive ar;
    RecordedRun copy = run;
    copy.serialize(ar);
    events_->append(kRunType, kVersion, {}, ar.take(), Packing::None);
    events_->append(kImageType, kVersion, {}, machine_.config().kernel, Packing::Zstd);
    for (const BootModule& module : machine_.config().modules)
        events_->append(kImageType, kVersion, {}, module.bytes, Packing::Zstd);
}

void RecordingWriter::write_names(const RecordedNames& names) {
    for (const RecordedNames::SymbolFile& file : names.symbols) {
        SymbolsLabel label;
        label.base = file.base.value_or(0);
        label.moved = file.base ? 1 : 0;
        events_->append(kSymbolsType, kVersion, label_bytes(label), file.bytes, Packing::Zstd);
    }
    if (!names.profile_name.empty())
        events_->append(kProfileType, kVersion, {}, bytes_of_text(names.profile), Packing::Zstd);
}

void RecordingWriter::mark() {
    const Position at = machine_.position();
    if (marks_.empty() || marks_.back().at != at)
        marks_.push_back({at, machine_.hash()});
}

// Unpacked: what a reader keeps of it in memory is no more than the file has.
void RecordingWriter::write_log() {
    const auto& all = machine_.inputs().events();
    std::vector<InputEvent> inputs(all.begin() + static_cast<std::ptrdiff_t>(inputs_written_), all.end());
    const Position at = machine_.position();
    LogLabel label;
    label.instructions = at.instructions;
    label.cycle = at.cycle;
    label.deliveries = at.deliveries;
    label.first_input = inputs_written_;
    label.inputs = static_cast<u32>(inputs.size());
    label.marks = static_cast<u32>(marks_.size());
    SaveArchive ar;
    serialize_log(ar, inputs, marks_);
    events_->append(kLogType, kVersion, label_bytes(label), ar.take(), Packing::None);
    inputs_written_ = all.size();
    marks_.clear();
}

// A frame that became zero is stored, as one of those that were written.
u32 RecordingWriter::write_memory(bool whole) {
    const PhysicalMemory& memory = machine_.mmu().memory();
    u32 written = 0;
    for (u32 piece = 0; piece < memory_pieces::piece_count(memory); ++piece) {
        const auto changed = [&](u64 frame) { return memory.written_since(frame, epoch_); };
        const std::vector<u8> bytes =
            whole ? memory_pieces::save_piece(memory, piece) : memory_pieces::save_frames(memory, piece, changed);
        if (bytes.empty())
            continue;
        MemoryLabel label;
        label.checkpoint = checkpoints_;
        label.piece = piece;
        events_->append(kMemoryType, kVersion, label_bytes(label), bytes, Packing::Zstd);
        ++written;
    }
    return written;
}

void RecordingWriter::write_checkpoint() {
    const bool whole = checkpoints_ % kWholeEvery == 0;
    whole_ = whole ? checkpoints_ : whole_;
    const Position at = machine_.position();
    CheckpointLabel label;
    label.instructions = at.instructions;
    label.cycle = at.cycle;
    label.deliveries = at.deliveries;
    label.inputs = machine_.inputs().events().size();
    label.events = events_->events_seen();
    label.number = checkpoints_;
    label.whole = whole_;
    label.pieces = write_memory(whole);
    Snapshot state = machine_.state(Machine::Inputs::Without);
    const auto kept = machine_.save_parts([&](SnapshotSection section) {
        state.add(std::move(section));
        return Result<void>{};
    });
    EMU_ASSERT(kept.ok(), "{}", kept.ok() ? "" : kept.error().message);
    epoch_ = machine_.mmu().memory().begin_epoch();
    SaveArchive ar;
    serialize_sections(ar, state.sections());
    events_->append(kCheckpointType, kVersion, label_bytes(label), ar.take(), Packing::Zstd);
    ++checkpoints_;
}

void RecordingWriter::noted() {
    const bool input = machine_.inputs().events().size() != inputs_written_;
    const bool due = machine_.instructions() >= next_hash_;
    if (due) {
        next_hash_ = machine_.instructions() + kHashSpacing;
        mark();
    }
    const bool checkpoint = machine_.instructions() >= next_checkpoint_;
    if (checkpoint)
        events_->flush();
    if (input || due)
        write_log();
    if (!checkpoint)
        return;
    next_checkpoint_ = machine_.instructions() + kCheckpointSpacing;
    write_checkpoint();
}

Result<void> RecordingWriter::finish() {
    events_->flush();
    mark();
    write_log();
    return events_->finish();
}

} // namespace forkscope
