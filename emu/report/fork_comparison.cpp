#include "emu/report/fork_comparison.hpp"

#include <algorithm>

#include "emu/observe/forks/fork_workload.hpp"

namespace forkscope {

namespace {

constexpr u32 kFirstProcess = 1;
constexpr std::size_t kMostFindings = 20;
constexpr std::size_t kMostPrivatePages = 1024;
// Frames of one block are copied by one loop: nothing else lies between their tracepoints.
constexpr u64 kInstructionsWithinBlock = 256;

void add(ShadowCounts& sum, const ShadowCounts& more) {
    sum.created += more.created;
    sum.collapsed += more.collapsed;
    sum.bypassed += more.bypassed;
    sum.longest_chain = std::max(sum.longest_chain, more.longest_chain);
}

void add_stop(ForkTally& tally, const ForkStop& stop, const ForkReportOptions& options) {
    const std::string_view number = fork_stop_name(stop.id).number;
    auto place =
        std::find_if(tally.stops.begin(), tally.stops.end(), [&](const StopTally& one) { return one.stop == number; });
    if (place == tally.stops.end()) {
        StopTally fresh;
        fresh.stop = number;
        fresh.name = fork_stop_name(stop.id).name;
        if (options.profile != nullptr)
            fresh.original = options.profile->functions_at(number);
        if (options.symbols != nullptr) {
            const Location stated = stop_location(stop, *options.symbols);
            fresh.function =
                stop.program.empty() || !stated.known() ? stated.symbol : stop.program + ": " + stated.symbol;
            fresh.source = stated.source();
        }
        place = tally.stops.insert(tally.stops.end(), std::move(fresh));
    }
    ++place->times;
    place->spent += stop.spent;
    place->counts += stop.counts;
}

u64 blocks_copied(const ForkRecord& fork) {
    u64 blocks = 0;
    const FrameChange* last = nullptr;
    for (const FrameChange& change : fork.frames) {
        if (change.act != FrameAct::Copied)
            continue;
        const bool goes_on = last != nullptr && change.frame == last->frame + kPageSize &&
                             change.copy == last->copy + kPageSize &&
                             change.instructions - last->instructions < kInstructionsWithinBlock;
        blocks += goes_on ? 0 : 1;
        last = &change;
    }
    return blocks;
}

void add_constant(ForkTally& tally, const ForkRecord& fork, const ForkFault& fault, const ForkReportOptions& options) {
    ConstantPage page;
    page.side = fault.side;
    page.page = fault.record->page_address();
    page.memory = memory_name(fork, *fault.record, options);
    page.by = place_text(*fault.record, options);
    page.fault_class = fault.record->page;
    for (ConstantPage& known : tally.constant) {
        if (known.side == page.side && known.page == page.page && known.by == page.by &&
            known.fault_class == page.fault_class) {
            ++known.faults;
            return;
        }
    }
    page.faults = 1;
    tally.constant.push_back(std::move(page));
}

void add_faults(ForkTally& tally, const ForkRecord& fork, const ForkReportOptions& options) {
    for (const ForkFault& fault : fork.faults) {
        if (fault.in_fork)
            ++tally.faults_inside;
        else if (fault.side == ForkSide::Parent || fault.side == ForkSide::Child)
            ++tally.faults[fault.side == ForkSide::Child ? 1 : 0][static_cast<u8>(fault.record->fault_class)];
        if (!fault.in_fork)
            tally.frames_copied += fault.record->frames_copied;
        if (fault.belongs) {
            tally.cow_cycles += fault.record->spent.cycles;
            tally.cow_messages += fault.record->messages;
        }
    }
    for (const ForkFault* fault : cow_summary(fork, options.parent_pages).rest)
        add_constant(tally, fork, *fault, options);
}

void add_private_pages(ForkTally& tally, const ForkRecord& fork, const ForkReportOptions& options) {
    for (const DifferenceRange& range : fork.differences) {
        if (range.difference != PageDifference::DifferentFrame)
            continue;
        tally.pages_made_private += range.pages();
        for (u64 page = range.start; page < range.end && tally.private_pages.size() < kMostPrivatePages;
             page += kPageSize) {
            const auto known = std::find_if(tally.private_pages.begin(), tally.private_pages.end(),
                                            [page](const PrivatePage& one) { return one.page == page; });
            if (known != tally.private_pages.end())
                ++known->forks;
            else
                tally.private_pages.push_back(
                    {static_cast<u32>(page), memory_name(fork, static_cast<u32>(page), options), 1});
        }
    }
}

} // namespace

std::vector<const ForkRecord*> workload_forks(const ForkStore& forks) {
    std::vector<const ForkRecord*> marked, of_command, others;
    for (const ForkRecord& fork : forks) {
        if (fork.in_workload)
            marked.push_back(&fork);
        if (in_command(forks, fork))
            of_command.push_back(&fork);
        if (fork.parent_pid != kFirstProcess)
            others.push_back(&fork);
    }
    return !marked.empty() ? marked : !of_command.empty() ? of_command : others;
}

void add_findings(ForkTally& tally, const ForkRecord& fork) {
    for (const std::string& finding : fork.findings)
        if (tally.findings.size() < kMostFindings &&
            std::find(tally.findings.begin(), tally.findings.end(), finding) == tally.findings.end())
            tally.findings.push_back(finding);
}

ForkTally tally_forks(const std::vector<const ForkRecord*>& forks, const ForkReportOptions& options) {
    ForkTally tally;
    if (options.profile != nullptr) {
        tally.os = options.profile->name;
        tally.system = options.profile->system;
        tally.fault_path = options.profile->functions_at("F");
    }
    for (const ForkRecord* fork : forks) {
        ++tally.forks;
        tally.failed += fork->failed ? 1 : 0;
        tally.trimmed = tally.trimmed || fork->trimmed;
        tally.spent += fork->spent;
        tally.elapsed += elapsed_cycles(*fork);
        tally.counts += fork->counts;
        for (const ForkStop& stop : fork->stops)
            add_stop(tally, stop, options);
        add(tally.shadows_inside, fork->shadows_inside);
        add(tally.shadows_after, fork->shadows_after);
        tally.pages_named += fork->pages_named + options.parent_pages.of(*fork);
        tally.cow_faults += fork->cow_faults();
        tally.leaflets_duplicated += blocks_copied(*fork);
        add_faults(tally, *fork, options);
        add_private_pages(tally, *fork, options);
        if (fork->private_cycle != 0) {
            ++tally.became_private;
            tally.until_private += cycles_until_private(*fork);
        }
        add_findings(tally, *fork);
    }
    tally.leaflets_duplicated += tally.frames_copied;
    std::stable_sort(tally.constant.begin(), tally.constant.end(),
                     [](const ConstantPage& a, const ConstantPage& b) { return a.faults > b.faults; });
    return tally;
}

} // namespace forkscope
