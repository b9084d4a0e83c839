// How long `why` takes: places and mapped addresses at random, each part of an answer. In CPU time; prints a table; no
// test.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <string>

#include "emu/base/random.hpp"
#include "emu/observe/tables/page_table_view.hpp"
#include "emu/session/stepper/why.hpp"

namespace forkscope {
namespace {

double cpu_milliseconds() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

void measure(const std::string& line, bool user_only, int pairs) {
    Options options;
    options.command = Command::Step;
    options.machine.command_line = line;
    options.serial = "none";
    options.trace_forks = true;
    auto session = std::move(Session::create(options).value());
    session->keep_past();
    while (session->run_slice(10'000'000)) {
    }
    Machine& machine = session->machine();
    Timeline& timeline = *session->timeline();
    Why why(*session, {});
    Random random(9);
    std::map<std::string, std::vector<double>> times;
    const Position end = timeline.end();
    for (int i = 0; i < pairs;) {
        const u64 first = timeline.beginning().instructions;
        if (!timeline.go_to(first + random.below(end.instructions - first)).ok())
            return;
        const PagingControl control = machine.mmu().control();
        if (!control.paging())
            continue;
        const AddressSpace space = control.space_of(machine.registers().cr3);
        const PageTableView view = PageTableView::read(machine.mmu().memory(), space,
                                                       {.control = control, .user_only = user_only, .directories = {}});
        if (view.entries().empty())
            continue;
        const PageEntry& page = view.entries()[random.below(view.entries().size())];
        const LinearAddress address(page.linear + random.below(kPageSize));
        ++i;
        for (const WhyPart part : {WhyPart::Entry, WhyPart::Directory, WhyPart::Tlb, WhyPart::Frame, WhyPart::Byte}) {
            const double began = cpu_milliseconds();
            const auto all = why.explain(address, space, part);
            if (all.ok() && !all->empty())
                times[std::string(why_part_name(part))].push_back(cpu_milliseconds() - began);
        }
    }
    std::printf("%s, %s pages: %llu instructions, %zu checkpoints\n", line.c_str(), user_only ? "user" : "all",
                static_cast<unsigned long long>(end.instructions), timeline.checkpoint_count());
    for (auto& [part, list] : times) {
        std::sort(list.begin(), list.end());
        std::printf("  %-10s %3zu asked: median %.1f ms, p95 %.1f ms, worst %.1f ms\n", part.c_str(), list.size(),
                    list[list.size() / 2], list[list.size() * 95 / 100], list.back());
    }
}

} // namespace
} // namespace forkscope

int main(int argc, char** argv) {
    const int pairs = argc > 1 ? std::atoi(argv[1]) : 200;
    for (const char* line : {"run=forkdemo", "run=forkstorm 400"})
        for (const bool user_only : {true, false})
            forkscope::measure(line, user_only, pairs);
}
