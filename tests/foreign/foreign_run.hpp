// Owns: one run of a small foreign kernel: what it printed, and what the tracer made of it, in the same words.
// Callers: the tests beside it. Promises: traced as a session traces; both texts have a line a fork and a line a
// copy-on-write fault, so that their difference reads as what is missing, wrong or too much.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emu/machine/machine.hpp"
#include "emu/observe/forks/fork_tracer.hpp"

namespace forkscope {

// Both, line by line: as they agree, "missing" in what the tracer says, "wrong" in it.
std::string line_difference(const std::string& told, const std::string& traced);

class ForeignRun {
  public:
    enum class Traced : bool { No, Yes };
    // `image` without folder and ending; `words` are its command line. Runs until the kernel ends the machine.
    ForeignRun(const std::string& image, const std::string& words, EngineKind engine = EngineKind::Block,
               Traced traced = Traced::Yes);

    const std::string& console() const { return console_; }
    u64 hash() { return machine_->hash(); }
    const ForkTracer& tracer() const { return *tracer_; }

    // What the same kernel prints on QEMU; empty where QEMU is not installed.
    static std::string console_of_qemu(const std::string& image, const std::string& words);

    // The kernel's lines that begin with `word`, in order.
    std::vector<std::string> lines(const std::string& word) const;
    // What the programs printed: "200 201, 100 101", a list for each stretch of one process.
    std::string values() const;

    // Forks in their order, then copy-on-write faults in theirs.
    std::string told() const;
    std::string traced() const;
    // A line a fork: entries written to the child's tables, entries of the parent that lost the right to write.
    std::string tables_told() const;
    std::string tables_traced() const;
    // A line for each page that was filled in where nothing was, as a stack's or any other; "heap" is what a kernel
    // calls the others.
    std::string growth_told() const { return joined(lines("grown")); }
    std::string growth_traced() const;
    // What a report calls the memory of each copy-on-write fault: "fault space= page= NAME".
    std::vector<std::string> cow_names() const;
    // Faults that a fork's record gives to a side which is not the one that faulted.
    std::vector<std::string> misplaced_faults() const;
    std::vector<std::string> findings() const;

  private:
    static std::string joined(const std::vector<std::string>& lines);

    std::string console_;
    std::vector<FaultRef> faults_;
    Symbolizer symbols_;
    std::unique_ptr<Machine> machine_;
    std::unique_ptr<ForkTracer> tracer_;
};

} // namespace forkscope
