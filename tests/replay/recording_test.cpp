// Recordings: done again on both engines, strayed, killed, damaged, and opened at any place.
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "emu/base/random.hpp"
#include "emu/files/chunk_layout.hpp"
#include "emu/machine/images.hpp"
#include "emu/session/recording/recorded_run.hpp"
#include "emu/session/recording/replay.hpp"
#include "emu/session/session.hpp"
#include "emu/session/stepper/stepper.hpp"
#include "tests/unit/files/peak_memory.hpp"

namespace forkscope {
namespace {

using namespace recording_layout;

using Bytes = std::vector<u8>;

std::string temporary(const std::string& name) {
    return ::testing::TempDir() + "forkscope-" + std::to_string(::getpid()) + "-" + name;
}

Bytes file_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

Options options_for(const std::string& command_line, const std::string& path) {
    Options options;
    options.command = Command::Record;
    options.machine.command_line = command_line;
    options.record_path = path;
    options.serial = "none";
    return options;
}

InputEvent serial_byte(char byte) { return {.kind = InputKind::SerialByte, .data = static_cast<u8>(byte)}; }
InputEvent key(u8 code) { return {.kind = InputKind::Key, .data = code}; }

// Somebody types on both lines while it runs.
void record(const Options& options, u64 instructions) {
    auto session = Session::create(options);
    ASSERT_TRUE(session.ok()) << session.error().message;
    Random random(7);
    constexpr Cycles kSlice = 100'000;
    const std::string text = "echo hello\n";
    for (u32 slice = 0; (*session)->machine().instructions() < instructions; ++slice) {
        if (!(*session)->run_slice(kSlice + random.below(kSlice)))
            break;
        if (slice % 16 == 3)
            (*session)->inject(serial_byte(text[slice / 16 % text.size()]));
        if (slice % 16 == 9)
            (*session)->inject(key(slice % 32 < 16 ? 0x1E : 0x9E)); // A, pressed and released
    }
    const auto finished = (*session)->finish();
    ASSERT_TRUE(finished.ok()) << finished.error().message;
}

const Bytes& typed_run() {
    static const Bytes bytes = [] {
        const std::string path = temporary("typed.rec");
        record(options_for("", path), 9'000'000);
        Bytes file = file_bytes(path);
        ::unlink(path.c_str());
        return file;
    }();
    return bytes;
}

// Long enough for checkpoints that hold what changed alone.
const Bytes& long_run() {
    static const Bytes bytes = [] {
        const std::string path = temporary("long.rec");
        record(options_for("run=forkstorm 300", path), 60'000'000);
        Bytes file = file_bytes(path);
        ::unlink(path.c_str());
        return file;
    }();
    return bytes;
}

std::shared_ptr<const Recording> opened(const Bytes& bytes) {
    auto recording = Recording::from_bytes(bytes, "a recording");
    EXPECT_TRUE(recording.ok()) << (recording.ok() ? "" : recording.error().message);
    return recording.ok() ? *recording : nullptr;
}

// The same file with other contents, all checksums right.
using Change = std::function<void(u32 type, ChunkLabel& label, Bytes& body)>;
Bytes rewritten(const Bytes& bytes, const Change& change, u32 version = kVersion) {
    const std::string path = temporary("rewritten.rec");
    const auto file = ChunkFileReader::from_bytes(bytes, kRecordingFile, "a recording");
    auto writer = ChunkFileWriter::create(path, kRecordingFile, file->header(), 1);
    for (const Chunk& chunk : file->chunks()) {
        Bytes body = *file->read(chunk, u64{1} << 30);
        ChunkLabel label = chunk.label;
        change(chunk.type, label, body);
        const bool ours = chunk.type != chunk_type("EVNT");
        EXPECT_TRUE(writer->append(chunk.type, ours ? version : chunk.version, label, body, chunk.packing).ok());
    }
    EXPECT_TRUE(writer->finish().ok());
    Bytes changed = file_bytes(path);
    ::unlink(path.c_str());
    return changed;
}

Bytes with_run(const Bytes& bytes, const std::function<void(RecordedRun&)>& change) {
    return rewritten(bytes, [&](u32 type, ChunkLabel&, Bytes& body) {
        if (type != kRunType)
            return;
        RecordedRun run;
        LoadArchive load(body);
        run.serialize(load);
        change(run);
        SaveArchive save;
        run.serialize(save);
        body = save.take();
    });
}

// The first input that `is_meant` accepts is another one.
Bytes with_other_input(const Bytes& bytes, const std::function<bool(const InputEvent&)>& is_meant, InputEvent& old) {
    bool done = false;
    return rewritten(bytes, [&](u32 type, ChunkLabel&, Bytes& body) {
        if (type != kLogType || done)
            return;
        std::vector<InputEvent> inputs;
        std::vector<HashMark> marks;
        LoadArchive load(body);
        serialize_log(load, inputs, marks);
        for (InputEvent& input : inputs) {
            if (done || !is_meant(input))
                continue;
            old = input;
            input.data ^= 1;
            done = true;
        }
        SaveArchive save;
        serialize_log(save, inputs, marks);
        body = save.take();
    });
}

bool late_key(const InputEvent& input) { return input.kind == InputKind::Key && input.instructions > 5'000'000; }

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines)
        text += line + "\n";
    return text;
}

} // namespace

