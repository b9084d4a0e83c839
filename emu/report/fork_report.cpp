#include "emu/report/fork_report.hpp"

#include <algorithm>
#include <map>

#include "emu/report/report_text.hpp"
#include "emu/trace/trace_text.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kWidth = 100;
constexpr u64 kShortestRun = 4; // pages that are shown as one row

// Breaks a sentence into lines that begin with the indentation.
std::string wrapped(const std::string& text, const std::string& first, const std::string& later) {
    std::string out;
    std::string line = first;
    bool fresh = true;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(' ', at), text.size());
        const std::string word = text.substr(at, end - at);
        if (!fresh && line.size() + 1 + word.size() > kWidth) {
            out += line + "\n";
            line = later;
            fresh = true;
        }
        line += (fresh ? "" : " ") + word;
        fresh = false;
        at = end + 1;
    }
    return out + line + "\n";
}

std::string process_text(u32 pid, u32 directory, const std::string& program) {
    std::string text = pid != 0 ? fmt::format("pid {}", pid) : std::string("a process");
    if (!program.empty())
        text += " (" + program + ")";
    return text + fmt::format(", directory {:#010x}", directory);
}

std::string range_text(u64 start, u64 end) { return fmt::format("{:08x}-{:08x}", start, end - 1); }

std::string phase_text(const ForkRecord& fork, int phase) {
    return phase == kNoPhase || static_cast<std::size_t>(phase) >= fork.phases.size()
               ? "-"
               : fork_phase_stop(fork.phases[static_cast<std::size_t>(phase)].id);
}

class Report {
  public:
    Report(const ForkRecord& fork, const ForkReportOptions& options) : fork_(fork), options_(options) {}

    std::string text() {
        summary();
        phases();
        out_ += fork_cycles_text(fork_, options_);
        entries();
        differences();
        flushes();
        faults();
        findings();
        return std::move(out_);
    }

  private:
    template <class... Arguments> void line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        out_ += fmt::format(format, std::forward<Arguments>(arguments)...) + "\n";
    }
    void title(const char* text) { line("\n{}", text); }
    void left_out(std::size_t all, std::size_t shown) {
        if (all > shown)
            line("  … {} more rows; --json has them all", all - shown);
    }

    void summary();
    void shadows(const char* when, const ShadowCounts& counts);
    void phases();
    std::string phase_original(const ForkPhase& phase) const;
    void entries();
    void differences();
    void flushes();
    void faults();
    void fault_rows(const std::vector<const ForkFault*>& faults);
    void fault_row(const ForkFault& first, const ForkFault& last, u64 pages, Cycles cycles);
    void findings();
    std::string where(u32 eip) const {
        return eip == 0 || options_.symbols == nullptr ? "" : options_.symbols->lookup(0, eip).text();
    }
    std::string writer(const PteRange& range) const;

    const ForkRecord& fork_;
    const ForkReportOptions& options_;
    std::string out_;
};

