#include "emu/report/fork_data.hpp"

#include <algorithm>

#include "emu/trace/trace_text.hpp"

namespace forkscope {

namespace {

class ForkData {
  public:
    ForkData(const ForkRecord& fork, const ForkReportOptions& options) : fork_(fork), options_(options) {}

    Object all() const {
        Object data;
        head(data);
        data.object("counts", counts_data(fork_.counts));
        data.object("shadows_inside", shadows_data(fork_.shadows_inside));
        data.object("shadows_after", shadows_data(fork_.shadows_after));
        data.rows("stops", stops());
        if (!fork_.by_instruction.empty() && options_.symbols != nullptr)
            data.rows("functions", functions());
        data.rows("ptes", ptes()).rows("frames", frames());
        data.rows("flushes", flushes()).rows("cr3_loads", cr3_loads());
        faults(data);
        data.rows("differences", differences());
        std::vector<Cell> findings;
        for (const std::string& finding : fork_.findings)
            findings.push_back(Cell::text(finding));
        data.add("findings", Cell::list(std::move(findings)));
        return data;
    }

  private:
    void head(Object& data) const;
    static Object side(u32 pid, u32 directory, bool ended);
    Rows stops() const;
    Rows functions() const;
    Rows ptes() const;
    Rows frames() const;
    Rows flushes() const;
    Rows cr3_loads() const;
    void faults(Object& data) const;
    Object fault(const ForkFault& fault, bool named) const;
    static Object walk(const WalkView& walk);
    Rows differences() const;

    Location location_of(u32 eip) const {
        return options_.symbols != nullptr && eip != 0 ? options_.symbols->lookup(0, eip) : Location{};
    }
    Cell untraced(const RunTime& spent, const ForkCounts& counts) const {
        return options_.tracepoint.cycles() == 0 ? Cell{} : Cell::count(options_.tracepoint.untraced(spent, counts));
    }
    static void place(Object& row, u32 eip, const Location& location);
    Cell stop_of(int stop) const;

