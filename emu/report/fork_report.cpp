#include "emu/report/fork_report.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "emu/report/fork_data.hpp"
#include "emu/report/report_text.hpp"
#include "emu/symbols/decider.hpp"
#include "emu/trace/trace_text.hpp"

namespace forkscope {

namespace {

using enum Column::Align;

constexpr std::size_t kWidth = 100;
constexpr u64 kShortestRun = 4; // pages that are shown as one row
constexpr std::string_view kDropped = "list dropped to bound memory; the counts above are complete";

std::string range_text(u64 start, u64 end) { return fmt::format("{:08x}-{:08x}", start, end - 1); }

std::string stop_text(const ForkRecord& fork, int stop) {
    return stop == kNoStop || static_cast<std::size_t>(stop) >= fork.stops.size()
               ? "-"
               : std::string(fork_stop_name(fork.stops[static_cast<std::size_t>(stop)].id).number);
}

// Lays a fork's data out for people.
class ForkDocument {
  public:
    ForkDocument(const ForkRecord& fork, const ForkReportOptions& options) : fork_(fork), options_(options) {
        document_.data = fork_data(fork, options);
    }

    Document document() {
        summary();
        stops();
        add_cycle_sections(document_, fork_, options_);
        entries();
        differences();
        flushes();
        faults();
        findings();
        return std::move(document_);
    }

  private:
    void line(std::string_view pattern) { document_.sections.back().blocks.push_back(Line{{}, pattern}); }
    void line(std::string_view label, std::string_view pattern) {
        document_.sections.back().blocks.push_back(Line{label, pattern});
    }
    void table(const char* rows, std::vector<Column> columns, std::size_t most_rows = ~std::size_t{0}) {
        document_.sections.back().blocks.push_back(Table{rows, std::move(columns), most_rows});
    }
    // Of a list that may have been cut.
    void list(const char* rows, std::vector<Column> columns, std::size_t most_rows = ~std::size_t{0}) {
        table(rows, std::move(columns), most_rows);
        if (fork_.trimmed)
            line("lists of this fork were cut to bound memory: rows may be missing");
    }
    Object& shown() { return document_.shown; }
    bool traced() const { return options_.tracepoint.cycles() != 0 && fork_.counts.tracepoints != 0; }
    // Whether a list that is empty held so many things.
    bool dropped(u64 count) const { return fork_.trimmed && count != 0; }
    Rows copied(std::string_view rows) const { return document_.at(rows).rows(); }

    void summary();
    void summary_afterwards();
    void separation();
    void stops();
    std::vector<Column> stop_columns() const;
    std::string said_of(const ForkStop& stop) const;
    void entries();
    std::string writer(const PteRange& range) const;
    void differences();
    void flushes();
    void faults();
    void add_fault_runs(Rows& rows, const std::vector<const ForkFault*>& faults) const;
    Object fault_run(const ForkFault& first, const ForkFault& last, u64 pages, Cycles cycles) const;
    void fault_total(const CowSummary& summary);
    void other_faults();
    void findings();

