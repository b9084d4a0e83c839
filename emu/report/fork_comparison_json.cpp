#include "emu/report/fork_comparison.hpp"
#include "emu/report/fork_json.hpp"

namespace forkscope {

namespace {

constexpr int kSchema = 1;

void write_stops(JsonWriter& json, const ForkTally& tally) {
    json.begin_array("stops");
    for (const StopTally& stop : tally.stops) {
        json.begin_object()
            .text("stop", stop.stop)
            .text("name", stop.name)
            .text("original", stop.original)
            .text("function", stop.function)
            .text("source", stop.source)
            .number("times", stop.times)
            .number("cycles", stop.spent.cycles)
            .number("instructions", stop.spent.instructions);
        write_causes(json, stop.spent);
        write_counts(json, "counts", stop.counts);
        json.end_object();
    }
    json.end_array();
}

void write_inside(JsonWriter& json, const ForkTally& tally) {
    json.begin_object("inside").number("cycles", tally.spent.cycles).number("instructions", tally.spent.instructions);
    write_causes(json, tally.spent);
    write_counts(json, "counts", tally.counts);
    json.number("page_faults", tally.faults_inside);
    write_shadows(json, "shadows", tally.shadows_inside);
    json.end_object();
}

void write_faults(JsonWriter& json, const char* side, const ForkTally::ByClass& counts) {
    json.begin_object(side);
    for (std::size_t i = 1; i < counts.size(); ++i)
        json.number(fault_class_name(static_cast<FaultClass>(i)), counts[i]);
    json.end_object();
}

void write_after(JsonWriter& json, const ForkTally& tally) {
    json.begin_object("after").text("fault_path", tally.fault_path).begin_object("faults");
    write_faults(json, "parent", tally.faults[0]);
    write_faults(json, "child", tally.faults[1]);
    json.end_object()
        .number("frames_copied", tally.frames_copied)
        .number("cow_fault_cycles", tally.cow_cycles)
        .number("cow_fault_messages", tally.cow_messages)
        .number("forks_that_became_private", tally.became_private)
        .number("cycles_until_private", tally.until_private);
    if (tally.os == "lunaix")
        json.number("leaflets_duplicated", tally.leaflets_duplicated);
    write_shadows(json, "shadows", tally.shadows_after);
    json.end_object();
}

void write_law(JsonWriter& json, const ForkTally& tally) {
    json.begin_object("law")
        .number("pages_named", tally.pages_named)
        .number("cow_faults", tally.cow_faults)
        .number("constant", tally.law_constant());
    json.begin_array("pages");
    for (const ConstantPage& page : tally.constant)
        json.begin_row()
            .text("side", fork_side_name(page.side))
            .hex("page", page.page)
            .text("memory", page.memory)
            .text("class", fault_class_name(page.fault_class))
            .text("by", page.by)
            .number("faults", page.faults)
            .end_row();
    json.end_array().begin_array("pages_made_private");
    for (const PrivatePage& page : tally.private_pages)
        json.begin_row().hex("page", page.page).text("memory", page.memory).number("forks", page.forks).end_row();
    json.end_array().end_object();
}

} // namespace

std::string fork_comparison_json(const ForkComparison& comparison) {
    JsonWriter json;
    json.begin_object()
        .number("schema", kSchema)
        .text("workload", comparison.workload)
        .text("command", comparison.command)
        .text("machine", comparison.machine)
        .number("tracepoint_cycles", comparison.tracepoint_cycles)
        .begin_array("systems");
    for (const ForkTally& tally : comparison.systems) {
        json.begin_object()
            .text("os", tally.os)
            .text("system", tally.system)
            .text("trouble", tally.trouble)
            .number("forks", tally.forks)
            .number("failed", tally.failed)
            .boolean("trimmed", tally.trimmed);
        write_inside(json, tally);
        write_stops(json, tally);
        write_after(json, tally);
        write_law(json, tally);
        json.begin_array("findings");
        for (const std::string& finding : tally.findings)
            json.text({}, finding);
        json.end_array().end_object();
    }
    json.end_array().end_object();
    return json.take();
}

} // namespace forkscope
