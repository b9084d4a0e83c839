// Owns: what an expression is worth on a machine that stands at an instruction boundary.
// Callers: StopConditions, the stepper's `expect`. Promises: looks and never touches; bounded by the expression's size;
// what a value was read from is noted, so that stores into it can be watched.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "emu/machine/machine.hpp"
#include "emu/session/conditions/evaluation/evaluator.hpp"

namespace forkscope {

// Bytes of physical memory that a value depends on.
struct ReadBytes {
    PhysicalAddress address;
    u32 size = 0;

    bool operator==(const ReadBytes&) const = default;
    bool overlaps(PhysicalAddress other, u32 bytes) const {
        return address.value < other.value + bytes && other.value < address.value + size;
    }
};

class MachineEvaluator final : public Evaluator {
  public:
    // Asks whether the program of a place runs now.
    using Runs = std::function<bool(const std::string& program)>;

    MachineEvaluator(const Machine& machine, const Condition& condition, std::vector<NodeMemory>& memory)
        : Evaluator(condition, memory), machine_(machine) {}

    void set_program_asked(Runs runs) { runs_ = std::move(runs); }
    // What the parts that arm the condition were read from.
    const std::vector<ReadBytes>& read() const { return read_; }

  private:
    Value leaf(u32 node) override;
    bool shows(u32 node) override;
    bool happened(u32 node) override;
    // Has the modelled TLB a translation of the address that grants what the tables do not?
    bool stale(u32 linear, u32 node);
    bool at_place(u32 node) const;
    Value memory_at(u32 node);
    Value physical_at(u32 node, PhysicalAddress address, u32 size);
    Value entry_at(u32 node);
    void note_read(u32 node, PhysicalAddress address, u32 size);
    void note_walk(u32 node, const Walk& walk);

    const Machine& machine_;
    std::vector<ReadBytes> read_;
    Runs runs_;
};

} // namespace forkscope