TEST(Recording, IsEqualOnBothEngines) {
    const auto recording = opened(typed_run());
    EXPECT_GT(recording->inputs().size(), 20u);
    EXPECT_TRUE(recording->damage().empty()) << recording->damage();
    for (const EngineKind engine : {EngineKind::Block, EngineKind::Interpreter}) {
        const auto result = replay(*recording, engine);
        ASSERT_TRUE(result.ok()) << result.error().message;
        EXPECT_TRUE(result->equal) << joined(result->differences);
        EXPECT_EQ(result->hashes, recording->hashes().size());
        EXPECT_GE(result->hashes, 4u);
        EXPECT_EQ(result->instructions, recording->end().instructions);
    }
}

TEST(Recording, EveryCheckpointIsTheStateThatWas) {
    const auto recording = opened(long_run());
    ASSERT_GE(recording->checkpoints().size(), 3u);
    auto straight = Rerun::create(*recording, EngineKind::Block);
    auto jumping = Rerun::create(*recording, EngineKind::Interpreter);
    ASSERT_TRUE(straight.ok() && jumping.ok());
    for (const Recording::Checkpoint& checkpoint : recording->checkpoints()) {
        ASSERT_TRUE(straight->run_to(checkpoint.at));
        const auto begun = jumping->begin_at(&checkpoint);
        ASSERT_TRUE(begun.ok()) << begun.error().message;
        EXPECT_EQ(jumping->machine().position(), checkpoint.at);
        const Snapshot saved = straight->machine().snapshot();
        EXPECT_EQ(joined(jumping->machine().differences(saved)), "");
    }
}

TEST(Recording, WithAnotherInputIsFoundToStray) {
    InputEvent old;
    const Bytes changed = with_other_input(typed_run(), late_key, old);
    ASSERT_NE(old.instructions, 0u);
    const auto result = replay(*opened(changed), EngineKind::Block);
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_FALSE(result->equal);
    EXPECT_LE(result->instructions, old.instructions);
    const std::string text = joined(result->differences);
    EXPECT_NE(text.find("the same now"), std::string::npos) << text;
    EXPECT_NE(text.find(fmt::format("behind instruction {}:", old.instructions)), std::string::npos) << text;
    EXPECT_NE(text.find("recorded: "), std::string::npos) << text;
}

// Where there is a checkpoint behind, its fields are named.
TEST(Recording, NamesFieldsAtTheNextCheckpoint) {
    InputEvent old;
    const auto meant = [](const InputEvent& input) { return late_key(input) && input.instructions < 10'000'000; };
    const Bytes changed = with_other_input(long_run(), meant, old);
    ASSERT_NE(old.instructions, 0u);
    const auto result = replay(*opened(changed), EngineKind::Block);
    ASSERT_TRUE(result.ok()) << result.error().message;
    const std::string text = joined(result->differences);
    EXPECT_NE(text.find("at the next checkpoint, instruction 16"), std::string::npos) << text;
    EXPECT_NE(text.find("\n  memory.frame_"), std::string::npos) << text;
}

