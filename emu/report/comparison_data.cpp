// The forks of a workload as a report's data: docs/compare.md.
#include "emu/report/fork_comparison.hpp"
#include "emu/report/fork_data.hpp"

namespace forkscope {

namespace {

Cell untraced(const TracepointCost& cost, const RunTime& spent, const ForkCounts& counts) {
    return cost.cycles() == 0 ? Cell{} : Cell::count(cost.untraced(spent, counts));
}

Rows stops_of(const ForkTally& tally, const TracepointCost& tracepoint) {
    Rows rows;
    for (const StopTally& stop : tally.stops) {
        Object& row = rows.emplace_back();
        row.text("stop", stop.stop).text("name", stop.name).text("original", stop.original);
        row.text("function", stop.function).text("source", stop.source).count("times", stop.times);
        row.count("own_cycles", stop.spent.cycles)
            .add("untraced_cycles", untraced(tracepoint, stop.spent, stop.counts));
        row.count("instructions", stop.spent.instructions);
        row.object("cycles_by_cause", causes_data(stop.spent)).object("counts", counts_data(stop.counts));
    }
    return rows;
}

Object inside_of(const ForkTally& tally, const TracepointCost& tracepoint) {
    Object data;
    data.count("own_cycles", tally.spent.cycles)
        .add("untraced_cycles", untraced(tracepoint, tally.spent, tally.counts));
    data.count("elapsed_cycles", tally.elapsed);
    data.count("instructions", tally.spent.instructions);
    data.object("cycles_by_cause", causes_data(tally.spent)).object("counts", counts_data(tally.counts));
    data.count("page_faults", tally.faults_inside).object("shadows", shadows_data(tally.shadows_inside));
    return data;
}

Object by_class(const ForkTally::ByClass& counts) {
    Object data;
    for (std::size_t i = 1; i < counts.size(); ++i)
        data.count(fault_class_name(static_cast<FaultClass>(i)), counts[i]);
    return data;
}

Object after_of(const ForkTally& tally) {
    Object faults;
    faults.object("parent", by_class(tally.faults[0])).object("child", by_class(tally.faults[1]));
    Object data;
    data.text("fault_path", tally.fault_path).object("faults", std::move(faults));
    data.count("frames_copied", tally.frames_copied).count("cow_fault_cycles", tally.cow_cycles);
    data.count("cow_fault_messages", tally.cow_messages).count("forks_that_became_private", tally.became_private);
    data.count("cycles_until_private", tally.until_private);
    if (tally.os == "lunaix")
        data.count("leaflets_duplicated", tally.leaflets_duplicated);
    data.object("shadows", shadows_data(tally.shadows_after));
    return data;
}

Object cow_summary_of(const ForkTally& tally) {
    Object data;
    data.count("pages_named", tally.pages_named).count("cow_faults", tally.cow_faults);
    data.add("constant", Cell::signed_number(tally.cow_constant()));
    Rows pages;
    for (const ConstantPage& page : tally.constant) {
        Object& row = pages.emplace_back();
        row.text("side", fork_side_name(page.side)).word("page", page.page).text("memory", page.memory);
        row.text("class", fault_class_name(page.fault_class)).text("by", page.by).count("faults", page.faults);
    }
    Rows made_private;
    for (const PrivatePage& page : tally.private_pages)
        made_private.emplace_back().word("page", page.page).text("memory", page.memory).count("forks", page.forks);
    data.rows("pages", std::move(pages)).rows("pages_made_private", std::move(made_private));
    return data;
}

} // namespace

Object comparison_data(const ForkComparison& comparison) {
    constexpr u64 kSchema = 3;
    Rows systems;
    for (const ForkTally& tally : comparison.systems) {
        Object& system = systems.emplace_back();
        system.text("os", tally.os).text("system", tally.system).text("trouble", tally.trouble);
        system.count("forks", tally.forks).count("failed", tally.failed).flag("trimmed", tally.trimmed);
        system.object("inside", inside_of(tally, comparison.tracepoint))
            .rows("stops", stops_of(tally, comparison.tracepoint));
        system.object("after", after_of(tally)).object("cow_summary", cow_summary_of(tally));
        std::vector<Cell> findings;
        for (const std::string& finding : tally.findings)
            findings.push_back(Cell::text(finding));
        system.add("findings", Cell::list(std::move(findings)));
    }
    Object data;
    data.number("schema", kSchema).text("workload", comparison.workload).text("command", comparison.command);
    data.text("machine", comparison.machine).count("tracepoint_cycles", comparison.tracepoint.cycles());
    data.rows("systems", std::move(systems));
    return data;
}

} // namespace forkscope
