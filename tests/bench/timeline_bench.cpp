// What the past costs, and how long the way back takes: forkstorm untraced, traced, and each with checkpoints, in
// turn; then places at random. CPU time, which is the latency on an idle core. Prints a table; no test.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <string>
#include <tuple>

#include <malloc.h>

#include "cpu/engine/translator/translator_factory.hpp"
#include "emu/base/random.hpp"
#include "emu/files/code_memory.hpp"
#include "emu/files/cpu_time.hpp"
#include "emu/machine/timeline/timeline.hpp"
#include "emu/session/stepper/stepper.hpp"
#include "tests/replay/guest_machine.hpp"

namespace forkscope {
namespace {

double cpu_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

u64 resident_megabytes() {
    std::ifstream file("/proc/self/statm");
    u64 size = 0;
    u64 resident = 0;
    file >> size >> resident;
    return resident * 4096 >> 20;
}

TimelineLimits limits_of_sessions() {
    TimelineLimits limits;
    limits.clock = cpu_time;
    return limits;
}

struct Traced {
    Traced(const std::string& os, const std::string& line, bool trace)
        : guest(
              line,
              [](MachineConfig& config) {
                  config.engine = EngineKind::Translator;
                  config.translator = translator_factory(map_code_memory);
              },
              os) {
        Machine& m = *guest.machine;
        if (!trace)
            return;
        symbols.add_kernel(ElfImage::from_bytes("kernel", embedded_kernel(os).value()).value());
        static_cast<void>(symbols.add_programs_of_initrd(embedded_initrd()));
        tracer = std::make_unique<ForkTracer>(m.mmu().memory(), &symbols, tracer_options_for(m));
        m.add_checkpoint_part(tracer->checkpoint_part());
        m.add_checkpoint_part(symbols.checkpoint_part());
        m.set_trace_sink(tracer.get());
    }
    GuestMachine guest;
    Symbolizer symbols;
    std::unique_ptr<ForkTracer> tracer;
};

void print_memory(const Timeline& timeline) {
    const auto used = ::mallinfo2();
    std::printf(
        "  %llu instructions, %.1f s; %zu checkpoints, %llu MB counted; heap %llu MB in use, %llu MB free; %llu "
        "MB resident\n",
        static_cast<unsigned long long>(timeline.end().instructions), static_cast<double>(timeline.end().cycle) / 1e8,
        timeline.checkpoint_count(), static_cast<unsigned long long>(timeline.bytes() >> 20),
        static_cast<unsigned long long>((used.uordblks + used.hblkhd) >> 20),
        static_cast<unsigned long long>(used.fordblks >> 20), static_cast<unsigned long long>(resident_megabytes()));
}

double run_once(const std::string& os, const std::string& line, bool trace, bool keep, u64 cycles) {
    Traced traced(os, line, trace);
    Machine& m = *traced.guest.machine;
    std::unique_ptr<Timeline> timeline;
    if (keep)
        timeline = std::make_unique<Timeline>(m, limits_of_sessions());
    const double began = cpu_seconds();
    constexpr Cycles kSlice = 5'000'000;
    for (StopReason reason; reason.kind != StopKind::Exit && m.now() < cycles;) {
        const RunLimit limit{std::min<Cycles>(cycles, m.now() + kSlice), ~u64{0}};
        reason = timeline != nullptr ? timeline->run(limit) : m.run(limit);
    }
    const double took = cpu_seconds() - began;
    if (keep)
        print_memory(*timeline);
    return took;
}

double least(const std::vector<double>& all) { return *std::min_element(all.begin(), all.end()); }

void costs(const std::string& os, const std::string& line, u64 cycles, int rounds) {
    std::vector<double> times[4];
    for (int round = 0; round < rounds; ++round)
        for (int variant = 0; variant < 4; ++variant)
            times[variant].push_back(run_once(os, line, (variant & 1) != 0, (variant & 2) != 0, cycles));
    const double base = least(times[0]);
    const double traced = least(times[1]);
    std::printf(
        "%s: untraced %.3f s; checkpoints %.3f; tracer %.3f; both %.3f (checkpoints add %.3f of the untraced)\n",
        os.c_str(), base, least(times[2]) / base, traced / base, least(times[3]) / base,
        (least(times[3]) - traced) / base);
}

void latencies(const std::string& os, const std::string& line, u64 cycles, int places) {
    Traced traced(os, line, true);
    Machine& m = *traced.guest.machine;
    Timeline timeline(m, limits_of_sessions());
    const double started = cpu_seconds();
    while (m.now() < cycles && timeline.run({cycles, ~u64{0}}).kind != StopKind::Exit) {
    }
    const Position end = timeline.end();
    std::printf("%s, %s: run with the past kept: %.1f s\n", os.c_str(), line.c_str(), cpu_seconds() - started);
    print_memory(timeline);
    Random random(5);
    std::vector<double> there;
    std::vector<double> back;
    std::vector<double> again;
    const auto timed = [](std::vector<double>& list, const auto& act) {
        const double began = cpu_seconds();
        act();
        list.push_back(1000 * (cpu_seconds() - began));
    };
    for (int i = 0; i < places; ++i) {
        const u64 at = 1'000 + random.below(end.instructions - 1'000);
        timed(there, [&] { static_cast<void>(timeline.go_to(at)); });
        timed(back, [&] { static_cast<void>(timeline.go_to(at - 1)); });
        timed(again, [&] { static_cast<void>(timeline.go_to(at - 2)); });
    }
    for (auto [name, list] :
         {std::pair("any place", &there), std::pair("one back", &back), std::pair("once more", &again)}) {
        std::sort(list->begin(), list->end());
        std::printf("%s %s: median %.1f ms, p95 %.1f ms, worst %.1f ms\n", os.c_str(), name, (*list)[list->size() / 2],
                    (*list)[list->size() * 95 / 100], list->back());
    }
    print_memory(timeline);
}

// A step back from the present, where nobody has gone back before; then the last fault, stop and entry before places
// at random, from `least` instructions on.
void moves_back(const std::string& os, const std::string& line, u64 least, u64 most, int places) {
    std::vector<double> times[5];
    const char* const names[] = {"step back from the present", "line", "fault", "stop", "entry"};
    Random random(5);
    for (int i = 0; i < places; ++i) {
        Options options;
        options.command = Command::Step;
        options.os = os;
        options.machine.command_line = line;
        options.serial = "none";
        options.trace_forks = true;
        options.history = u64{512} << 20;
        options.limit.instructions = least + random.below(most - least);
        auto created = Session::create(options);
        Session& session = **created;
        session.run_to_end();
        session.stops().set_limit({});
        Stepper stepper(session);
        const Position here = stepper.timeline().position();
        const Grain grains[] = {Grain::Instruction, Grain::Line, Grain::Fault, Grain::Stop, Grain::TableWrite};
        for (std::size_t grain = 0; grain < std::size(grains); ++grain) {
            static_cast<void>(stepper.go_to(here));
            const double began = cpu_seconds();
            static_cast<void>(stepper.move(grains[grain], Way::Backwards));
            times[grain].push_back(1000 * (cpu_seconds() - began));
        }
    }
    for (std::size_t grain = 0; grain < std::size(times); ++grain) {
        std::sort(times[grain].begin(), times[grain].end());
        std::printf("%s, %s, %s: median %.1f ms, p95 %.1f ms, worst %.1f ms\n", os.c_str(), line.c_str(), names[grain],
                    times[grain][times[grain].size() / 2], times[grain][times[grain].size() * 95 / 100],
                    times[grain].back());
    }
}

} // namespace
} // namespace forkscope

int main(int argc, char** argv) {
    using namespace forkscope;
    const std::string what = argc > 1 ? argv[1] : "costs";
    const std::string os = argc > 2 ? argv[2] : "lunaix";
    const std::string line = argc > 3 ? argv[3] : "run=forkstorm 400";
    const double seconds = argc > 4 ? std::stod(argv[4]) : 1e6;
    const auto cycles = static_cast<u64>(seconds * 1e8);
    if (what == "costs")
        costs(os, line, cycles, 5);
    else if (what == "moves")
        for (const auto& [work, least, most] : {std::tuple("run=forkdemo --pages 8 --parent 2", 650'000, 800'000),
                                                std::tuple("run=forkstorm 400", 800'000, 30'000'000)})
            moves_back(os, work, static_cast<u64>(least), static_cast<u64>(most), 200);
    else
        latencies(os, line, cycles, 200);
}
