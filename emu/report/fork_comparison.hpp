// Owns: what the forks of one workload did on one system, summed up (ForkTally), and several systems side by side.
// Callers: `forkscope compare`, the report page, tests. Promises: plain data made from ForkRecords alone; sums over all
// forks of the workload, never averages; what a system does not have stays 0 and is shown as absent.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "emu/report/fork_report.hpp"

namespace forkscope {

// Every time that the forks of one workload reached a stop.
struct StopTally {
    std::string stop;
    std::string name;
    std::string original; // the original's functions
    std::string function; // where ours states it
    std::string source;
    u64 times = 0;
    RunTime spent;
    ForkCounts counts;
};

// Copy-on-write faults on pages that the workload did not name, joined where side, memory, class and cause are alike.
struct ConstantPage {
    ForkSide side{};
    u32 page = 0; // of the first one
    std::string memory;
    std::string by; // the faulting instruction's function
    FaultClass fault_class{};
    u64 faults = 0;
};

// A page of which fork itself made two: both sides had their own when it left, so that no fault comes.
struct PrivatePage {
    u32 page = 0;
    std::string memory;
    u64 forks = 0;
};

struct ForkTally {
    std::string os;      // as --os takes it
    std::string system;  // as people write it
    std::string trouble; // why the run did not end well; empty: it did
    u64 forks = 0;
    u64 failed = 0; // of them
    bool trimmed = false;

    // Inside fork.
    RunTime spent;
    Cycles elapsed = 0;           // of those that returned
    std::vector<StopTally> stops; // in the order in which the system first came to them
    ForkCounts counts;
    u64 faults_inside = 0;
    u64 pages_made_private = 0;
    std::vector<PrivatePage> private_pages;
    ShadowCounts shadows_inside;

    // Afterwards, by either side.
    using ByClass = std::array<u64, static_cast<std::size_t>(FaultClass::Count)>;
    std::array<ByClass, 2> faults{}; // all page faults; [0] parent, [1] child
    u64 pages_named = 0;             // by the workload, for either side
    u64 cow_faults = 0;              // of these forks
    Cycles cow_cycles = 0;           // spent in them
    std::string fault_path;          // F: the original's functions
    u64 cow_messages = 0;            // that they took
    u64 frames_copied = 0;           // by faults of either side
    u64 leaflets_duplicated = 0;     // inside fork and afterwards; a block of frames copied at once counts one
    Cycles until_private = 0;        // from fork's return until no page was shared for copying, or a side ended
    u64 became_private = 0;          // forks of which that is known
    ShadowCounts shadows_after;
    std::vector<ConstantPage> constant; // those with most faults first
    std::vector<std::string> findings;  // of all forks of the run, each once

    i64 cow_constant() const { return static_cast<i64>(cow_faults) - static_cast<i64>(pages_named); }
};

struct ForkComparison {
    std::string workload; // as it was asked for
    std::string command;  // what the guest's shell ran
    std::string machine;  // in words
    TracepointCost tracepoint = {};
    std::vector<ForkTally> systems;
};

// The forks that belong to the workload: those that its program marked, else those of the command's processes, else
// the shell's, which makes them.
std::vector<const ForkRecord*> workload_forks(const ForkStore& forks);
ForkTally tally_forks(const std::vector<const ForkRecord*>& forks, const ForkReportOptions& options);
// Also of forks that do not belong to the workload: a finding is never beside the point.
void add_findings(ForkTally& tally, const ForkRecord& fork);

// For people at most 100 columns wide; for programs docs/compare.md.
Document comparison_document(const ForkComparison& comparison);
Object comparison_data(const ForkComparison& comparison);

} // namespace forkscope
