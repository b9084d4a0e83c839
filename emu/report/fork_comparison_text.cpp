// Several systems side by side, as a table for people.
#include <algorithm>
#include <functional>

#include "emu/report/fork_comparison.hpp"
#include "emu/report/report_text.hpp"

namespace forkscope {

namespace {

constexpr const char* kAbsent = "-";
constexpr std::size_t kMostConstantPages = 24;
constexpr std::array kStopOrder = {"0", "1", "1b", "2", "2b", "3", "4", "5", "?"};
constexpr std::array kFaultClasses = {FaultClass::DemandZero, FaultClass::File,       FaultClass::CowCopy,
                                      FaultClass::CowReuse,   FaultClass::Stack,      FaultClass::Spurious,
                                      FaultClass::Protection, FaultClass::KernelCopy, FaultClass::Resident};

// Sums of many forks grow long: from ten millions on, thousands are enough.
std::string summed(u64 value) {
    constexpr u64 kLong = 10'000'000;
    return value >= kLong ? grouped((value + 500) / 1000) + "k" : grouped(value);
}

// With a tenth where the number is small enough for it to matter.
std::string tenths(u64 value, u64 divisor) {
    constexpr u64 kSmall = 1000;
    if (value / divisor >= kSmall)
        return summed((value + divisor / 2) / divisor);
    const u64 scaled = (value * 10 + divisor / 2) / divisor;
    return scaled % 10 == 0 ? grouped(scaled / 10) : fmt::format("{}.{}", grouped(scaled / 10), scaled % 10);
}

class Table {
  public:
    explicit Table(const ForkComparison& comparison) : comparison_(comparison) {
        for (const ForkTally& tally : comparison.systems)
            several_ = several_ || tally.forks > 1;
    }

    std::vector<ComparisonSection> sections() {
        inside();
        stops();
        afterwards();
        return std::move(sections_);
    }

  private:
    using Figure = std::function<u64(const ForkTally&)>;

    void section(std::string title) { sections_.push_back({std::move(title), {}}); }
    // A sum; with several forks also the average of one.
    void row(std::string label, const Figure& figure, bool even_if_zero = true) {
        ComparisonRow fresh{std::move(label), {}};
        bool any = even_if_zero;
        for (const ForkTally& tally : comparison_.systems) {
            const u64 value = figure(tally);
            any = any || value != 0;
            std::string text = several_ ? summed(value) : grouped(value);
            if (several_)
                text += " / " + (tally.forks == 0 ? std::string(kAbsent) : tenths(value, tally.forks));
            fresh.values.push_back(std::move(text));
        }
        if (any)
            sections_.back().rows.push_back(std::move(fresh));
    }
    void texts(std::string label, const std::function<std::string(const ForkTally&)>& text) {
        ComparisonRow fresh{std::move(label), {}};
        bool any = false;
        for (const ForkTally& tally : comparison_.systems) {
            fresh.values.push_back(text(tally));
            any = any || fresh.values.back() != kAbsent;
        }
        if (any)
            sections_.back().rows.push_back(std::move(fresh));
    }
    void counter(std::string label, u64 ForkCounts::*count) {
        row(std::move(label), [count](const ForkTally& tally) { return tally.counts.*count; });
    }
    void shadows(const char* when, ShadowCounts ForkTally::*counts) {
        const auto of = [counts](u64 ShadowCounts::*count) {
            return [counts, count](const ForkTally& tally) { return tally.*counts.*count; };
        };
        row(fmt::format("shadow objects made {}", when), of(&ShadowCounts::created), false);
        row("  collapsed", of(&ShadowCounts::collapsed), false);
        row("  bypassed", of(&ShadowCounts::bypassed), false);
        texts("  longest chain", [counts](const ForkTally& tally) {
            return (tally.*counts).longest_chain == 0 ? kAbsent : grouped((tally.*counts).longest_chain);
        });
    }

    void inside();
    void stops();
    void afterwards();

