// How long it takes to any place of a recording, and one step back from there: 200 places at random, with the fork
// tracer, as `step F` has it. Prints a table; no test.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "emu/base/random.hpp"
#include "emu/session/recording/recorded_run.hpp"
#include "emu/session/session.hpp"
#include "emu/session/stepper/stepper.hpp"

namespace forkscope {
namespace {

constexpr int kPlaces = 200;

void say(const char* name, std::vector<double> milliseconds) {
    std::sort(milliseconds.begin(), milliseconds.end());
    std::printf("%s: median %.1f ms, p95 %.1f ms, worst %.1f ms\n", name, milliseconds[milliseconds.size() / 2],
                milliseconds[milliseconds.size() * 95 / 100], milliseconds.back());
}

template <class Act> double milliseconds_of(const Act& act) {
    const auto began = std::chrono::steady_clock::now();
    act();
    return 1000 * std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

int measure(const char* path) {
    Options options;
    options.command = Command::Step;
    options.recording_path = path;
    options.serial = "none";
    options.trace_forks = true;
    options.history = u64{512} << 20;
    if (const auto adopted = adopt_recording(options); !adopted.ok())
        return std::printf("%s\n", adopted.error().message.c_str());
    std::unique_ptr<Session> session;
    const double opening = milliseconds_of([&] {
        if (auto created = Session::create(options); created.ok())
            session = std::move(created).value();
    });
    if (session == nullptr)
        return std::printf("the recording cannot be opened\n");
    Stepper stepper(*session);
    Timeline& timeline = stepper.timeline();
    const u64 end = timeline.end().instructions;
    std::printf("%llu instructions, %.1f s simulated, opened in %.0f ms\n", static_cast<unsigned long long>(end),
                static_cast<double>(timeline.end().cycle) / static_cast<double>(session->machine().cycles_per_second()),
                opening);
    Random random(12);
    std::vector<double> there, back;
    bool sound = true;
    for (int i = 0; i < kPlaces; ++i) {
        const u64 place = 1 + random.below(end - 1);
        there.push_back(milliseconds_of([&] { sound = timeline.go_to(place).ok() && sound; }));
        sound = sound && session->machine().instructions() == place;
        back.push_back(
            milliseconds_of([&] { sound = stepper.move(Grain::Instruction, Way::Backwards).ok() && sound; }));
    }
    say("any place", there);
    say("one step back from there", back);
    return sound ? 0 : std::printf("a place was not reached\n");
}

} // namespace
} // namespace forkscope

int main(int argc, char** argv) {
    return argc == 2 ? forkscope::measure(argv[1]) : std::printf("usage: bench_recording RECORDING\n");
}
