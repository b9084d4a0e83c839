#include <algorithm>

#include "emu/report/fork_json.hpp"
#include "emu/report/fork_report.hpp"
#include "emu/report/json_writer.hpp"
#include "emu/trace/trace_text.hpp"

namespace forkscope {

namespace {

class Json {
  public:
    Json(JsonWriter& json, const ForkReportOptions& options) : json_(json), options_(options) {}

    void fork(const ForkRecord& fork) {
        head(fork);
        write_counts(json_, "counts", fork.counts);
        write_shadows(json_, "shadows_inside", fork.shadows_inside);
        write_shadows(json_, "shadows_after", fork.shadows_after);
        phases(fork);
        functions(fork);
        ptes(fork);
        frames(fork);
        flushes(fork);
        faults(fork);
        differences(fork);
        json_.begin_array("findings");
        for (const std::string& finding : fork.findings)
            json_.text({}, finding);
        json_.end_array();
    }

  private:
    void head(const ForkRecord& fork);
    void side(const char* key, u32 pid, u32 directory, bool ended);
    void functions(const ForkRecord& fork);
    void phases(const ForkRecord& fork);
    void original(const ForkPhase& phase);
    void ptes(const ForkRecord& fork);
    void frames(const ForkRecord& fork);
    void flushes(const ForkRecord& fork);
    void faults(const ForkRecord& fork);
    void fault(const ForkRecord& fork, const ForkFault& fault, bool named);
    void law(const ForkLaw& law);
    void walk(const char* key, const WalkView& walk);
    void differences(const ForkRecord& fork);
    void place(u32 eip) {
        const Location location =
            options_.symbols != nullptr && eip != 0 ? options_.symbols->lookup(0, eip) : Location{};
        place(eip, location);
    }
    void place(u32 eip, const Location& location) {
        if (eip != 0)
            json_.hex("eip", eip);
        else
            json_.null("eip");
        if (location.known())
            json_.text("symbol", location.name());
        if (!location.inlined.empty())
            json_.text("inlined", location.inlined);
        if (!location.file.empty())
            json_.text("source", fmt::format("{}:{}", location.file, location.line));
    }
    void phase(const ForkRecord& fork, int number) {
        if (number == kNoPhase || static_cast<std::size_t>(number) >= fork.phases.size())
            json_.null("phase");
        else
            json_.text("phase", fork_phase_stop(fork.phases[static_cast<std::size_t>(number)].id));
    }

