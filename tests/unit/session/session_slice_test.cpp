// How often a run looks at Ctrl-C.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <fstream>

#include "emu/session/session.hpp"
#include "emu/session/slice_length.hpp"

namespace forkscope::test {
namespace {

using std::chrono::nanoseconds;
constexpr Cycles kLongest = 5'000'000;

// A host that takes so long for a cycle; the time of the last of many slices.
nanoseconds settled(SliceLength& slice, u64 nanoseconds_per_1000_cycles) {
    nanoseconds time{};
    for (int i = 0; i < 100; ++i) {
        time = nanoseconds(slice.cycles() * nanoseconds_per_1000_cycles / 1000);
        slice.took(time);
    }
    return time;
}

TEST(SliceLength, TakesTheSameTimeHoweverSlowTheGuestIs) {
    for (const u64 speed : {1'000u, 20'000u, 500'000u, 10'000'000u}) {
        SliceLength slice(kLongest);
        EXPECT_LE(settled(slice, speed), 2 * SliceLength::kAim) << speed;
        EXPECT_GE(settled(slice, speed), SliceLength::kAim / 4) << speed;
    }
    SliceLength idle(kLongest);
    settled(idle, 0);
    EXPECT_EQ(idle.cycles(), kLongest);
}

// From plain code, 5 ns a cycle, to REP over device memory: the first slow slice is the longest.
TEST(SliceLength, AnswersWithinATenthOfASecondWhenTheGuestTurnsSlow) {
    SliceLength slice(kLongest);
    settled(slice, 5'000);
    const nanoseconds first(slice.cycles() * 200);
    EXPECT_LT(first, std::chrono::milliseconds(100));
    slice.took(first);
    EXPECT_LE(nanoseconds(slice.cycles() * 200), 2 * SliceLength::kAim);
}

// Presses Ctrl-C at the beginning of a slice, and counts them.
class Presses final : public Debugger {
  public:
    explicit Presses(u32 at) : at_(at) {}
    Wants poll() override {
        if (++slices == at_)
            std::raise(SIGINT);
        return Wants::Run;
    }
    Wants wants() const override { return Wants::Run; }
    void go_back() override {}
    bool stopped(const StopReason&, const std::optional<Outcome>&) override { return false; }
    void wait(int) override {}
    bool attached() const override { return true; }
    void pause() override {}
    void release() override {}

    u32 slices = 0;

  private:
    u32 at_;
};

// However long one instruction is: in the slice in which it is pressed Ctrl-C ends the run.
TEST(SliceLength, EndsARunWithinOneInstructionOnADevice) {
    constexpr u32 kIterations = 20'000'000, kPort = 0xE9;
    // A header with addresses; cld; mov edx, port; mov ecx, iterations; rep outsb; cli; hlt
    std::vector<u8> kernel;
    const auto word = [&](u32 value) {
        for (u32 shift = 0; shift < 32; shift += 8)
            kernel.push_back(static_cast<u8>(value >> shift));
    };
    for (const u32 value :
         {0x1BADB002u, 0x10000u, 0u - 0x1BADB002u - 0x10000u, 0x100000u, 0x100000u, 0u, 0u, 0x100020u})
        word(value);
    for (const u8 byte : {0xFC, 0xBA})
        kernel.push_back(byte);
    word(kPort);
    kernel.push_back(0xB9);
    word(kIterations);
    for (const u8 byte : {0xF3, 0x6E, 0xFA, 0xF4})
        kernel.push_back(byte);
    const std::string path = testing::TempDir() + "forkscope-endless-string";
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(kernel.data()), static_cast<std::streamsize>(kernel.size()));
    for (const u32 pressed : {1u, 5u}) {
        Options options;
        options.command = Command::Run;
        options.kernel_path = path;
        options.machine.direct = true;
        auto session = std::move(Session::create(options)).value();
        Presses presses(pressed);
        session->set_debugger(&presses);
        EXPECT_EQ(session->run_to_end().code, ExitCode::LimitReached);
        EXPECT_EQ(session->outcome().why, "stopped by Ctrl-C or a signal");
        EXPECT_EQ(presses.slices, pressed);
        const u64 done = kIterations - session->machine().registers().gpr[kEcx];
        EXPECT_GT(done, 0u);
        // A slice may at most double from one to the next.
        EXPECT_LE(done, session->machine().now());
        EXPECT_LE(session->machine().now(), (kLongest / 64) * ((u64{1} << pressed) - 1) + 100);
    }
    std::remove(path.c_str());
}

} // namespace
} // namespace forkscope::test