void Report::summary() {
    const ForkCounts& counts = fork_.counts;
    line("Fork {}: {}", fork_.number, process_text(fork_.parent_pid, fork_.parent_directory, fork_.parent_program));
    if (fork_.failed)
        line("  failed with error {}", -fork_.result);
    else
        line("  made {}", process_text(fork_.child_pid, fork_.child_directory, ""));
    if (!fork_.left)
        line("  and has not returned yet");
    line("  inside fork    {} cycles, {} instructions, from cycle {}", grouped(fork_.spent.cycles),
         grouped(fork_.spent.instructions), grouped(fork_.begin_cycle));
    line("  page tables    {} entries written, {} of them only write-protected; {} found in place",
         grouped(counts.pte_writes), grouped(counts.pte_protects), grouped(counts.pte_found));
    if (fork_.stated)
        line("  frames         {} allocated, {} copied, {} shared, {} released, {} freed",
             grouped(counts.frames_allocated), grouped(counts.frames_copied), grouped(counts.frames_shared),
             grouped(counts.frames_released), grouped(counts.frames_freed));
    line("  TLB            {} flushes dropped {} translations; {} loads of CR3", grouped(counts.flushes),
         grouped(counts.entries_dropped), grouped(counts.cr3_loads));
    line("  ways through   {} system calls, {} messages, {} privilege switches, {} other address spaces loaded",
         grouped(counts.system_calls), grouped(counts.messages), grouped(counts.privilege_switches),
         grouped(counts.space_switches));
    if (counts.heap_objects != 0)
        line("  kernel memory  {} bytes in {} objects taken, {} bytes given back", grouped(counts.heap_bytes),
             grouped(counts.heap_objects), grouped(counts.heap_bytes_freed));
    shadows("inside", fork_.shadows_inside);
    const auto of = [&](FaultClass fault_class) { return fork_.fault_counts[static_cast<u8>(fault_class)]; };
    line("  afterwards     {} copy-on-write faults: {} copied a page, {} only made it writable again",
         grouped(fork_.cow_faults()), grouped(of(FaultClass::CowCopy)), grouped(of(FaultClass::CowReuse)));
    shadows("afterwards", fork_.shadows_after);
    if (fork_.private_cycle != 0)
        line("  both private   {} cycles after fork returned{}",
             grouped(fork_.private_cycle - std::min(fork_.private_cycle, fork_.left_cycle)),
             fork_.child_ended    ? "; the child has ended"
             : fork_.parent_ended ? "; the parent has ended"
                                  : "");
    else if (fork_.left && !fork_.failed)
        line("  both private   not yet: {} pages are still shared", grouped(fork_.still_shared));
}

void Report::shadows(const char* when, const ShadowCounts& counts) {
    if (counts.created + counts.collapsed + counts.bypassed + counts.longest_chain != 0)
        line("  shadow objects {}: {} made, {} collapsed, {} bypassed; longest chain {}", when, counts.created,
             counts.collapsed, counts.bypassed, counts.longest_chain);
}

void Report::phases() {
    title("Phases");
    if (fork_.phases.empty()) {
        line("  the guest states none: this fork was found in what the hardware did");
        return;
    }
    line("  {:<5}{:<26}{:>11}{:>9}{:>8}{:>8}{:>8}{:>8}{:>9}", "stop", "what", "cycles", "instr.", "PTEs", "alloc.",
         "copied", "shared", "flushes");
    for (const ForkPhase& phase : fork_.phases) {
        line("  {:<5}{:<26}{:>11}{:>9}{:>8}{:>8}{:>8}{:>8}{:>9}", fork_phase_stop(phase.id), fork_phase_name(phase.id),
             grouped(phase.spent.cycles), grouped(phase.spent.instructions), phase.counts.pte_writes,
             phase.counts.frames_allocated, phase.counts.frames_copied, phase.counts.frames_shared,
             phase.counts.flushes);
        const std::string original = phase_original(phase);
        if (!original.empty())
            line("       {}", shortened(original, 93));
    }
}

// What the original calls the step, and where ours begins it.
std::string Report::phase_original(const ForkPhase& phase) const {
    std::string text(options_.profile == nullptr ? "" : options_.profile->functions_at(fork_phase_stop(phase.id)));
    const Location place = options_.symbols == nullptr ? Location{} : stop_location(phase, *options_.symbols);
    if (!place.known())
        return text;
    const std::string where = phase.program.empty() ? place.symbol : phase.program + ": " + place.symbol;
    const std::string source = place.source();
    return fmt::format("{}{}in {}{}", text, text.empty() ? "" : "; stated ", where,
                       source.empty() ? "" : " (" + source + ")");
}

// Who decided to write: the first caller outside of the file that writes for all, and where it called.
std::string Report::writer(const PteRange& range) const {
    if (!range.written)
        return "found in place";
    if (options_.symbols == nullptr)
        return fmt::format("{:#010x}", range.eip);
    const Location wrote = options_.symbols->lookup(0, range.eip);
    for (u32 caller : range.callers) {
        // A return address is the instruction after the call.
        const Location location = caller != 0 ? options_.symbols->lookup(0, caller - 1) : Location{};
        if (location.known() && location.file != wrote.file)
            return (location.inlined.empty() ? location.symbol : location.inlined) +
                   (location.source().empty() ? "" : " (" + location.source() + ")");
    }
    return wrote.text();
}

