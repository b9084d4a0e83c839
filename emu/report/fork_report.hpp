// Owns: what a fork did, as a Document: for people at most 100 columns wide, for programs docs/fork-report.md.
// Callers: `forkscope fork`, tests. Promises: reads records only; every fault that belongs to the fork is in the table,
// alone or in a run of pages; where a list is shortened, the text says by how much.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emu/observe/forks/fork_profile.hpp"
#include "emu/observe/forks/fork_store.hpp"
#include "emu/report/document.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

// What one tracepoint of the built-in guest costs it, about: four OUTs, and the instructions that bring their operands
// there. Zero: not known.
struct TracepointCost {
    u32 out = 0, set_up = 0;

    Cycles cycles() const { return Cycles{4} * out + set_up; }
    // What remains of a time in which so many tracepoints were stated.
    Cycles untraced(const RunTime& spent, const ForkCounts& counts) const {
        return spent.cycles - std::min(spent.cycles, counts.tracepoints * cycles());
    }
};

// How many pages the parent writes in each forkdemo of a guest's command line, told to it by --parent. The guest states
// only what it tells forkdemo by --pages; that is how a fork finds its own.
class ParentPages {
  public:
    ParentPages() = default;
    explicit ParentPages(std::string_view command_line);
    // 0: none, not said there, or said differently of two with the same --pages.
    u64 of(const ForkRecord& fork) const;

  private:
    struct Forkdemo {
        u64 pages = 0, parent = 0;
    };
    std::vector<Forkdemo> told_;
};

struct ForkReportOptions {
    const Symbolizer* symbols = nullptr;
    const ForkProfile* profile = nullptr; // names of the original's functions
    u32 estimated_causes = 0;             // bits by CycleCause: their cycles rest on figures that nothing confirms
    TracepointCost tracepoint = {};
    ParentPages parent_pages = {};
    std::size_t most_rows = 40; // of a table; faults are always complete
};

// Copy-on-write faults = pages that the workload named + those that its parent writes + a constant, which is explained
// page by page.
struct CowSummary {
    u64 pages_named = 0;
    u64 parent_pages = 0;
    u64 cow_faults = 0;
    i64 constant = 0;
    std::vector<const ForkFault*> named; // the faults on the workload's pages, by either side
    std::vector<const ForkFault*> rest;  // the others: the constant
};
CowSummary cow_summary(const ForkRecord& fork, const ParentPages& parent_pages = {});

// Entries that changed in the same way on neighbouring pages.
struct PteRange {
    ForkSide side{};
    u8 level = 1;
    u64 start = 0;
    u64 end = 0;
    u64 entries = 0;
    u32 old_flags = 0; // P, W, U of the entry
    u32 new_flags = 0;
    bool moved = false;  // present before and after, in another frame
    bool marked = false; // absent but not empty: a guard, a swap address
    bool written = true;
    u32 eip = 0; // of the first one
    std::array<u32, 3> callers{};
    int stop = kNoStop;
};
std::vector<PteRange> pte_ranges(const ForkRecord& fork);

// What lies at a program's address, as far as it can be told: "stack", "main_buffer+0x40", "mapped memory".
std::string memory_name(const ForkRecord& fork, u32 address, const ForkReportOptions& options);
// The same where a fault was; if no program may touch the page, it is "supervisor memory" unless a symbol has it.
std::string memory_name(const ForkRecord& fork, const FaultRecord& fault, const ForkReportOptions& options);
// Which code faulted: "write_pages+0x1c (forkdemo.c:40)", or the address.
std::string place_text(const FaultRecord& fault, const ForkReportOptions& options);

// The cost of one function inside fork, without what it calls.
struct FunctionCost {
    std::string name;
    RunTime spent;
};
// Most expensive first; empty unless instructions were counted (ForkTracer::on_instruction).
std::vector<FunctionCost> fork_functions(const ForkRecord& fork, const Symbolizer& symbols);
// Cycles by stop and cause, unless there is one cause alone; by function, if those were counted.
void add_cycle_sections(Document& document, const ForkRecord& fork, const ForkReportOptions& options);
// Own cycles are those of the forking thread and of servers that work for it; elapsed ones, all from the beginning to
// the end, whoever ran.
Cycles elapsed_cycles(const ForkStop& stop);
Cycles elapsed_cycles(const ForkRecord& fork); // 0: it has not returned

// Fork copied all pages that either side may write itself, and shared none for copying.
bool private_at_once(const ForkRecord& fork);
// From fork's return until no page was shared for copying any more; 0: not yet, or at once.
Cycles cycles_until_private(const ForkRecord& fork);
// "pid 3 (bin/sh), directory 0x003e1000".
std::string process_text(u32 pid, u32 directory, const std::string& program);

// The one of several forks to report: the first that has its lists, else the first. Null: there is none.
const ForkRecord* first_whole(const std::vector<const ForkRecord*>& forks);

Document fork_document(const ForkRecord& fork, const ForkReportOptions& options = {});
// Who forked whom; `highlight` marks one fork's line.
Document fork_tree_document(const ForkStore& forks, u64 highlight = 0);

} // namespace forkscope