TEST(Recording, TwoRunsDifferFirstBehindTheInputThatDiffers) {
    InputEvent old;
    const auto one = opened(typed_run());
    const auto other = opened(with_other_input(typed_run(), late_key, old));
    auto right = Rerun::create(*one, EngineKind::Block);
    auto wrong = Rerun::create(*other, EngineKind::Interpreter);
    ASSERT_TRUE(right.ok() && wrong.ok());
    ASSERT_TRUE(right->run_to(one->hashes()[1].at));
    const Snapshot state = right->machine().snapshot();
    const auto place = first_difference(*right, *wrong, state, one->end());
    ASSERT_TRUE(place.ok()) << place.error().message;
    // The input comes behind so many instructions, while the guest is halted or at once.
    EXPECT_GE(*place, old.instructions);
    EXPECT_LE(*place, old.instructions + 1);
    const auto fields = wrong->machine().differences(right->machine().snapshot());
    EXPECT_NE(joined(fields).find("keyboard."), std::string::npos) << joined(fields);
}

TEST(Recording, ThatWasCutOffIsDoneAgainAsFarAsItGoes) {
    const Bytes& whole = long_run();
    const auto all = opened(whole);
    std::size_t shorter = 0;
    for (std::size_t part = 5; part < 10; ++part) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(whole.size() * part / 10));
        const auto recording = Recording::from_bytes(cut, "a recording");
        ASSERT_TRUE(recording.ok()) << recording.error().message;
        EXPECT_NE((*recording)->damage(), "");
        const auto result = replay(**recording, EngineKind::Block);
        ASSERT_TRUE(result.ok());
        EXPECT_TRUE(result->equal) << joined(result->differences);
        shorter += (*recording)->end() < all->end() ? 1 : 0;
    }
    EXPECT_EQ(shorter, 5u);
}