void Report::entries() {
    title("Page-table entries changed inside fork");
    const std::vector<PteRange> ranges = pte_ranges(fork_);
    if (ranges.empty())
        line("  none was seen");
    else
        line("  {:<5}{:<8}{:<18}{:>8}  {:<6}{:<13}{}", "stop", "side", "pages mapped", "entries", "level", "rights",
             "who");
    const std::size_t shown = std::min(ranges.size(), options_.most_rows);
    bool moved = false;
    for (std::size_t i = 0; i < shown; ++i) {
        const PteRange& range = ranges[i];
        const std::string change =
            fmt::format("{} > {}{}", rights_text(range.old_flags), range.marked ? "mark" : rights_text(range.new_flags),
                        range.moved ? " *" : "");
        moved = moved || range.moved;
        line("  {:<5}{:<8}{:<18}{:>8}  {:<6}{:<13}{}", phase_text(fork_, range.phase), fork_side_name(range.side),
             range_text(range.start, range.end), range.entries, range.level == 2 ? "dir" : "table", change,
             shortened(writer(range), 37));
    }
    left_out(ranges.size(), shown);
    if (moved)
        line("  * the entry leads to another frame than before");
}

void Report::differences() {
    if (!fork_.left || fork_.failed)
        return;
    title("Parent and child when fork returned");
    const std::size_t shown = std::min(fork_.differences.size(), options_.most_rows);
    for (std::size_t i = 0; i < shown; ++i) {
        const DifferenceRange& range = fork_.differences[i];
        line("  {:<18}{:>8} pages  parent {}  child {}  {}", range_text(range.start, range.end), range.pages(),
             rights_text(range.flags_a), rights_text(range.flags_b), page_difference_name(range.difference));
    }
    left_out(fork_.differences.size(), shown);
    if (fork_.differences.empty())
        line("  nothing is mapped on either side");
}

void Report::flushes() {
    if (fork_.flushes.empty())
        return;
    title("Translations dropped inside fork");
    // Runs of single-page flushes by the same instruction are one row.
    std::size_t rows = 0;
    for (std::size_t i = 0; i < fork_.flushes.size() && rows < options_.most_rows; ++rows) {
        const FlushChange& first = fork_.flushes[i];
        u64 dropped = 0;
        std::size_t end = i;
        while (end < fork_.flushes.size() && fork_.flushes[end].eip == first.eip &&
               fork_.flushes[end].reason == first.reason && fork_.flushes[end].phase == first.phase)
            dropped += fork_.flushes[end++].dropped;
        line("  {:<5}{:<12}{:>6} times, {:>5} translations  {}", phase_text(fork_, first.phase),
             flush_reason_name(first.reason), end - i, dropped, shortened(where(first.eip), 55));
        i = end;
    }
}

void Report::fault_row(const ForkFault& first, const ForkFault& last, u64 pages, Cycles cycles) {
    const FaultRecord& fault = first.record;
    const std::string page = pages == 1 ? fmt::format("{:08x}", fault.page_address())
                                        : range_text(fault.page_address(), u64{last.record.page_address()} + kPageSize);
    std::string name = fault_class_name(fault.fault_class);
    if (fault.fault_class == FaultClass::KernelCopy)
        name += fmt::format(" ({})", fault_class_name(fault.page));
    const std::string cause = fault.where ? fault.where->text() : fmt::format("{:#010x}", fault.eip);
    line("  {:<7}{:<18}{:>6} {:<23}{:>9}  {}", fork_side_name(first.side), page, pages, name, grouped(cycles / pages),
         shortened(memory_name(fork_, fault.address, options_), 33));
    line("  {:<7}by {}", "", shortened(cause, 86));
}

void Report::fault_rows(const std::vector<const ForkFault*>& faults) {
    for (std::size_t i = 0; i < faults.size();) {
        const ForkFault& first = *faults[i];
        Cycles cycles = 0;
        std::size_t end = i;
        while (end < faults.size()) {
            const FaultRecord& fault = faults[end]->record;
            if (faults[end]->side != first.side || fault.eip != first.record.eip ||
                fault.fault_class != first.record.fault_class || fault.page != first.record.page ||
                fault.page_address() != first.record.page_address() + (end - i) * kPageSize)
                break;
            cycles += fault.spent.cycles;
            ++end;
        }
        if (end - i < kShortestRun) {
            end = i + 1;
            cycles = first.record.spent.cycles;
        }
        fault_row(first, *faults[end - 1], end - i, cycles);
        i = end;
    }
}

