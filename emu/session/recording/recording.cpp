#include "emu/session/recording/recording.hpp"

#include "emu/machine/memory_pieces.hpp"

namespace forkscope {

using namespace recording_layout;

Result<std::shared_ptr<const Recording>> Recording::open(const std::string& path) {
    return of(ChunkFileReader::open(path, kRecordingFile), path);
}

Result<std::shared_ptr<const Recording>> Recording::from_bytes(std::vector<u8> bytes, const std::string& name) {
    return of(ChunkFileReader::from_bytes(std::move(bytes), kRecordingFile, name), name);
}

Result<std::shared_ptr<const Recording>> Recording::of(Result<ChunkFileReader> file, const std::string& name) {
    auto events = TraceFileReader::of(std::move(file), name);
    if (!events.ok())
        return events.error();
    for (const Chunk& chunk : events->file().chunks())
        for (const u32 type :
             {kRunType, kImageType, kLogType, kMemoryType, kCheckpointType, kSymbolsType, kProfileType})
            if (chunk.type == type && chunk.version != kVersion)
                return Error{fmt::format("'{}' has contents of version {}; this program reads version {}; {}", name,
                                         chunk.version, kVersion, kRecordingFile.refresh)};
    std::shared_ptr<Recording> recording(new Recording(std::move(events).value(), name));
    for (const auto read : {&Recording::read_run, &Recording::read_images, &Recording::read_past})
        if (auto done = (recording.get()->*read)(); !done.ok()) {
            const std::string& damage = recording->events_.damage();
            return Error{fmt::format("the recording '{}' {}; {}{}", name, done.error().message,
                                     damage.empty() ? "" : damage + "; ", kRecordingFile.refresh)};
        }
    recording->list_checkpoints();
    return std::shared_ptr<const Recording>(recording);
}

Result<void> Recording::read_run() {
    for (const Chunk& chunk : events_.file().chunks()) {
        if (chunk.type != kRunType)
            continue;
        const auto body = events_.file().read(chunk, kMostRunBytes);
        if (!body)
            break;
        LoadArchive ar(*body);
        run_.serialize(ar);
        if (const auto loaded = ar.finish(); !loaded.ok())
            return Error{"does not say what machine it is of: " + loaded.error().message};
        return {};
    }
    return Error{"is damaged where it says what machine it is of: nothing can be re-executed"};
}

// The images go into memory that the machine has.
Result<void> Recording::read_images() {
    constexpr u64 kMostRam = u64{2} << 30;
    u64 room = std::min(run_.machine.ram_bytes, kMostRam);
    std::size_t count = 0;
    for (const Chunk& chunk : events_.file().chunks()) {
        if (chunk.type != kImageType)
            continue;
        auto body = events_.file().read(chunk, room);
        if (!body || count >= run_.images.size() || checksum(*body) != run_.images[count])
            return Error{fmt::format("has {} that is damaged or another than the run's: nothing can be re-executed",
                                     count == 0 ? "a kernel" : fmt::format("a module {}", count))};
        room -= body->size();
        if (count == 0)
            run_.machine.kernel = std::move(*body);
        else
            run_.machine.modules.push_back({run_.modules[count - 1], std::move(*body)});
        ++count;
    }
    if (count != run_.modules.size() + 1)
        return Error{"lacks an image: nothing can be re-executed"};
    return {};
}

Result<RecordedNames> Recording::names() const {
    RecordedNames names;
    std::vector<std::string> files;
    for (const auto& [key, value] : events_.header().fields) {
        if (key.starts_with(kSymbolsField))
            files.push_back(key.substr(kSymbolsField.size()));
        if (key == kProfileField)
            names.profile_name = value;
    }
    u64 room = kMostNameBytes;
    for (const Chunk& chunk : events_.file().chunks()) {
        if (chunk.type != kSymbolsType && chunk.type != kProfileType)
            continue;
        const bool profile = chunk.type == kProfileType;
        auto body = events_.file().read(chunk, profile ? kMostProfileBytes : room);
        if (!body || (!profile && names.symbols.size() == files.size()))
            return Error{fmt::format("the recording '{}' is damaged where it keeps its {}; give {}", name_,
                                     profile ? "fork profile" : "symbols", profile ? "--profile" : "--symbols")};
        if (profile) {
            names.profile.assign(body->begin(), body->end());
            continue;
        }
        room -= body->size();
        const auto label = label_of<SymbolsLabel>(chunk);
        names.symbols.push_back({files[names.symbols.size()],
                                 label.moved != 0 ? std::optional(label.base) : std::nullopt, std::move(*body)});
    }
    if (names.profile.empty())
        names.profile_name.clear();
    return names;
}

// False: damaged, or not what follows.
bool Recording::read_log(const Chunk& chunk) {
    const auto label = label_of<LogLabel>(chunk);
    const Position at{label.instructions, label.deliveries, label.cycle};
    if (chunk.packing != Packing::None || label.first_input != inputs_.size() || at < end_)
        return false;
    const auto body = events_.file().read(chunk, chunk.stored_bytes);
    if (!body)
        return false;
    std::vector<InputEvent> inputs;
    std::vector<HashMark> marks;
    LoadArchive ar(*body);
    serialize_log(ar, inputs, marks);
    if (!ar.finish().ok() || inputs.size() != label.inputs || marks.size() != label.marks)
        return false;
    for (const InputEvent& input : inputs) {
        const InputEvent* last = inputs_.empty() ? nullptr : &inputs_.back();
        const bool ordered =
            last == nullptr || (last->instructions <= input.instructions && last->cycle <= input.cycle);
        if (!ordered || input.instructions > at.instructions || input.cycle > at.cycle)
            return false;
        inputs_.push_back(input);
    }
    for (const HashMark& mark : marks) {
        if (at < mark.at || (!hashes_.empty() && mark.at <= hashes_.back().at))
            return false;
        hashes_.push_back(mark);
    }
    end_ = at;
    return true;
}

Result<void> Recording::read_past() {
    damage_ = events_.damage();
    for (const Chunk& chunk : events_.file().chunks()) {
        if (chunk.type != kLogType)
            continue;
        const std::size_t inputs = inputs_.size();
        const std::size_t hashes = hashes_.size();
        if (read_log(chunk))
            continue;
        inputs_.resize(inputs);
        hashes_.resize(hashes);
        damage_ = fmt::format("the log at offset {} is damaged: the run is known up to instruction {}", chunk.offset,
                              end_.instructions);
        break;
    }
    if (hashes_.empty())
        return Error{"is cut off or damaged where the run begins: nothing can be re-executed"};
    return {};
}

void Recording::list_checkpoints() {
    std::map<u32, std::vector<Chunk>> pieces;
    for (const Chunk& chunk : events_.file().chunks()) {
        if (chunk.type == kMemoryType)
            pieces[label_of<MemoryLabel>(chunk).checkpoint].push_back(chunk);
        if (chunk.type != kCheckpointType)
            continue;
        const auto label = label_of<CheckpointLabel>(chunk);
        auto& own = pieces[label.number];
        if (own.size() == label.pieces)
            stored_.try_emplace(label.number, Stored{label, chunk, std::move(own)});
        pieces.clear();
    }
    for (const auto& [number, stored] : stored_) {
        const CheckpointLabel& label = stored.label;
        const Position at{label.instructions, label.deliveries, label.cycle};
        const bool follows = checkpoints_.empty() || checkpoints_.back().at < at;
        if (follows && at <= end_ && label.inputs <= inputs_.size() && reachable(stored))
            checkpoints_.push_back({at, label.inputs, label.events, number});
    }
}

// All between it and the last whole one are there.
bool Recording::reachable(const Stored& stored) const {
    constexpr u32 kMostSteps = 1024;
    const u32 whole = stored.label.whole;
    if (whole > stored.label.number || stored.label.number - whole > kMostSteps)
        return false;
    for (u32 number = whole; number <= stored.label.number; ++number)
        if (const auto found = stored_.find(number); found == stored_.end() || found->second.label.whole != whole)
            return false;
    return true;
}

const Recording::Checkpoint* Recording::checkpoint_before(Position at) const {
    const auto after = std::upper_bound(checkpoints_.begin(), checkpoints_.end(), at,
                                        [](const Position& place, const Checkpoint& one) { return place < one.at; });
    return after == checkpoints_.begin() ? nullptr : &*std::prev(after);
}

Result<Snapshot> Recording::state(const Checkpoint& checkpoint) const {
    const auto damaged = [&] {
        return Error{
            fmt::format("the checkpoint at instruction {} of '{}' is damaged", checkpoint.at.instructions, name_)};
    };
    const Stored& stored = stored_.at(checkpoint.number);
    const auto body = events_.file().read(stored.chunk, kMostStateBytes);
    if (!body)
        return damaged();
    Snapshot snapshot;
    LoadArchive ar(*body);
    serialize_sections(ar, snapshot.sections());
    if (!ar.finish().ok())
        return damaged();
    SaveArchive inputs;
    InputLog({inputs_.begin(), inputs_.begin() + static_cast<std::ptrdiff_t>(checkpoint.inputs)}).serialize(inputs);
    snapshot.add({"inputs", kInputsVersion, inputs.take()});
    std::map<u32, std::vector<u8>> memory;
    for (u32 number = stored.label.whole; number <= checkpoint.number; ++number)
        for (const Chunk& chunk : stored_.at(number).pieces) {
            const u32 piece = label_of<MemoryLabel>(chunk).piece;
            const auto bytes = events_.file().read(chunk, memory_pieces::kMostBytes);
            if (!bytes || !memory_pieces::well_formed(*bytes) ||
                piece > run_.machine.ram_bytes / (u64{memory_pieces::kPieceFrames} * kPageSize))
                return damaged();
            auto& kept = memory[piece];
            kept = memory_pieces::overlaid(kept, *bytes);
        }
    for (auto& [piece, bytes] : memory)
        snapshot.add({memory_pieces::piece_name(piece), memory_pieces::kVersion, std::move(bytes)});
    return snapshot;
}

} // namespace forkscope