    JsonWriter& json_;
    const ForkReportOptions& options_;
};

void Json::head(const ForkRecord& fork) {
    json_.number("schema", 1).number("fork", fork.number);
    if (fork.made_parent != 0)
        json_.number("made_parent", fork.made_parent);
    json_.text("stream", fork.stated ? "tracepoints" : "hardware");
    json_.text("program", fork.parent_program);
    side("parent", fork.parent_pid, fork.parent_directory, fork.parent_ended);
    side("child", fork.child_pid, fork.child_directory, fork.child_ended);
    json_.number("result", fork.result).boolean("returned", fork.left).boolean("failed", fork.failed);
    json_.number("cycles", fork.spent.cycles).number("instructions", fork.spent.instructions);
    write_causes(json_, fork.spent);
    json_.number("begin_cycle", fork.begin_cycle).number("begin_instruction", fork.begin_instructions);
    json_.number("end_cycle", fork.left_cycle).number("end_instruction", fork.left_instructions);
    json_.number("child_first_run_cycle", fork.child_first_run).number("private_cycle", fork.private_cycle);
    json_.number("pages_still_shared", fork.still_shared).boolean("trimmed", fork.trimmed);
}

void Json::side(const char* key, u32 pid, u32 directory, bool ended) {
    json_.begin_object(key).number("pid", pid).hex("directory", directory).boolean("ended", ended).end_object();
}

void Json::functions(const ForkRecord& fork) {
    if (fork.by_instruction.empty() || options_.symbols == nullptr)
        return;
    json_.begin_array("functions");
    for (const FunctionCost& function : fork_functions(fork, *options_.symbols)) {
        json_.begin_object()
            .text("name", function.name)
            .number("cycles", function.spent.cycles)
            .number("instructions", function.spent.instructions);
        write_causes(json_, function.spent);
        json_.end_object();
    }
    json_.end_array();
}

// What the original calls the step, and where ours begins it.
void Json::original(const ForkPhase& phase) {
    if (options_.profile != nullptr)
        json_.text("original", options_.profile->functions_at(fork_phase_stop(phase.id)));
    const Location place = options_.symbols == nullptr ? Location{} : stop_location(phase, *options_.symbols);
    if (!phase.program.empty())
        json_.text("program", phase.program);
    if (place.known())
        json_.text("function", place.symbol);
    if (!place.file.empty())
        json_.text("source", fmt::format("{}:{}", place.file, place.line));
}

void Json::phases(const ForkRecord& fork) {
    json_.begin_array("phases");
    for (const ForkPhase& phase : fork.phases) {
        json_.begin_object().text("stop", fork_phase_stop(phase.id)).text("name", fork_phase_name(phase.id));
        original(phase);
        json_.number("begin_cycle", phase.begin_cycle)
            .number("end_cycle", phase.end_cycle)
            .number("begin_instruction", phase.begin_instructions)
            .number("end_instruction", phase.end_instructions)
            .number("cycles", phase.spent.cycles)
            .number("instructions", phase.spent.instructions);
        write_causes(json_, phase.spent);
        write_counts(json_, "counts", phase.counts);
        json_.end_object();
    }
    json_.end_array();
}

void Json::ptes(const ForkRecord& fork) {
    json_.begin_array("ptes");
    for (const PteChange& change : fork.ptes) {
        json_.begin_row()
            .number("instruction", change.instructions)
            .number("cycle", change.cycle)
            .text("side", fork_side_name(change.side))
            .hex("directory", change.directory)
            .hex("page", change.linear)
            .number("level", change.level)
            .hex("entry_address", change.entry_address)
            .hex("old", change.old_value)
            .hex("new", change.new_value)
            .text("seen", change.written ? "written" : "found");
        phase(fork, change.phase);
        place(change.eip);
        json_.begin_array("callers");
        for (u32 caller : change.callers)
            if (caller != 0)
                json_.text({}, options_.symbols == nullptr ? fmt::format("{:#010x}", caller)
                                                           : options_.symbols->lookup(0, caller - 1).text());
        json_.end_array();
        json_.end_row();
    }
    json_.end_array();
}

void Json::frames(const ForkRecord& fork) {
    json_.begin_array("frames");
    for (const FrameChange& change : fork.frames) {
        json_.begin_row()
            .number("instruction", change.instructions)
            .number("cycle", change.cycle)
            .text("act", frame_act_name(change.act))
            .hex("frame", change.frame)
            .text("use", frame_use_name(change.use));
        if (change.act == FrameAct::Copied)
            json_.hex("copy", change.copy);
        else
            json_.number("references", change.references);
        phase(fork, change.phase);
        json_.end_row();
    }
    json_.end_array();
}

void Json::flushes(const ForkRecord& fork) {
    json_.begin_array("flushes");
    for (const FlushChange& change : fork.flushes) {
        json_.begin_row()
            .number("instruction", change.instructions)
            .number("cycle", change.cycle)
            .text("reason", flush_reason_name(change.reason))
            .hex("address", change.address)
            .number("dropped", change.dropped);
        phase(fork, change.phase);
        place(change.eip);
        json_.end_row();
    }
    json_.end_array();
    json_.begin_array("cr3_loads");
    for (const Cr3Change& change : fork.cr3_loads) {
        json_.begin_row().number("instruction", change.instructions).number("cycle", change.cycle);
        json_.hex("old", change.old_directory).hex("new", change.new_directory);
        phase(fork, change.phase);
        json_.end_row();
    }
    json_.end_array();
}

void Json::walk(const char* key, const WalkView& walk) {
    json_.begin_object(key)
        .hex("directory_entry_address", walk.directory_entry_address.value)
        .hex("directory_entry", walk.directory_entry)
        .hex("table_entry_address", walk.table_entry_address.value)
        .hex("table_entry", walk.table_entry)
        .boolean("present", walk.present)
        .text("rights", rights_text(walk.present ? walk.rights | kPtePresent : 0))
        .hex("frame", walk.frame)
        .end_object();
}

void Json::fault(const ForkRecord& fork, const ForkFault& fault, bool named) {
    const FaultRecord& record = fault.record;
    json_.begin_row()
        .number("fault", record.number)
        .text("class", fault_class_name(record.fault_class))
        .text("page_class", fault_class_name(record.page))
        .text("stated_class", fault_class_name(record.stated))
        .text("side", fork_side_name(fault.side))
        .boolean("belongs", fault.belongs)
        .boolean("in_fork", fault.in_fork)
        .boolean("named", named)
        .number("pid", record.pid)
        .hex("page", record.page_address())
        .hex("address", record.address)
        .text("memory", memory_name(fork, record.address, options_))
        .number("error_code", record.error_code)
        .number("cpl", record.cpl)
        .boolean("resolved", record.resolved)
        .number("begin_cycle", record.begin_cycle)
        .number("begin_instruction", record.begin_instructions)
        .number("cycles", record.spent.cycles)
        .number("instructions", record.spent.instructions)
        .number("ptes_written", record.pte_writes)
        .number("flushes", record.flushes)
        .number("messages", record.messages)
        .number("frames_copied", record.frames_copied);
    place(record.eip, record.where ? *record.where : Location{});
    walk("before", record.before);
    walk("after", record.after);
    json_.begin_array("frames_taken");
    for (u32 frame : record.frames_taken)
        json_.hex({}, frame);
    json_.end_array().end_row();
}

void Json::faults(const ForkRecord& fork) {
    const ForkLaw the_law = fork_law(fork);
    law(the_law);
    json_.begin_array("faults");
    std::size_t named = 0;
    for (const ForkFault& one : fork.faults) {
        // The named faults are in the order of the list.
        const bool is_named = named < the_law.named.size() && the_law.named[named] == &one;
        named += is_named ? 1 : 0;
        fault(fork, one, is_named);
    }
    json_.end_array();
}

void Json::law(const ForkLaw& law) {
    json_.begin_object("law")
        .number("pages_named", law.pages_named)
        .number("cow_faults", law.cow_faults)
        .number("constant", law.constant)
        .end_object();
}

void Json::differences(const ForkRecord& fork) {
    json_.begin_array("differences");
    for (const DifferenceRange& range : fork.differences)
        json_.begin_row()
            .hex("start", range.start)
            .hex("end", range.end)
            .number("pages", range.pages())
            .text("difference", page_difference_name(range.difference))
            .text("parent", rights_text(range.flags_a))
            .text("child", rights_text(range.flags_b))
            .end_row();
    json_.end_array();
}

} // namespace

std::string fork_report_json(const ForkRecord& fork, const ForkReportOptions& options) {
    JsonWriter json;
    json.begin_object();
    Json(json, options).fork(fork);
    json.end_object();
    return json.take();
}

std::string fork_reports_json(const std::list<ForkRecord>& forks, const ForkReportOptions& options) {
    JsonWriter json;
    json.begin_object().begin_array("forks");
    for (const ForkRecord& fork : forks) {
        json.begin_object();
        Json(json, options).fork(fork);
        json.end_object();
    }
    json.end_array().end_object();
    return json.take();
}

} // namespace forkscope
