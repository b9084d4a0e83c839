// Several systems side by side, for people.
#include <algorithm>
#include <functional>

#include "emu/report/fork_comparison.hpp"
#include "emu/report/report_text.hpp"

namespace forkscope {

namespace {

using enum Column::Align;

constexpr std::size_t kMostConstantPages = 24;
constexpr std::array kStopOrder = {"0", "1", "1b", "2", "2b", "3", "4", "5", "?"};
constexpr std::array kFaultClasses = {
    FaultClass::DemandZero, FaultClass::File,       FaultClass::CowCopy,    FaultClass::CowReuse, FaultClass::Stack,
    FaultClass::Spurious,   FaultClass::Protection, FaultClass::KernelCopy, FaultClass::Resident, FaultClass::NoMemory};

// A row of the table: a figure for each system; absent where a system has no such thing.
class Figures {
  public:
    Figures(const ForkComparison& comparison, Rows& rows) : comparison_(comparison), rows_(rows) {
        for (const ForkTally& tally : comparison.systems)
            several_ = several_ || tally.forks > 1;
    }

    using Figure = std::function<u64(const ForkTally&)>;
    enum class Zeros { Shown, LeftOut };
    // A sum; with several forks also the average of one.
    void sums(std::string label, const Figure& figure, Zeros zeros = Zeros::Shown) {
        bool any = zeros == Zeros::Shown;
        for (const ForkTally& tally : comparison_.systems)
            any = any || figure(tally) != 0;
        if (any)
            cells(std::move(label), [&](const ForkTally& tally) { return sum(figure(tally), tally.forks); });
    }
    // Left out where no system has any.
    void cells(std::string label, const std::function<Cell(const ForkTally&)>& cell) {
        std::vector<Cell> values;
        bool any = false;
        for (const ForkTally& tally : comparison_.systems)
            any = values.emplace_back(cell(tally)).kind() != Cell::Kind::Absent || any;
        if (any)
            rows_.emplace_back().text("label", "  " + label).add("values", Cell::list(std::move(values)));
    }
    void counter(std::string label, u64 ForkCounts::*count) {
        sums(std::move(label), [count](const ForkTally& tally) { return tally.counts.*count; });
    }
    void shadows(const char* when, ShadowCounts ForkTally::*counts) {
        const auto of = [counts](u64 ShadowCounts::*count) {
            return [counts, count](const ForkTally& tally) { return tally.*counts.*count; };
        };
        sums(fmt::format("shadow objects made {}", when), of(&ShadowCounts::created), Zeros::LeftOut);
        sums("  collapsed", of(&ShadowCounts::collapsed), Zeros::LeftOut);
        sums("  bypassed", of(&ShadowCounts::bypassed), Zeros::LeftOut);
        cells("  longest chain", [counts](const ForkTally& tally) {
            const u64 longest = (tally.*counts).longest_chain;
            return longest == 0 ? Cell() : Cell::count(longest);
        });
    }
    Cell sum(u64 value, u64 of) const { return several_ ? Cell::sum_and_mean(value, of) : Cell::count(value); }