void Report::faults() {
    const ForkLaw law = fork_law(fork_);
    const std::string_view handler = options_.profile == nullptr ? "" : options_.profile->functions_at("F");
    title(("Copy-on-write faults of this fork, page by page" + (handler.empty() ? "" : fmt::format("; F: {}", handler)))
              .c_str());
    if (law.named.empty() && law.rest.empty()) {
        line("  {}", fork_.cow_faults() == 0 ? "none" : "their list was given up; the counts above are whole");
    } else {
        line("  {:<7}{:<18}{:>6} {:<23}{:>9}  {}", "side", "page", "pages", "class", "cycles", "memory");
        fault_rows(law.named);
        if (!law.named.empty() && !law.rest.empty())
            line("  {:-<60}", "");
        fault_rows(law.rest);
    }
    if (law.pages_named != 0 || law.cow_faults != 0)
        line("  law: {} faults = {} pages named by the workload {} {}", law.cow_faults, law.pages_named,
             law.constant < 0 ? "-" : "+", law.constant < 0 ? -law.constant : law.constant);
    std::map<std::string, u64> others;
    for (const ForkFault& fault : fork_.faults)
        if (!fault.belongs)
            ++others[fmt::format("{} {}", fork_side_name(fault.side), fault_class_name(fault.record.fault_class))];
    if (!others.empty())
        title("Other page faults on both sides meanwhile");
    for (const auto& [name, count] : others)
        line("  {:>6}  {}", count, name);
}

void Report::findings() {
    title("Findings");
    if (fork_.findings.empty())
        line("  none: what the guest states and what the hardware shows agree");
    for (const std::string& finding : fork_.findings)
        out_ += wrapped(finding, "  ! ", "    ");
    if (fork_.trimmed)
        line("  (some entries of the lists were given up to bound memory; the counts are whole)");
}

void tree_lines(const std::map<u64, std::vector<const ForkRecord*>>& children, const ForkRecord& fork,
                const std::string& indent, bool last, u64 highlight, std::string& out) {
    out += fmt::format("{}{} {}{}\n", indent, last ? "`-" : "|-",
                       fork.failed           ? std::string("(failed)")
                       : fork.child_pid != 0 ? fmt::format("pid {}", fork.child_pid)
                                             : fmt::format("directory {:#010x}", fork.child_directory),
                       fmt::format("  fork {}, {} cycles, {} copy-on-write faults{}", fork.number,
                                   grouped(fork.spent.cycles), fork.cow_faults(),
                                   fork.number == highlight ? "   <- this one" : ""));
    const auto below = children.find(fork.number);
    if (below == children.end() || indent.size() > 60)
        return;
    for (const ForkRecord* child : below->second)
        tree_lines(children, *child, indent + (last ? "   " : "|  "), child == below->second.back(), highlight, out);
}

} // namespace

std::string fork_report_text(const ForkRecord& fork, const ForkReportOptions& options) {
    return Report(fork, options).text();
}

std::string fork_tree_text(const std::list<ForkRecord>& forks, u64 highlight) {
    std::map<u64, std::vector<const ForkRecord*>> children;
    std::map<std::pair<u32, u32>, std::vector<const ForkRecord*>> roots;
    std::map<u64, bool> known;
    for (const ForkRecord& fork : forks)
        known[fork.number] = true;
    for (const ForkRecord& fork : forks) {
        if (fork.made_parent != 0 && known.count(fork.made_parent) != 0 && fork.made_parent < fork.number)
            children[fork.made_parent].push_back(&fork);
        else
            roots[{fork.parent_pid, fork.parent_pid != 0 ? 0 : fork.parent_directory}].push_back(&fork);
    }
    std::string out;
    for (const auto& [parent, below] : roots) {
        const ForkRecord& first = *below.front();
        out += process_text(first.parent_pid, first.parent_directory, first.parent_program) + "\n";
        for (const ForkRecord* fork : below)
            tree_lines(children, *fork, "", fork == below.back(), highlight, out);
    }
    return out;
}

} // namespace forkscope
