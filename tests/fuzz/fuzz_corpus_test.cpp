// The kept corpus of the fuzzers, and some random bytes, once more without a fuzzer.
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "emu/base/random.hpp"
#include "targets.hpp"

namespace forkscope::fuzz {
namespace {

using Target = void (*)(std::span<const u8>);

std::vector<u8> running; // the present input

// A finding ends the process: its input is kept as hexadecimal digits.
void print_input(int) {
    for (const u8 byte : running)
        std::fprintf(stderr, "%02x", byte);
    std::fprintf(stderr, "\n");
}

void feed(Target target, std::vector<u8> input) {
    running = std::move(input);
    std::signal(SIGABRT, print_input);
    target(running);
    std::signal(SIGABRT, SIG_DFL);
}

void replay(const char* name, Target target) {
    spdlog::set_level(spdlog::level::off);
    const std::filesystem::path folder = std::filesystem::path(FORKSCOPE_FUZZ_CORPUS) / name;
    std::set<std::filesystem::path> files; // in order
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        files.insert(entry.path());
    EXPECT_FALSE(files.empty()) << folder;
    for (const auto& path : files) {
        std::ifstream file(path, std::ios::binary);
        feed(target, {std::istreambuf_iterator<char>(file), {}});
    }
    std::printf("%zu files\n", files.size());
}

void feed_random_bytes(Target target, u32 inputs, u32 most_bytes) {
    spdlog::set_level(spdlog::level::off);
    Random random(most_bytes);
    for (u32 i = 0; i < inputs; ++i) {
        std::vector<u8> bytes(random.below(most_bytes));
        for (u8& byte : bytes)
            byte = static_cast<u8>(random.next());
        feed(target, std::move(bytes));
    }
}

TEST(FuzzCorpus, TheDecoderTakesAll) { replay("decoder", decoder); }
TEST(FuzzCorpus, TheEnginesAgreeOnAllMachines) { replay("machine", machine); }
TEST(FuzzCorpus, DamagedSnapshotsAreRefusedOrRun) { replay("snapshot", snapshot); }
TEST(FuzzCorpus, DamagedKernelsAreRefusedOrLaidOut) { replay("multiboot", multiboot); }
TEST(FuzzCorpus, DamagedTracesAreReadAsFarAsTheyGo) { replay("trace", trace); }
TEST(FuzzCorpus, DamagedRecordingsAreRefusedOrDoneAgain) { replay("recording", recording); }
TEST(FuzzCorpus, DamagedImagesAreRefusedOrSayTheSameBothWays) { replay("elf", elf); }
TEST(FuzzCorpus, HostAndGuestReadTheSameOfArchives) { replay("tar", tar); }
TEST(FuzzCorpus, AnyClientOfGdbIsAnswered) { replay("gdb", gdb); }
TEST(FuzzCorpus, AnyConditionIsRefusedOrOnlyLooks) { replay("conditions", conditions); }

TEST(FuzzRandomBytes, TheDecoderTakesThem) { feed_random_bytes(decoder, 3000, 64); }
TEST(FuzzRandomBytes, TheEnginesAgreeOnThem) { feed_random_bytes(machine, 1500, 700); }
TEST(FuzzRandomBytes, SnapshotsDamagedByThemAreRefusedOrRun) { feed_random_bytes(snapshot, 50, 20); }
TEST(FuzzRandomBytes, RecordingsDamagedByThemAreRefusedOrDoneAgain) { feed_random_bytes(recording, 100, 20); }
TEST(FuzzRandomBytes, SectionsMayHoldThem) { feed_random_bytes(elf, 2000, 600); }
TEST(FuzzRandomBytes, HeadsOfArchivesMayHoldThem) { feed_random_bytes(tar, 2000, 1500); }
TEST(FuzzRandomBytes, AClientMaySendThem) { feed_random_bytes(gdb, 500, 200); }
TEST(FuzzRandomBytes, NoConditionOfThemDoesHarm) { feed_random_bytes(conditions, 2000, 40); }
TEST(FuzzRandomBytes, TracesDamagedByThemAreReadAsFarAsTheyGo) { feed_random_bytes(trace, 50, 20); }

// What a target reports, fuzzer and test both see.
TEST(FuzzRandomBytesDeathTest, AFindingEndsTheProcess) {
    EXPECT_DEATH(report("the engines differ"), "fuzz: the engines differ");
}

} // namespace
} // namespace forkscope::fuzz