    const ForkRecord& fork_;
    const ForkReportOptions& options_;
};

void ForkData::place(Object& row, u32 eip, const Location& location) {
    row.add("eip", eip != 0 ? Cell::word(eip) : Cell{});
    if (location.known())
        row.text("symbol", location.name());
    if (!location.inlined.empty())
        row.text("inlined", location.inlined);
    if (!location.file.empty())
        row.text("source", fmt::format("{}:{}", location.file, location.line));
}

Cell ForkData::stop_of(int stop) const {
    if (stop == kNoStop || static_cast<std::size_t>(stop) >= fork_.stops.size())
        return {};
    return Cell::text(std::string(fork_stop_name(fork_.stops[static_cast<std::size_t>(stop)].id).number));
}

void ForkData::head(Object& data) const {
    constexpr u64 kSchema = 3;
    data.number("schema", kSchema).number("fork", fork_.number);
    if (fork_.made_parent != 0)
        data.number("made_parent", fork_.made_parent);
    data.text("stream", fork_.stated ? "tracepoints" : "hardware").text("program", fork_.parent_program);
    data.object("parent", side(fork_.parent_pid, fork_.parent_directory, fork_.parent_ended));
    data.object("child", side(fork_.child_pid, fork_.child_directory, fork_.child_ended));
    data.add("result", Cell::signed_number(fork_.result)).flag("returned", fork_.left).flag("failed", fork_.failed);
    data.count("own_cycles", fork_.spent.cycles).count("instructions", fork_.spent.instructions);
    data.add("untraced_cycles", untraced(fork_.spent, fork_.counts));
    data.add("tracepoint_cycles",
             options_.tracepoint.cycles() == 0 ? Cell{} : Cell::count(options_.tracepoint.cycles()));
    data.add("elapsed_cycles", fork_.left ? Cell::count(elapsed_cycles(fork_)) : Cell{});
    data.object("cycles_by_cause", causes_data(fork_.spent));
    data.count("begin_cycle", fork_.begin_cycle).count("begin_instruction", fork_.begin_instructions);
    data.count("end_cycle", fork_.left_cycle).count("end_instruction", fork_.left_instructions);
    data.count("child_first_run_cycle", fork_.child_first_run).count("private_cycle", fork_.private_cycle);
    data.add("cycles_until_private", fork_.private_cycle == 0 ? Cell{} : Cell::count(cycles_until_private(fork_)));
    data.count("copied_pages", fork_.copied_pages).count("pages_still_shared", fork_.still_shared);
    data.count("leaked_pages", fork_.leaked_pages).flag("trimmed", fork_.trimmed);
}

Object ForkData::side(u32 pid, u32 directory, bool ended) {
    return std::move(Object().number("pid", pid).word("directory", directory).flag("ended", ended));
}

Rows ForkData::functions() const {
    Rows rows;
    for (const FunctionCost& function : fork_functions(fork_, *options_.symbols)) {
        Object& row = rows.emplace_back();
        row.text("name", function.name).count("own_cycles", function.spent.cycles);
        row.count("instructions", function.spent.instructions).object("cycles_by_cause", causes_data(function.spent));
    }
    return rows;
}

Rows ForkData::stops() const {
    Rows rows;
    for (const ForkStop& stop : fork_.stops) {
        Object& row = rows.emplace_back();
        row.text("stop", std::string(fork_stop_name(stop.id).number))
            .text("name", std::string(fork_stop_name(stop.id).name));
        // What the original calls the stop, and where ours begins it.
        if (options_.profile != nullptr)
            row.text("original", std::string(options_.profile->functions_at(fork_stop_name(stop.id).number)));
        const Location stated = options_.symbols == nullptr ? Location{} : stop_location(stop, *options_.symbols);
        if (!stop.program.empty())
            row.text("program", stop.program);
        if (stated.known())
            row.text("function", stated.symbol);
        if (!stated.file.empty())
            row.text("source", fmt::format("{}:{}", stated.file, stated.line));
        row.count("begin_cycle", stop.begin_cycle).count("end_cycle", stop.end_cycle);
        row.count("begin_instruction", stop.begin_instructions).count("end_instruction", stop.end_instructions);
        row.count("reached_instruction", stop.reached_instructions);
        row.count("own_cycles", stop.spent.cycles).add("untraced_cycles", untraced(stop.spent, stop.counts));
        row.count("elapsed_cycles", elapsed_cycles(stop));
        row.count("instructions", stop.spent.instructions);
        row.object("cycles_by_cause", causes_data(stop.spent)).object("counts", counts_data(stop.counts));
    }
    return rows;
}

Rows ForkData::ptes() const {
    Rows rows;
    rows.reserve(fork_.ptes.size());
    for (const PteChange& change : fork_.ptes) {
        Object& row = rows.emplace_back();
        row.count("instruction", change.instructions).count("cycle", change.cycle);
        row.text("side", fork_side_name(change.side)).word("directory", change.directory);
        row.word("page", change.linear).number("level", change.level).word("entry_address", change.entry_address);
        row.word("old", change.old_value).word("new", change.new_value);
        row.text("seen", change.written ? "written" : "found").add("stop", stop_of(change.stop));
        place(row, change.eip, location_of(change.eip));
        std::vector<Cell> callers;
        for (u32 caller : change.callers)
            if (caller != 0)
                callers.push_back(Cell::text(options_.symbols == nullptr
                                                 ? fmt::format("{:#010x}", caller)
                                                 : options_.symbols->lookup(0, caller - 1).text()));
        row.add("callers", Cell::list(std::move(callers)));
    }
    return rows;
}

Rows ForkData::frames() const {
    Rows rows;
    rows.reserve(fork_.frames.size());
    for (const FrameChange& change : fork_.frames) {
        Object& row = rows.emplace_back();
        row.count("instruction", change.instructions).count("cycle", change.cycle);
        row.text("act", frame_act_name(change.act)).word("frame", change.frame);
        row.text("use", frame_use_name(change.use));
        if (change.act == FrameAct::Copied)
            row.word("copy", change.copy);
        else
            row.number("references", change.references);
        row.add("stop", stop_of(change.stop));
    }
    return rows;
}

Rows ForkData::flushes() const {
    Rows rows;
    rows.reserve(fork_.flushes.size());
    for (const FlushChange& change : fork_.flushes) {
        Object& row = rows.emplace_back();
        row.count("instruction", change.instructions).count("cycle", change.cycle);
        row.text("reason", flush_reason_name(change.reason)).word("address", change.address);
        row.count("dropped", change.dropped).add("stop", stop_of(change.stop));
        place(row, change.eip, location_of(change.eip));
    }
    return rows;
}

Rows ForkData::cr3_loads() const {
    Rows rows;
    for (const Cr3Change& change : fork_.cr3_loads) {
        Object& row = rows.emplace_back();
        row.count("instruction", change.instructions).count("cycle", change.cycle);
        row.word("old", change.old_directory).word("new", change.new_directory).add("stop", stop_of(change.stop));
    }
    return rows;
}

Object ForkData::walk(const WalkView& walk) {
    Object data;
    data.word("directory_entry_address", walk.directory_entry_address.value);
    data.word("directory_entry", walk.directory_entry);
    data.word("table_entry_address", walk.table_entry_address.value).word("table_entry", walk.table_entry);
    data.flag("present", walk.present).text("rights", rights_text(walk.present ? walk.rights | kPtePresent : 0));
    data.word("frame", walk.frame);
    return data;
}

Object ForkData::fault(const ForkFault& fault, bool named) const {
    const FaultRecord& record = *fault.record;
    Object row;
    row.number("fault", record.number).text("class", fault_class_name(record.fault_class));
    row.text("page_class", fault_class_name(record.page)).text("stated_class", fault_class_name(record.stated));
    row.text("side", fork_side_name(fault.side)).flag("belongs", fault.belongs).flag("in_fork", fault.in_fork);
    row.flag("named", named).number("pid", record.pid).word("page", record.page_address());
    row.word("address", record.address).text("memory", memory_name(fork_, record, options_));
    row.number("error_code", record.error_code).number("cpl", record.cpl).flag("resolved", record.resolved);
    row.count("begin_cycle", record.begin_cycle).count("begin_instruction", record.begin_instructions);
    row.count("own_cycles", record.spent.cycles).count("elapsed_cycles", record.end_cycle - record.begin_cycle);
    row.count("instructions", record.spent.instructions);
    row.count("ptes_written", record.pte_writes).count("flushes", record.flushes).count("messages", record.messages);
    row.count("frames_copied", record.frames_copied);
    place(row, record.eip,
          options_.symbols != nullptr ? options_.symbols->lookup_in(record.program, record.eip) : Location{});
    row.object("before", walk(record.before)).object("after", walk(record.after));
    std::vector<Cell> frames;
    for (u32 frame : record.frames_taken)
        frames.push_back(Cell::word(frame));
    row.add("frames_taken", Cell::list(std::move(frames)));
    return row;
}

void ForkData::faults(Object& data) const {
    const CowSummary summary = cow_summary(fork_, options_.parent_pages);
    Object figures;
    figures.count("pages_named", summary.pages_named).count("parent_pages_named", summary.parent_pages);
    figures.count("cow_faults", summary.cow_faults);
    figures.add("constant", Cell::signed_number(summary.constant));
    const auto of = [this](FaultClass fault_class) { return fork_.fault_counts[static_cast<u8>(fault_class)]; };
    figures.count("copied", of(FaultClass::CowCopy)).count("made_writable", of(FaultClass::CowReuse));
    data.object("cow_summary", std::move(figures)).count("other_faults", fork_.other_faults);
    Rows rows;
    rows.reserve(fork_.faults.size());
    std::size_t named = 0;
    for (const ForkFault& one : fork_.faults) {
        // The named faults are in the order of the list.
        const bool is_named = named < summary.named.size() && summary.named[named] == &one;
        named += is_named ? 1 : 0;
        rows.push_back(fault(one, is_named));
    }
    data.rows("faults", std::move(rows));
}

Rows ForkData::differences() const {
    Rows rows;
    for (const DifferenceRange& range : fork_.differences) {
        Object& row = rows.emplace_back();
        row.word("start", range.start).word("end", range.end).number("pages", range.pages());
        row.text("difference", page_difference_name(range.difference));
        row.text("parent", rights_text(range.flags_a)).text("child", rights_text(range.flags_b));
    }
    return rows;
}

} // namespace

Object fork_data(const ForkRecord& fork, const ForkReportOptions& options) { return ForkData(fork, options).all(); }

Object counts_data(const ForkCounts& counts) {
    Object data;
    data.count("ptes_written", counts.pte_writes)
        .count("ptes_write_protected", counts.pte_protects)
        .count("ptes_found", counts.pte_found)
        .count("frames_allocated", counts.frames_allocated)
        .count("frames_freed", counts.frames_freed)
        .count("frames_shared", counts.frames_shared)
        .count("frames_released", counts.frames_released)
        .count("frames_copied", counts.frames_copied)
        .count("flushes", counts.flushes)
        .count("translations_dropped", counts.entries_dropped)
        .count("cr3_loads", counts.cr3_loads)
        .count("address_space_switches", counts.space_switches)
        .count("privilege_switches", counts.privilege_switches)
        .count("system_calls", counts.system_calls)
        .count("messages", counts.messages)
        .count("tracepoints", counts.tracepoints)
        .count("kernel_objects_allocated", counts.heap_objects)
        .count("kernel_bytes_allocated", counts.heap_bytes)
        .count("kernel_bytes_freed", counts.heap_bytes_freed);
    return data;
}

Object shadows_data(const ShadowCounts& counts) {
    Object data;
    data.count("created", counts.created).count("collapsed", counts.collapsed);
    data.count("bypassed", counts.bypassed).count("longest_chain", counts.longest_chain);
    return data;
}

Object causes_data(const RunTime& spent) {
    Object data;
    for (std::size_t cause = 0; cause < spent.by_cause.size(); ++cause)
        data.count(std::string(cycle_cause_name(static_cast<CycleCause>(cause))), spent.by_cause[cause]);
    return data;
}

} // namespace forkscope