  private:
    const ForkComparison& comparison_;
    Rows& rows_;
    bool several_ = false;
};

Rows inside(const ForkComparison& comparison) {
    using enum Figures::Zeros;
    Rows rows;
    Figures figures(comparison, rows);
    figures.cells("forks", [](const ForkTally& tally) { return Cell::count(tally.forks); });
    figures.sums(
        "  of them failed", [](const ForkTally& tally) { return tally.failed; }, LeftOut);
    figures.sums("own cycles", [](const ForkTally& tally) { return tally.spent.cycles; });
    if (comparison.tracepoint.cycles() != 0)
        figures.sums("  untraced, about",
                     [&](const ForkTally& tally) { return comparison.tracepoint.untraced(tally.spent, tally.counts); });
    if (std::any_of(comparison.systems.begin(), comparison.systems.end(),
                    [](const ForkTally& tally) { return tally.elapsed != tally.spent.cycles; }))
        figures.sums("elapsed cycles", [](const ForkTally& tally) { return tally.elapsed; });
    figures.sums("instructions", [](const ForkTally& tally) { return tally.spent.instructions; });
    figures.counter("page-table entries written", &ForkCounts::pte_writes);
    figures.counter("  only write-protected", &ForkCounts::pte_protects);
    figures.counter("frames allocated", &ForkCounts::frames_allocated);
    figures.counter("frames copied", &ForkCounts::frames_copied);
    figures.counter("references taken on frames", &ForkCounts::frames_shared);
    figures.counter("TLB flush operations", &ForkCounts::flushes);
    figures.counter("TLB entries lost", &ForkCounts::entries_dropped);
    figures.counter("system calls", &ForkCounts::system_calls);
    figures.counter("messages", &ForkCounts::messages);
    figures.counter("privilege switches", &ForkCounts::privilege_switches);
    figures.counter("address-space switches", &ForkCounts::space_switches);
    figures.counter("loads of CR3, total", &ForkCounts::cr3_loads);
    figures.counter("kernel memory allocated, bytes", &ForkCounts::heap_bytes);
    figures.counter("  in objects", &ForkCounts::heap_objects);
    figures.counter("  freed, bytes", &ForkCounts::heap_bytes_freed);
    figures.sums(
        "page faults", [](const ForkTally& tally) { return tally.faults_inside; }, LeftOut);
    figures.shadows("inside", &ForkTally::shadows_inside);
    return rows;
}

Rows stops(const ForkComparison& comparison) {
    Rows rows;
    Figures figures(comparison, rows);
    for (const char* stop : kStopOrder) {
        const auto of = [stop](const ForkTally& tally) {
            const auto place = std::find_if(tally.stops.begin(), tally.stops.end(),
                                            [stop](const StopTally& one) { return one.stop == stop; });
            return place == tally.stops.end() ? nullptr : &*place;
        };
        const StopTally* first = nullptr;
        for (const ForkTally& tally : comparison.systems)
            first = first == nullptr ? of(tally) : first;
        if (first != nullptr)
            figures.cells(fmt::format("{:<3} {}", stop, first->name), [&](const ForkTally& tally) {
                const StopTally* one = of(tally);
                return one == nullptr ? Cell() : figures.sum(one->spent.cycles, std::max<u64>(tally.forks, 1));
            });
    }
    return rows;
}

Rows afterwards(const ForkComparison& comparison) {
    Rows rows;
    Figures figures(comparison, rows);
    for (const u8 side : {u8{0}, u8{1}})
        for (const FaultClass fault_class : kFaultClasses)
            figures.sums(
                fmt::format("faults of the {}: {}", side == 0 ? "parent" : "child", fault_class_name(fault_class)),
                [&](const ForkTally& tally) { return tally.faults[side][static_cast<u8>(fault_class)]; },
                Figures::Zeros::LeftOut);
    figures.sums("frames copied", [](const ForkTally& tally) { return tally.frames_copied; });
    figures.cells("leaflets duplicated, total", [](const ForkTally& tally) {
        return tally.os == "lunaix" ? Cell::count(tally.leaflets_duplicated) : Cell();
    });
    figures.shadows("afterwards", &ForkTally::shadows_after);
    figures.cells("own cycles of a copy-on-write fault", [](const ForkTally& tally) {
        return tally.cow_faults == 0 ? Cell() : Cell::mean(tally.cow_cycles, tally.cow_faults);
    });
    figures.cells("messages of a copy-on-write fault", [](const ForkTally& tally) {
        return tally.cow_faults == 0 || tally.cow_messages == 0 ? Cell()
                                                                : Cell::mean(tally.cow_messages, tally.cow_faults);
    });
    figures.cells("cycles until both are private", [&](const ForkTally& tally) {
        return tally.became_private == 0 ? Cell() : figures.sum(tally.until_private, tally.became_private);
    });
    return rows;
}

Rows copy_on_write(const ForkComparison& comparison) {
    Rows rows;
    Figures figures(comparison, rows);
    figures.sums("copy-on-write faults", [](const ForkTally& tally) { return tally.cow_faults; });
    figures.sums("pages written by the workload", [](const ForkTally& tally) { return tally.pages_named; });
    figures.sums(
        "pages made private by fork", [](const ForkTally& tally) { return tally.pages_made_private; },
        Figures::Zeros::LeftOut);
    figures.cells("constant", [](const ForkTally& tally) { return Cell::signed_number(tally.cow_constant()); });
    return rows;
}

// The table's parts: key of the rows, title, rows.
struct Part {
    const char* key;
    const char* title;
    Rows (*rows)(const ForkComparison&);
};
constexpr std::array<Part, 4> kParts = {
    {{"inside", "Inside fork", inside},
     {"by_stop", "Own cycles by stop", stops},
     {"afterwards", "Afterwards", afterwards},
     {"cow_summary", "Copy-on-write faults = pages written + constant", copy_on_write}}};

// All parts have the same columns: only the first has the systems' names as titles.
void add_table(Document& document, const ForkComparison& comparison) {
    std::size_t label_width = 0;
    std::vector<std::size_t> widths;
    for (const ForkTally& tally : comparison.systems)
        widths.push_back(std::max<std::size_t>(10, tally.system.size()));
    std::vector<Rows> parts;
    for (const Part& part : kParts) {
        for (const Object& row : parts.emplace_back(part.rows(comparison))) {
            label_width = std::max(label_width, row.find("label")->string().size());
            for (std::size_t i = 0; i < widths.size(); ++i)
                widths[i] = std::max(widths[i], cell_text(row.find("values")->values()[i]).size());
        }
    }
    for (std::size_t number = 0; number < kParts.size(); ++number) {
        const bool first = number == 0;
        std::vector<Column> columns = {
            {.key = "label", .title = first ? kParts[number].title : "", .width = label_width}};
        for (std::size_t i = 0; i < widths.size(); ++i)
            columns.push_back({.key = fmt::format("values.{}", i),
                               .title = first ? comparison.systems[i].system : "",
                               .width = widths[i],
                               .align = Right,
                               .lead = "  "});
        document.shown.rows(kParts[number].key, std::move(parts[number]));
        Section& section = first ? document.sections.back() : document.section(kParts[number].title);
        if (first)
            section.blocks.push_back(Line{});
        section.blocks.push_back(Table{.rows = kParts[number].key, .columns = std::move(columns), .indent = ""});
    }
}

void add_constant(Document& document, const ForkComparison& comparison) {
    Rows rows;
    for (const ForkTally& tally : comparison.systems) {
        const std::size_t shown = std::min(tally.constant.size(), kMostConstantPages);
        for (std::size_t i = 0; i < shown; ++i) {
            const ConstantPage& page = tally.constant[i];
            Object& row = rows.emplace_back();
            row.text("system", i == 0 ? tally.system : "").text("side", fork_side_name(page.side));
            row.address("page", page.page).text("class", fault_class_name(page.fault_class));
            row.text("faults", fmt::format("{} x", page.faults)).text("memory", page.memory + ", by " + page.by);
        }
        if (tally.constant.empty())
            rows.emplace_back()
                .text("system", tally.system)
                .text("side", tally.trimmed ? "dropped to bound memory" : "none");
        if (tally.constant.size() > shown)
            rows.emplace_back().text("side",
                                     fmt::format("… {} more; --json has them all", tally.constant.size() - shown));
    }
    document.shown.rows("constant_pages", std::move(rows));
    document.section("The constant, page by page")
        .blocks.push_back(Table{"constant_pages",
                                {{.key = "system", .width = 10},
                                 {.key = "side", .width = 7},
                                 {.key = "page", .width = 8},
                                 {.key = "class", .width = 12, .lead = "  "},
                                 {.key = "faults", .width = 7, .align = Right},
                                 {.key = "memory", .lead = "  ", .most = 50}}});
}

Rows stops_of(const ForkTally& tally) {
    Rows rows;
    for (const StopTally& stop : tally.stops) {
        Object& row = rows.emplace_back();
        row.text("stop", stop.stop).text("what", stop.original.empty() ? stop.name : stop.original);
        row.count("cycles", stop.spent.cycles);
        row.text("where", stop.function + (stop.source.empty() ? "" : " (" + stop.source + ")"));
    }
    if (!tally.fault_path.empty())
        rows.emplace_back()
            .text("stop", "F")
            .text("what", tally.fault_path)
            .count("cycles", tally.cow_cycles)
            .text("where", grouped(tally.cow_faults) + " copy-on-write faults");
    return rows;
}

void add_stops(Document& document, const ForkComparison& comparison) {
    std::vector<Cell> stops;
    for (const ForkTally& tally : comparison.systems) {
        document.section(tally.system + ", stop by stop")
            .blocks.push_back(Table{fmt::format("stops.{}", stops.size()),
                                    {{.key = "stop", .width = 3},
                                     {.key = "what", .width = 34, .lead = " ", .most = 33},
                                     {.key = "cycles", .width = 12, .align = Right},
                                     {.key = "where", .lead = "  ", .most = 45}}});
        stops.push_back(Cell::table(stops_of(tally)));
    }
    document.shown.add("stops", Cell::list(std::move(stops)));
}

void add_findings(Document& document, const ForkComparison& comparison) {
    std::vector<Cell> findings;
    for (const ForkTally& tally : comparison.systems) {
        if (!tally.trouble.empty())
            findings.push_back(Cell::text(tally.system + ": " + tally.trouble));
        for (const std::string& finding : tally.findings)
            findings.push_back(Cell::text(tally.system + ": " + finding));
    }
    document.shown.add("all_findings", Cell::list(std::move(findings)));
    document.section("Findings")
        .blocks.push_back(Sentences{"all_findings", "none: what the guests state and what the hardware shows agree"});
}

// Faults by class and the constant's pages are known from lists.
void add_cut_lists(Document& document, const ForkComparison& comparison) {
    Rows rows;
    for (const ForkTally& tally : comparison.systems)
        if (tally.trimmed)
            rows.emplace_back().text(
                "line", tally.system + ": lists of some forks were dropped to bound memory; faults by class or page "
                                       "lack theirs.");
    document.shown.rows("cut_lists", std::move(rows));
    document.sections.back().blocks.push_back(Table{.rows = "cut_lists", .columns = {{.key = "line"}}, .indent = ""});
}

} // namespace

Document comparison_document(const ForkComparison& comparison) {
    Document document;
    document.data = comparison_data(comparison);
    Section& head = document.section("");
    head.blocks.push_back(Line{{}, "Workload {workload}: `{command}` on {machine}", Line::Place::Margin});
    if (std::any_of(comparison.systems.begin(), comparison.systems.end(),
                    [](const ForkTally& tally) { return tally.forks > 1; }))
        head.blocks.push_back(Line{{},
                                   "Several forks: each figure is the sum over all, then / the average of one fork "
                                   "(k: thousand).",
                                   Line::Place::Margin});
    add_cut_lists(document, comparison);
    add_table(document, comparison);
    add_constant(document, comparison);
    add_stops(document, comparison);
    add_findings(document, comparison);
    return document;
}

} // namespace forkscope