    const ForkRecord& fork_;
    const ForkReportOptions& options_;
    Document document_;
};

void ForkDocument::summary() {
    shown().text("parent_text", process_text(fork_.parent_pid, fork_.parent_directory, fork_.parent_program));
    document_.section("").blocks.push_back(Line{{}, "Fork {fork}: {parent_text}", Line::Place::Margin});
    if (fork_.failed) {
        shown().number("error", static_cast<u64>(-fork_.result));
        line("failed with error {error}");
    } else if (!fork_.left && fork_.child_pid == 0 && fork_.child_directory == 0) {
        line("has made no process yet");
    } else {
        shown().text("child_text", process_text(fork_.child_pid, fork_.child_directory, ""));
        line(fork_.stated || fork_.counts.system_calls < 2
                 ? "made {child_text}"
                 : "made {child_text}, by {counts.system_calls} system calls");
    }
    if (!fork_.left)
        line("and has not returned yet");
    line("inside fork", "{own_cycles} own cycles, {instructions} instructions, from cycle {begin_cycle}");
    if (traced())
        line("untraced", "{untraced_cycles} own cycles without the {counts.tracepoints} tracepoints");
    if (fork_.left && elapsed_cycles(fork_) != fork_.spent.cycles)
        line("elapsed", "{elapsed_cycles} cycles from its beginning to its return");
    line("page tables", "{counts.ptes_written} entries written, {counts.ptes_write_protected} of them only "
                        "write-protected; {counts.ptes_found} already present");
    if (fork_.stated)
        line("frames", "{counts.frames_allocated} allocated, {counts.frames_copied} copied, {counts.frames_shared} "
                       "shared, {counts.frames_released} released, {counts.frames_freed} freed");
    else if (fork_.copied_pages != 0)
        line("frames", "{copied_pages} pages copied by fork itself");
    line("TLB", "{counts.flushes} flushes dropped {counts.translations_dropped} translations; {counts.cr3_loads} loads "
                "of CR3");
    line("transitions", "{counts.system_calls} system calls, {counts.messages} messages, {counts.privilege_switches} "
                        "privilege switches, {counts.address_space_switches} address-space switches");
    if (fork_.counts.heap_objects != 0)
        line("kernel memory", "{counts.kernel_bytes_allocated} bytes allocated in {counts.kernel_objects_allocated} "
                              "objects, {counts.kernel_bytes_freed} bytes freed");
    summary_afterwards();
}

void ForkDocument::summary_afterwards() {
    const auto any = [](const ShadowCounts& counts) {
        return counts.created + counts.collapsed + counts.bypassed + counts.longest_chain != 0;
    };
    if (any(fork_.shadows_inside))
        line("shadow objects inside: {shadows_inside.created} made, {shadows_inside.collapsed} collapsed, "
             "{shadows_inside.bypassed} bypassed; longest chain {shadows_inside.longest_chain}");
    line("afterwards", "{cow_summary.cow_faults} copy-on-write faults: {cow_summary.copied} copied a page, "
                       "{cow_summary.made_writable} only "
                       "made it writable again");
    if (any(fork_.shadows_after))
        line("shadow objects afterwards: {shadows_after.created} made, {shadows_after.collapsed} collapsed, "
             "{shadows_after.bypassed} bypassed; longest chain {shadows_after.longest_chain}");
    separation();
}

// Whether, and since when, neither side sees what the other writes.
void ForkDocument::separation() {
    if (!fork_.left || fork_.failed)
        return;
    std::string text;
    if (private_at_once(fork_))
        text = fmt::format("at once: fork copied all {} pages and left none to be copied later", fork_.copied_pages);
    else if (fork_.leaked_pages != 0)
        text = fmt::format("no: {} pages that one side writes and the other sees", fork_.leaked_pages);
    else if (fork_.private_cycle == 0)
        text = fmt::format("not yet: {} pages are still shared", fork_.still_shared);
    else
        text = fmt::format("{} cycles after fork returned", grouped(cycles_until_private(fork_)));
    if (fork_.leaked_pages != 0 && fork_.still_shared != 0)
        text += fmt::format("; {} are still to be copied", fork_.still_shared);
    if (fork_.private_cycle != 0 && (fork_.child_ended || fork_.parent_ended) && !private_at_once(fork_))
        text += fork_.child_ended ? "; the child has ended" : "; the parent has ended";
    shown().text("separation", std::move(text));
    line("both private", "{separation}");
}

void ForkDocument::stops() {
    if (fork_.trimmed)
        line("lists", "dropped to bound memory, in whole or in part; all counts are complete");
    document_.section("Stops");
    if (fork_.stops.empty())
        return line("none stated: this fork was inferred from what the hardware did");
    Rows rows = copied("stops");
    for (std::size_t i = 0; i < rows.size(); ++i)
        rows[i].text("said", said_of(fork_.stops[i]));
    shown().rows("stop_rows", std::move(rows));
    shown().number("out", options_.tracepoint.out).number("set_up", options_.tracepoint.set_up);
    table("stop_rows", stop_columns());
    if (traced())
        line("untraced: own cycles without the tracepoints, about {tracepoint_cycles} each, 4 OUTs of {out} and "
             "{set_up} "
             "before them");
}

// Beside the own cycles, those without tracepoints and those that elapsed, where they are others.
std::vector<Column> ForkDocument::stop_columns() const {
    const bool elapsed = std::any_of(fork_.stops.begin(), fork_.stops.end(),
                                     [](const ForkStop& stop) { return elapsed_cycles(stop) != stop.spent.cycles; });
    const std::size_t width = 11 - (traced() ? 1 : 0) - (elapsed ? 1 : 0);
    std::vector<Column> columns = {{.key = "stop", .title = "stop", .width = 4},
                                   {.key = "name", .title = "what", .width = 24, .lead = " "},
                                   {.key = "own_cycles", .title = "own", .width = width, .align = Right}};
    if (traced())
        columns.push_back({.key = "untraced_cycles", .title = "untraced", .width = width, .align = Right});
    if (elapsed)
        columns.push_back({.key = "elapsed_cycles", .title = "elapsed", .width = width, .align = Right});
    columns.push_back({.key = "instructions", .title = "instr.", .width = 8, .align = Right});
    columns.push_back({.key = "counts.ptes_written", .title = "PTEs", .width = 6, .align = Right});
    columns.push_back({.key = "counts.frames_allocated", .title = "alloc.", .width = 7, .align = Right});
    columns.push_back({.key = "counts.frames_copied", .title = "copied", .width = 7, .align = Right});
    columns.push_back({.key = "counts.frames_shared", .title = "shared", .width = 7, .align = Right});
    columns.push_back({.key = "counts.flushes", .title = "flushes", .width = 8, .align = Right});
    columns.push_back({.key = "said", .align = Below, .lead = "     ", .most = 93});
    return columns;
}

// The original's functions at the stop, and where our guest states it.
std::string ForkDocument::said_of(const ForkStop& stop) const {
    std::string text(options_.profile == nullptr ? "" : options_.profile->functions_at(fork_stop_name(stop.id).number));
    const Location place = options_.symbols == nullptr ? Location{} : stop_location(stop, *options_.symbols);
    if (!place.known())
        return text;
    const std::string where = stop.program.empty() ? place.symbol : stop.program + ": " + place.symbol;
    const std::string source = place.source();
    return fmt::format("{}{}in {}{}", text, text.empty() ? "" : "; stated ", where,
                       source.empty() ? "" : " (" + source + ")");
}

// The function that decided to write, and where it called set_pte().
std::string ForkDocument::writer(const PteRange& range) const {
    if (!range.written)
        return "already present";
    if (options_.symbols == nullptr)
        return fmt::format("{:#010x}", range.eip);
    const auto decider = decider_of(*options_.symbols, 0, range.eip, range.callers);
    return decider ? function_and_line(*decider) : options_.symbols->lookup(0, range.eip).text();
}

void ForkDocument::entries() {
    document_.section("Page-table entries changed inside fork");
    const std::vector<PteRange> ranges = pte_ranges(fork_);
    if (ranges.empty())
        return line(dropped(fork_.counts.pte_writes + fork_.counts.pte_found) ? kDropped : "none");
    Rows rows;
    bool moved = false;
    for (const PteRange& range : ranges) {
        moved = moved || (range.moved && rows.size() < options_.most_rows);
        Object& row = rows.emplace_back();
        row.text("stop", stop_text(fork_, range.stop)).text("side", fork_side_name(range.side));
        row.text("pages", range_text(range.start, range.end)).number("entries", range.entries);
        row.text("level", range.level == 2 ? "dir" : "table");
        row.text("rights", fmt::format("{} > {}{}", rights_text(range.old_flags),
                                       range.marked ? "mark" : rights_text(range.new_flags), range.moved ? " *" : ""));
        row.text("writer", writer(range));
    }
    shown().rows("entry_runs", std::move(rows));
    list("entry_runs",
         {{.key = "stop", .title = "stop", .width = 5},
          {.key = "side", .title = "side", .width = 8},
          {.key = "pages", .title = "pages mapped", .width = 18},
          {.key = "entries", .title = "entries", .width = 8, .align = Right},
          {.key = "level", .title = "level", .width = 6, .lead = "  "},
          {.key = "rights", .title = "rights", .width = 13},
          {.key = "writer", .title = "written by", .most = 37}},
         options_.most_rows);
    if (moved)
        line("* the entry leads to another frame than before");
}

void ForkDocument::differences() {
    if (!fork_.left || fork_.failed)
        return;
    document_.section("Parent and child when fork returned");
    if (fork_.differences.empty())
        return line(fork_.trimmed ? kDropped : "nothing that a program may touch is mapped on either side");
    Rows rows = copied("differences");
    for (std::size_t i = 0; i < rows.size(); ++i)
        rows[i].text("range", range_text(fork_.differences[i].start, fork_.differences[i].end));
    shown().rows("difference_rows", std::move(rows));
    list("difference_rows",
         {{.key = "range", .width = 18},
          {.key = "pages", .width = 8, .align = Right},
          {.key = "parent", .lead = " pages  parent "},
          {.key = "child", .lead = "  child "},
          {.key = "difference", .lead = "  "}},
         options_.most_rows);
}

void ForkDocument::flushes() {
    if (fork_.flushes.empty() && !dropped(fork_.counts.flushes))
        return;
    document_.section("Translations dropped inside fork");
    if (fork_.flushes.empty())
        return line(kDropped);
    // Runs of flushes by the same instruction are one row.
    Rows rows;
    for (std::size_t i = 0; i < fork_.flushes.size();) {
        const FlushChange& first = fork_.flushes[i];
        u64 dropped = 0;
        std::size_t end = i;
        while (end < fork_.flushes.size() && fork_.flushes[end].eip == first.eip &&
               fork_.flushes[end].reason == first.reason && fork_.flushes[end].stop == first.stop)
            dropped += fork_.flushes[end++].dropped;
        Object& row = rows.emplace_back();
        row.text("stop", stop_text(fork_, first.stop)).text("reason", flush_reason_name(first.reason));
        row.number("times", end - i).number("dropped", dropped);
        row.text("by",
                 first.eip == 0 || options_.symbols == nullptr ? "" : options_.symbols->lookup(0, first.eip).text());
        i = end;
    }
    shown().rows("flush_runs", std::move(rows));
    list("flush_runs",
         {{.key = "stop", .width = 5},
          {.key = "reason", .width = 12},
          {.key = "times", .width = 6, .align = Right},
          {.key = "dropped", .width = 5, .align = Right, .lead = " times, "},
          {.key = "by", .lead = " translations  ", .most = 55}},
         options_.most_rows);
}

Object ForkDocument::fault_run(const ForkFault& first, const ForkFault& last, u64 pages, Cycles cycles) const {
    const FaultRecord& fault = *first.record;
    std::string name = fault_class_name(fault.fault_class);
    if (fault.fault_class == FaultClass::KernelCopy)
        name += fmt::format(" ({})", fault_class_name(fault.page));
    Object row;
    row.text("side", fork_side_name(first.side));
    row.text("page", pages == 1 ? fmt::format("{:08x}", fault.page_address())
                                : range_text(fault.page_address(), u64{last.record->page_address()} + kPageSize));
    row.number("pages", pages).text("class", std::move(name)).count("own_cycles", cycles / pages);
    row.text("memory", memory_name(fork_, fault, options_));
    row.text("by", place_text(fault, options_));
    return row;
}

void ForkDocument::add_fault_runs(Rows& rows, const std::vector<const ForkFault*>& faults) const {
    for (std::size_t i = 0; i < faults.size();) {
        const ForkFault& first = *faults[i];
        Cycles cycles = 0;
        std::size_t end = i;
        while (end < faults.size()) {
            const FaultRecord& fault = *faults[end]->record;
            if (faults[end]->side != first.side || fault.eip != first.record->eip ||
                fault.fault_class != first.record->fault_class || fault.page != first.record->page ||
                fault.page_address() != first.record->page_address() + (end - i) * kPageSize)
                break;
            cycles += fault.spent.cycles;
            ++end;
        }
        if (end - i < kShortestRun) {
            end = i + 1;
            cycles = first.record->spent.cycles;
        }
        rows.push_back(fault_run(first, *faults[end - 1], end - i, cycles));
        i = end;
    }
}

void ForkDocument::faults() {
    const CowSummary summary = cow_summary(fork_, options_.parent_pages);
    const std::string_view handler = options_.profile == nullptr ? "" : options_.profile->functions_at("F");
    document_.section("Copy-on-write faults of this fork, page by page" +
                      (handler.empty() ? "" : fmt::format("; F: {}", handler)));
    if (summary.named.empty() && summary.rest.empty()) {
        line(dropped(fork_.cow_faults()) ? kDropped : "none");
    } else {
        Rows rows;
        add_fault_runs(rows, summary.named);
        if (!summary.named.empty() && !summary.rest.empty())
            rows.emplace_back();
        add_fault_runs(rows, summary.rest);
        shown().rows("fault_runs", std::move(rows));
        list("fault_runs", {{.key = "side", .title = "side", .width = 7},
                            {.key = "page", .title = "page", .width = 18},
                            {.key = "pages", .title = "pages", .width = 6, .align = Right},
                            {.key = "class", .title = "class", .width = 23, .lead = " "},
                            {.key = "own_cycles", .title = "own", .width = 9, .align = Right},
                            {.key = "memory", .title = "memory", .lead = "  ", .most = 33},
                            {.key = "by", .align = Below, .lead = "       by ", .most = 86}});
    }
    fault_total(summary);
    other_faults();
}

// "27 faults = 20 pages named by the workload + 5 that its parent writes + 2".
void ForkDocument::fault_total(const CowSummary& summary) {
    if (summary.pages_named + summary.parent_pages + summary.cow_faults == 0)
        return;
    shown().text("parent_part",
                 summary.parent_pages == 0 ? "" : fmt::format(" + {} that its parent writes", summary.parent_pages));
    shown().text("constant_part", fmt::format("{} {}", summary.constant < 0 ? "-" : "+", std::abs(summary.constant)));
    line("total: {cow_summary.cow_faults} faults = {cow_summary.pages_named} pages named by the "
         "workload{parent_part} {constant_part}");
}

void ForkDocument::other_faults() {
    std::map<std::string, u64> others;
    for (const ForkFault& fault : fork_.faults)
        if (!fault.belongs)
            ++others[fmt::format("{} {}", fork_side_name(fault.side), fault_class_name(fault.record->fault_class))];
    if (others.empty() && dropped(fork_.other_faults)) {
        document_.section("Other page faults on both sides");
        return line("{other_faults} of them; the list was dropped to bound memory");
    }
    if (others.empty())
        return;
    Rows rows;
    for (const auto& [name, count] : others)
        rows.emplace_back().number("faults", count).text("what", name);
    document_.section("Other page faults on both sides");
    shown().rows("other_fault_rows", std::move(rows));
    list("other_fault_rows", {{.key = "faults", .width = 6, .align = Right}, {.key = "what", .lead = "  "}});
}

void ForkDocument::findings() {
    document_.section("Findings")
        .blocks.push_back(Sentences{"findings",
                                    fork_.stated ? "none: what the guest states and what the hardware shows agree"
                                                 : "none: nothing that the hardware showed of it is wrong",
                                    kWidth});
}

} // namespace

Document fork_document(const ForkRecord& fork, const ForkReportOptions& options) {
    return ForkDocument(fork, options).document();
}

} // namespace forkscope