TEST(Recording, ThatWasCutBeforeItHasItsImagesSaysSo) {
    const Bytes& whole = long_run();
    const auto recording = Recording::from_bytes(Bytes(whole.begin(), whole.begin() + 100'000), "a recording");
    ASSERT_FALSE(recording.ok());
    EXPECT_NE(recording.error().message.find("lacks an image"), std::string::npos) << recording.error().message;
    EXPECT_NE(recording.error().message.find("was cut off"), std::string::npos) << recording.error().message;
}

TEST(Recording, HoldsWhatWasTypedBeforeItIsFinished) {
    const std::string path = temporary("running.rec");
    auto session = Session::create(options_for("", path));
    ASSERT_TRUE(session.ok());
    while ((*session)->machine().instructions() < 2'000'000)
        ASSERT_TRUE((*session)->run_slice(100'000));
    (*session)->inject(key(0x1E));
    ASSERT_TRUE((*session)->run_slice(100'000)); // as far as the process came
    const auto recording = Recording::open(path);
    ::unlink(path.c_str());
    ASSERT_TRUE(recording.ok()) << recording.error().message;
    ASSERT_EQ((*recording)->inputs().size(), 1u);
    EXPECT_EQ((*recording)->inputs().front().data, 0x1Eu);
    EXPECT_NE((*recording)->damage(), "");
}

TEST(Recording, OfAnotherCostModelIsRefusedByName) {
    const auto later = [](RecordedRun& run) { run.cost_version = kCostVersion + 1; };
    const auto recording = opened(with_run(typed_run(), later));
    const auto result = replay(*recording, EngineKind::Block);
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.error().message.find("cost model"), std::string::npos) << result.error().message;
    EXPECT_GT(recording->events().event_count(), 1000u);
    ASSERT_FALSE(recording->checkpoints().empty());
    EXPECT_TRUE(recording->state(recording->checkpoints().front()).ok());
    const auto other = opened(with_run(typed_run(), [](RecordedRun& run) { run.firmware ^= 1; }));
    EXPECT_NE(replay(*other, EngineKind::Block).error().message.find("firmware"), std::string::npos);
}

TEST(Recording, OfAnotherVersionIsRefused) {
    const auto same = [](u32, ChunkLabel&, Bytes&) {};
    const auto recording = Recording::from_bytes(rewritten(typed_run(), same, kVersion + 1), "later.rec");
    ASSERT_FALSE(recording.ok());
    EXPECT_NE(recording.error().message.find("version 2"), std::string::npos) << recording.error().message;
}

TEST(Recording, OfAnotherImageIsRefused) {
    bool first = true;
    const Bytes changed = rewritten(typed_run(), [&](u32 type, ChunkLabel&, Bytes& body) {
        if (type == kImageType && std::exchange(first, false))
            body[body.size() / 2] ^= 1;
    });
    const auto recording = Recording::from_bytes(changed, "a recording");
    ASSERT_FALSE(recording.ok());
    EXPECT_NE(recording.error().message.find("a kernel that is damaged or another"), std::string::npos)
        << recording.error().message;
}

TEST(Recording, AnyPlaceIsReachedSoon) {
    Options options = options_for("", "");
    options.command = Command::Step;
    options.recording = opened(long_run());
    options.machine = options.recording->machine();
    auto session = Session::create(options);
    ASSERT_TRUE(session.ok()) << session.error().message;
    Timeline& timeline = *(*session)->timeline();
    const u64 end = options.recording->end().instructions;
    EXPECT_EQ(timeline.end(), options.recording->end());
    auto straight = Rerun::create(*options.recording, EngineKind::Block);
    for (const u64 place : {end - 1000, end / 3, end / 2, end / 10}) {
        ASSERT_TRUE(timeline.go_to(place).ok());
        ASSERT_TRUE(straight->begin_at(nullptr).ok());
        straight->run_to_instruction(place, options.recording->end());
        EXPECT_EQ((*session)->machine().hash(), straight->machine().hash());
    }
}

// The file is gone when the recording is opened; one that is given instead goes before it.
TEST(Recording, KeepsTheSymbolsThatItWasMadeWith) {
    const std::string symbols = temporary("symbols"), path = temporary("symbols.rec");
    const auto kernel = *embedded_kernel("lunaix");
    std::ofstream(symbols, std::ios::binary)
        .write(reinterpret_cast<const char*>(kernel.data()), static_cast<std::streamsize>(kernel.size()));
    Options options = options_for("", path);
    options.symbol_files = {symbols + "@0x200000"};
    record(options, 20'000);
    const auto plain = std::move(Session::create({})).value();
    const auto where = [](Session& session) { return *session.symbols().address_of("fork_process"); };
    for (const char* const base : {"", "@0x300000"}) {
        Options again = options_for("", "");
        again.command = Command::Step;
        again.recording_path = path;
        if (*base != 0)
            again.symbol_files = {symbols + base};
        else
            ::unlink(symbols.c_str());
        ASSERT_TRUE(adopt_recording(again).ok());
        auto session = Session::create(again);
        ASSERT_TRUE(session.ok()) << session.error().message;
        EXPECT_EQ(where(**session) - where(*plain), *base != 0 ? 0x200000u : 0x100000u);
        std::ofstream(symbols, std::ios::binary)
            .write(reinterpret_cast<const char*>(kernel.data()), static_cast<std::streamsize>(kernel.size()));
    }
    ::unlink(symbols.c_str());
    ::unlink(path.c_str());
}

// What the tracer knows after all was followed is what it knows of the whole run; before, it says what it lacks.
TEST(Recording, TellsOfForksBeforeThePlaceOnceTheyAreFollowed) {
    Options options = options_for("", "");
    options.command = Command::Step;
    options.trace_forks = true;
    options.recording = opened(long_run());
    options.machine = options.recording->machine();
    options.recorded_place = 40'000'000;
    auto created = Session::create(options);
    ASSERT_TRUE(created.ok()) << created.error().message;
    Session& session = **created;
    const std::size_t later = session.tracer()->forks().size();
    EXPECT_TRUE(session.opened_on_the_way());
    ASSERT_TRUE(session.timeline()->go_to(39'900'000).ok());
    ASSERT_TRUE(session.timeline()->go_to(40'000'000).ok());
    EXPECT_TRUE(session.opened_on_the_way()) << "a checkpoint of its own knows no more";

    Stepper stepper(session);
    bool goes_on = false;
    stepper.set_interrupted([&] { return !std::exchange(goes_on, false); });
    const Position here = session.timeline()->position();
    const auto interrupted = stepper.relive();
    ASSERT_TRUE(interrupted.ok()) << interrupted.error().message;
    EXPECT_EQ(interrupted->end, Arrival::End::Interrupted);
    EXPECT_LT(session.timeline()->position(), here);
    stepper.set_interrupted({});
    ASSERT_TRUE(session.timeline()->go_to(here).ok());
    EXPECT_FALSE(session.opened_on_the_way());

    Options from_beginning = options;
    from_beginning.recorded_place = kNoPlace;
    from_beginning.limit.instructions = 40'000'000;
    auto straight = Session::create(from_beginning);
    ASSERT_TRUE(straight.ok()) << straight.error().message;
    (*straight)->run_to_end();
    EXPECT_EQ(session.machine().hash(), (*straight)->machine().hash());
    const ForkStore& forks = session.tracer()->forks();
    EXPECT_GT(forks.size(), later);
    ASSERT_EQ(forks.size(), (*straight)->tracer()->forks().size());
    EXPECT_EQ(forks.begin()->begin_cycle, (*straight)->tracer()->forks().begin()->begin_cycle);
    const std::size_t checkpoints = session.timeline()->checkpoint_count();
    EXPECT_GT(checkpoints, 1u) << "laid on the way, as far apart as the host is fast, so that other places are near";
    ASSERT_TRUE(session.timeline()->go_to(20'000'000).ok());
    EXPECT_FALSE(session.opened_on_the_way());
}

// Whatever stands in the file: it opens or is refused, within memory for the file, the guest's RAM and 64 MB.
TEST(Recording, DamagedAnywhereIsBearable) {
    const u32 rounds = std::getenv("FORKSCOPE_LONG") != nullptr ? 2000 : 30;
    const Bytes& good = typed_run();
    const auto look = [](const Bytes& bytes) {
        spdlog::set_level(spdlog::level::off);
        const auto recording = Recording::from_bytes(bytes, "a recording");
        if (!recording.ok())
            return;
        for (const Recording::Checkpoint& checkpoint : (*recording)->checkpoints())
            if (auto machine = Machine::create((*recording)->machine()); machine.ok())
                if (const auto state = (*recording)->state(checkpoint); state.ok())
                    static_cast<void>((*machine)->restore(*state));
    };
    Random random(11);
    for (u32 round = 0; round < rounds; ++round) {
        Bytes bytes = good;
        const auto hit = [&](auto& target) { target[random.below(target.size())] = static_cast<u8>(random.next()); };
        if (round % 3 == 0) {
            for (u64 hits = 1 + random.below(4); hits != 0; --hits)
                hit(bytes);
        } else if (round % 3 == 1) {
            bytes.resize(random.below(bytes.size()));
        } else { // every checksum is right, and something lies
            bytes = rewritten(good, [&](u32 type, ChunkLabel& label, Bytes& body) {
                if (random.below(4) == 0 && type != chunk_type("EVNT"))
                    hit(label);
                if (random.below(4) == 0 && !body.empty() && body.size() < 100'000)
                    hit(body);
            });
        }
        const i64 taken = peak_megabytes([&] { look(bytes); });
        EXPECT_GE(taken, 0) << "round " << round << " died";
        EXPECT_LE(taken, static_cast<i64>(64 + 64 + 2 * (bytes.size() >> 20))) << "round " << round;
    }
}

// Two hundred kilobytes that unpack to a machine's memory full of zeros, and to as many symbols as a recording keeps.
TEST(Recording, OfLargeImagesAndSymbolsHoldsThemOnce) {
    constexpr u64 kRam = u64{128} << 20;
    constexpr std::streamoff kLarge = 60 << 20;
    const std::string zeros = temporary("zeros"), symbols = temporary("large-symbols"), path = temporary("large.rec");
    const auto kernel = *embedded_kernel("lunaix");
    std::ofstream(zeros, std::ios::binary).seekp(kLarge - 1).put(0);
    std::ofstream(symbols, std::ios::binary)
        .write(reinterpret_cast<const char*>(kernel.data()), static_cast<std::streamsize>(kernel.size()))
        .seekp(kLarge - 1)
        .put(0);
    for (const bool images : {true, false}) {
        Options options = options_for("", path);
        options.machine.ram_bytes = kRam;
        options.machine.direct = true;
        (images ? options.initrds : options.symbol_files) = {images ? zeros : symbols};
        record(options, 1000);
        const auto file = static_cast<i64>(std::filesystem::file_size(path) >> 20);
        const auto session = [&] {
            Options again = options_for("", "");
            again.command = Command::Step;
            again.recording_path = path;
            if (!adopt_recording(again).ok() || !Session::create(again).ok())
                ::_exit(1);
        };
        const auto replayed = [&] {
            const auto recording = Recording::open(path);
            if (!recording.ok() || !replay(**recording, EngineKind::Block).ok())
                ::_exit(1);
        };
        for (const std::function<void()>& act : {std::function<void()>(session), std::function<void()>(replayed)}) {
            const i64 taken = peak_megabytes(act);
            EXPECT_GE(taken, 0) << images;
            EXPECT_LE(taken, 64 + static_cast<i64>(images ? kRam >> 20 : 64) + 4 * file) << images;
        }
    }
    for (const std::string& file : {zeros, symbols, path})
        ::unlink(file.c_str());
}

} // namespace forkscope
