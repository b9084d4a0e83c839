// Recordings from any source: refused, or opened as far as they go; what opens is done again, state by state.
#include <filesystem>
#include <fstream>
#include <memory>

#include <fmt/format.h>
#include <unistd.h>

#include "emu/files/chunk_layout.hpp"
#include "emu/session/profiles/profile_file.hpp"
#include "emu/session/recording/recording_writer.hpp"
#include "emu/session/recording/rerun.hpp"
#include "targets.hpp"

namespace forkscope::fuzz {

namespace {

constexpr u64 kInstructions = 20'000;
constexpr u64 kMostRam = u64{4} << 20; // more takes longer than what is looked for

// A machine in its firmware that is typed at, with symbols and a fork profile.
std::vector<u8> good_recording() {
    const std::string path =
        (std::filesystem::temp_directory_path() / fmt::format("forkscope-fuzz-{}.rec", ::getpid())).string();
    MachineConfig config;
    config.ram_bytes = u64{2} << 20;
    auto machine = Machine::create(std::move(config));
    if (!machine.ok())
        report("no machine of 2 MB can be made");
    RecordedNames names;
    names.symbols = {{"vmlinux", 0x1000, std::vector<u8>(200, 'x')}};
    names.profile_name = "xv6";
    names.profile = read_fork_profile("xv6").value();
    const auto run = RecordedRun::of((*machine)->config(), "", ~kTranslationKinds);
    auto writer = RecordingWriter::create(path, {}, run, names, **machine);
    if (!writer.ok() || !(*machine)->type("ls\n").ok())
        report("no recording can be written");
    (*machine)->set_trace_sink(&(*writer)->events());
    (*machine)->run({kNever, kInstructions});
    (*machine)->set_trace_sink(nullptr);
    if (!(*writer)->finish().ok())
        report("no recording can be finished");
    std::ifstream file(path, std::ios::binary);
    std::vector<u8> bytes{std::istreambuf_iterator<char>(file), {}};
    std::filesystem::remove(path);
    return bytes;
}

template <class T> T at(const std::vector<u8>& bytes, u64 offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

// Damage to one chunk, its label or what it holds, all checksums right; without the index, which would tell.
std::vector<u8> damaged_behind_checksums(const std::vector<u8>& good, const std::vector<Chunk>& chunks,
                                         InputReader& input) {
    using namespace chunk_layout;
    std::vector<u8> bytes = good;
    for (u8 more = 1; (more & 1) != 0 && !input.empty();) {
        const Chunk& chunk = chunks[input.take<u8>() % chunks.size()];
        auto head = at<ChunkHead>(bytes, chunk.offset);
        const u64 body = chunk.offset + sizeof head;
        more = input.take<u8>();
        const u64 where = input.take<u16>() % (head.label.size() + head.stored_bytes);
        const u8 with = input.take<u8>();
        if (where < head.label.size())
            head.label[where] ^= with;
        else
            bytes[body + where - head.label.size()] ^= with;
        head.body_hash = checksum(std::span(bytes).subspan(body, head.stored_bytes));
        head.head_hash = head_hash(head);
        std::memcpy(bytes.data() + chunk.offset, &head, sizeof head);
    }
    bytes.resize(at<FileEnd>(good, good.size() - sizeof(FileEnd)).index_offset);
    return bytes;
}

std::vector<u8> damaged(std::vector<u8> bytes, InputReader& input) {
    const u16 cut = input.take<u16>();
    while (!input.empty()) {
        const u64 where = input.take<u32>();
        bytes[where % bytes.size()] ^= input.take<u8>();
    }
    if (cut != 0)
        bytes.resize(bytes.size() * cut >> 16);
    return bytes;
}

void check_order(const Recording& recording) {
    for (const HashMark& mark : recording.hashes())
        if (mark.at < recording.beginning() || recording.end() < mark.at)
            report("a hash lies outside of the recording");
    for (const Recording::Checkpoint& checkpoint : recording.checkpoints())
        if (recording.end() < checkpoint.at || checkpoint.inputs > recording.inputs().size())
            report("a checkpoint lies outside of the recording");
}

void do_again(const Recording& recording) {
    const MachineConfig& machine = recording.machine();
    if (!recording.run().refusal().empty() || machine.ram_bytes > kMostRam)
        return;
    auto rerun = Rerun::create(recording, EngineKind::Block);
    if (!rerun.ok())
        return;
    for (const Recording::Checkpoint& checkpoint : recording.checkpoints())
        static_cast<void>(rerun->begin_at(&checkpoint));
    rerun->run_to_instruction(rerun->machine().instructions() + 1000, recording.end());
}

} // namespace

// The first byte says whether the rest is a whole file, damage to a good one, or damage behind its checksums.
void recording(std::span<const u8> input) {
    static const std::vector<u8> good = good_recording();
    static const std::vector<Chunk> chunks = ChunkFileReader::from_bytes(good, kRecordingFile, "good").value().chunks();
    InputReader reader(input);
    const u8 choice = reader.take<u8>() % 3;
    const std::span<const u8> rest = reader.rest();
    const auto opened = Recording::from_bytes(choice == 0   ? std::vector<u8>(rest.begin(), rest.end())
                                              : choice == 1 ? damaged(good, reader)
                                                            : damaged_behind_checksums(good, chunks, reader),
                                              "a recording");
    if (!opened.ok()) {
        if (opened.error().message.empty())
            report("a recording is refused without a word");
        return;
    }
    check_order(**opened);
    if (const auto names = (*opened)->names(); names.ok() && !names->profile_name.empty())
        static_cast<void>(parse_fork_profile(names->profile, names->profile_name, "the recording"));
    do_again(**opened);
}

} // namespace forkscope::fuzz
