// Owns: what an expression is worth on a machine at an instruction boundary.
// Callers: StopConditions. Promises: looks and never touches; bounded by the expression's size; what a value was read
// from is noted, so that stores into it can be watched.
#pragma once

#include <vector>

#include "emu/base/trace.hpp"
#include "emu/machine/machine.hpp"
#include "emu/session/conditions/condition.hpp"
#include "emu/session/conditions/value.hpp"

namespace forkscope {

// What a node remembers. Only `value`, `known` and `count` outlive the boundary, and go into checkpoints.
struct NodeMemory {
    u64 value = 0; // of what `changes` is asked about, of a whole entry, of what `writes` watches
    u64 count = 0;
    bool known = false;
    bool happened = false; // since the condition was asked
    u64 before = 0;        // `value` as it was before the last change
    TraceEvent event;

    void serialize(Archive& ar);
};

// Bytes of physical memory that a value depends on.
struct ReadBytes {
    PhysicalAddress address;
    u32 size = 0;

    bool operator==(const ReadBytes&) const = default;
    bool overlaps(PhysicalAddress other, u32 bytes) const {
        return address.value < other.value + bytes && other.value < address.value + size;
    }
};

class Evaluator {
  public:
    // Asks whether the program of a place runs now.
    using Runs = std::function<bool(const std::string& program)>;

    Evaluator(const Machine& machine, const Condition& condition, std::vector<NodeMemory>& memory)
        : machine_(machine), condition_(condition), memory_(memory) {}

    void set_program_asked(Runs runs) { runs_ = std::move(runs); }
    // Whether `changes` and `count` remember what they see: Begin makes it what later values are compared with.
    enum class Mode : u8 { Look, Begin, Ask };
    void set_mode(Mode mode) { mode_ = mode; }

    bool holds() { return truth(condition_.expression.root); }
    Value value(u32 node);
    bool truth(u32 node);
    // What the parts that arm the condition were read from.
    const std::vector<ReadBytes>& read() const { return read_; }

  private:
    const Node& at(u32 node) const { return condition_.expression.at(node); }
    Value operand(u32 node) { return node == kNoNode ? Value::unknown() : value(node); }
    bool both(const Node& node);
    bool changes(u32 node);
    // Has the modelled TLB a translation of the address that grants what the tables do not?
    bool stale(u32 linear, u32 node);
    Value count(u32 node);
    bool at_place(u32 node) const;
    Value memory_at(u32 node);
    Value physical_at(u32 node, PhysicalAddress address, u32 size);
    Value entry_at(u32 node);
    void note_read(u32 node, PhysicalAddress address, u32 size);
    void note_walk(u32 node, const Walk& walk);

    const Machine& machine_;
    const Condition& condition_;
    std::vector<NodeMemory>& memory_;
    std::vector<ReadBytes> read_;
    Runs runs_;
    Mode mode_ = Mode::Look;
};

} // namespace forkscope