    const ForkComparison& comparison_;
    bool several_ = false;
    std::vector<ComparisonSection> sections_;
};

void Table::inside() {
    section("Inside fork");
    texts("forks", [](const ForkTally& tally) { return grouped(tally.forks); });
    row(
        "  of them failed", [](const ForkTally& tally) { return tally.failed; }, false);
    row("cycles", [](const ForkTally& tally) { return tally.spent.cycles; });
    row(
        "  for tracepoints, about",
        [&](const ForkTally& tally) { return tally.counts.tracepoints * comparison_.tracepoint_cycles; }, false);
    row(
        "  for ports: tracepoints",
        [](const ForkTally& tally) { return tally.spent.by_cause[static_cast<std::size_t>(CycleCause::Io)]; }, false);
    row("instructions", [](const ForkTally& tally) { return tally.spent.instructions; });
    counter("page-table entries written", &ForkCounts::pte_writes);
    counter("  only write-protected", &ForkCounts::pte_protects);
    counter("frames allocated", &ForkCounts::frames_allocated);
    counter("frames copied", &ForkCounts::frames_copied);
    counter("references taken on frames", &ForkCounts::frames_shared);
    counter("TLB flush operations", &ForkCounts::flushes);
    counter("TLB entries lost", &ForkCounts::entries_dropped);
    counter("system calls", &ForkCounts::system_calls);
    counter("messages", &ForkCounts::messages);
    counter("privilege switches", &ForkCounts::privilege_switches);
    counter("address-space switches", &ForkCounts::space_switches);
    counter("loads of CR3 in all", &ForkCounts::cr3_loads);
    counter("kernel memory taken, bytes", &ForkCounts::heap_bytes);
    counter("  in objects", &ForkCounts::heap_objects);
    counter("  given back, bytes", &ForkCounts::heap_bytes_freed);
    row(
        "page faults", [](const ForkTally& tally) { return tally.faults_inside; }, false);
    shadows("inside", &ForkTally::shadows_inside);
}

void Table::stops() {
    section("Cycles by stop");
    for (const char* stop : kStopOrder) {
        const auto of = [stop](const ForkTally& tally) {
            const auto place = std::find_if(tally.stops.begin(), tally.stops.end(),
                                            [stop](const StopTally& one) { return one.stop == stop; });
            return place == tally.stops.end() ? nullptr : &*place;
        };
        const StopTally* first = nullptr;
        for (const ForkTally& tally : comparison_.systems)
            first = first == nullptr ? of(tally) : first;
        if (first != nullptr)
            texts(fmt::format("{:<3} {}", stop, first->name), [&](const ForkTally& tally) -> std::string {
                const StopTally* one = of(tally);
                if (one == nullptr)
                    return kAbsent;
                return (several_ ? summed(one->spent.cycles) : grouped(one->spent.cycles)) +
                       (several_ ? " / " + tenths(one->spent.cycles, std::max<u64>(tally.forks, 1)) : "");
            });
    }
}

void Table::afterwards() {
    section("Afterwards");
    for (const u8 side : {u8{0}, u8{1}})
        for (const FaultClass fault_class : kFaultClasses)
            row(
                fmt::format("faults of the {}: {}", side == 0 ? "parent" : "child", fault_class_name(fault_class)),
                [&](const ForkTally& tally) { return tally.faults[side][static_cast<u8>(fault_class)]; }, false);
    row("frames copied", [](const ForkTally& tally) { return tally.frames_copied; });
    texts("leaflets duplicated in all", [&](const ForkTally& tally) -> std::string {
        return tally.os == "lunaix" ? grouped(tally.leaflets_duplicated) : kAbsent;
    });
    shadows("afterwards", &ForkTally::shadows_after);
    texts("cycles of a copy-on-write fault", [](const ForkTally& tally) {
        return tally.cow_faults == 0 ? kAbsent : tenths(tally.cow_cycles, tally.cow_faults);
    });
    texts("messages of a copy-on-write fault", [](const ForkTally& tally) {
        return tally.cow_faults == 0 || tally.cow_messages == 0 ? kAbsent
                                                                : tenths(tally.cow_messages, tally.cow_faults);
    });
    texts("cycles until both are private", [&](const ForkTally& tally) -> std::string {
        if (tally.became_private == 0)
            return kAbsent;
        return (several_ ? summed(tally.until_private) : grouped(tally.until_private)) +
               (several_ ? " / " + tenths(tally.until_private, tally.became_private) : "");
    });
    section("The law: copy-on-write faults = pages written + constant");
    row("copy-on-write faults", [](const ForkTally& tally) { return tally.cow_faults; });
    row("pages written by the workload", [](const ForkTally& tally) { return tally.pages_named; });
    row(
        "pages made private by fork", [](const ForkTally& tally) { return tally.pages_made_private; }, false);
    texts("constant", [](const ForkTally& tally) { return fmt::format("{}", tally.law_constant()); });
}

std::size_t width_of(const std::string& text) { return text.size(); }

std::string table_text(const ForkComparison& comparison) {
    const std::vector<ComparisonSection> sections = comparison_table(comparison);
    std::size_t label_width = 0;
    std::vector<std::size_t> widths;
    for (const ForkTally& tally : comparison.systems)
        widths.push_back(std::max<std::size_t>(10, width_of(tally.system)));
    for (const ComparisonSection& section : sections) {
        for (const ComparisonRow& row : section.rows) {
            label_width = std::max(label_width, width_of(row.label));
            for (std::size_t i = 0; i < row.values.size(); ++i)
                widths[i] = std::max(widths[i], width_of(row.values[i]));
        }
    }
    std::string out;
    for (const ComparisonSection& section : sections) {
        out += "\n" + section.title;
        if (&section == &sections.front()) {
            out.append(label_width + 2 - std::min(label_width + 2, section.title.size()), ' ');
            for (std::size_t i = 0; i < widths.size(); ++i)
                out += fmt::format("  {:>{}}", comparison.systems[i].system, widths[i]);
        }
        out += "\n";
        for (const ComparisonRow& row : section.rows) {
            out += fmt::format("  {:<{}}", row.label, label_width);
            for (std::size_t i = 0; i < row.values.size(); ++i)
                out += fmt::format("  {:>{}}", row.values[i], widths[i]);
            out += "\n";
        }
    }
    return out;
}

std::string stops_text(const ForkTally& tally) {
    std::string out = fmt::format("\n{}, step by step\n", tally.system);
    for (const StopTally& stop : tally.stops) {
        std::string what = stop.original.empty() ? stop.name : stop.original;
        const std::string where = stop.function + (stop.source.empty() ? "" : " (" + stop.source + ")");
        out += fmt::format("  {:<3} {:<34}{:>12}{}\n", stop.stop, shortened(what, 33), grouped(stop.spent.cycles),
                           where.empty() ? "" : "  " + shortened(where, 45));
    }
    if (!tally.fault_path.empty())
        out += fmt::format("  {:<3} {:<34}{:>12}  {} copy-on-write faults\n", "F", shortened(tally.fault_path, 33),
                           grouped(tally.cow_cycles), grouped(tally.cow_faults));
    return out;
}

std::string constant_text(const ForkTally& tally) {
    std::string out;
    const std::size_t shown = std::min(tally.constant.size(), kMostConstantPages);
    for (std::size_t i = 0; i < shown; ++i) {
        const ConstantPage& page = tally.constant[i];
        out += fmt::format("  {:<10}{:<7}{:08x}  {:<12}{:>5} x  {}\n", i == 0 ? tally.system : "",
                           fork_side_name(page.side), page.page, fault_class_name(page.fault_class), page.faults,
                           shortened(page.memory + ", by " + page.by, 50));
    }
    if (tally.constant.empty())
        out +=
            fmt::format("  {:<10}{}\n", tally.system, tally.trimmed ? "the list was given up to bound memory" : "none");
    if (tally.constant.size() > shown)
        out += fmt::format("  {:<10}… {} more; --json has them all\n", "", tally.constant.size() - shown);
    return out;
}

} // namespace

std::vector<ComparisonSection> comparison_table(const ForkComparison& comparison) {
    return Table(comparison).sections();
}

std::string fork_comparison_text(const ForkComparison& comparison) {
    std::string out =
        fmt::format("Workload {}: `{}` on {}\n", comparison.workload, comparison.command, comparison.machine);
    const bool several = std::any_of(comparison.systems.begin(), comparison.systems.end(),
                                     [](const ForkTally& tally) { return tally.forks > 1; });
    if (several)
        out += "Several forks: each figure is the sum over all, then / the average of one fork (k: thousand).\n";
    out += table_text(comparison);
    out += "\nThe constant, page by page\n";
    for (const ForkTally& tally : comparison.systems)
        out += constant_text(tally);
    for (const ForkTally& tally : comparison.systems)
        out += stops_text(tally);
    out += "\nFindings\n";
    bool none = true;
    for (const ForkTally& tally : comparison.systems) {
        if (!tally.trouble.empty())
            out += fmt::format("  ! {}: {}\n", tally.system, tally.trouble);
        for (const std::string& finding : tally.findings)
            out += fmt::format("  ! {}: {}\n", tally.system, finding);
        none = none && tally.trouble.empty() && tally.findings.empty();
    }
    if (none)
        out += "  none: what the guests state and what the hardware shows agree\n";
    return out;
}

} // namespace forkscope
