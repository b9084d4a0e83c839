// Owns: what an expression is worth at an instruction boundary, as far as operators, `changes` and `count` go.
// Callers: those who know what its leaves are worth: MachineEvaluator, and the query of traces. Promises: bounded by
// the expression's size; only Begin and Ask remember.
#pragma once

#include <vector>

#include "emu/base/archive.hpp"
#include "emu/base/trace.hpp"
#include "emu/session/conditions/condition.hpp"
#include "emu/session/conditions/evaluation/value.hpp"

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

class Evaluator {
  public:
    virtual ~Evaluator() = default;

    // Whether `changes` and `count` remember what they see: Begin makes it what later values are compared with.
    enum class Mode : u8 { Look, Begin, Ask };
    void set_mode(Mode mode) { mode_ = mode; }

    bool holds() { return truth(condition_.expression.root); }
    Value value(u32 node);
    bool truth(u32 node);

  protected:
    Evaluator(const Condition& condition, std::vector<NodeMemory>& memory) : condition_(condition), memory_(memory) {}

    // Of a register, memory or an entry.
    virtual Value leaf(u32 node) = 0;
    // Of `stale` and `screen`.
    virtual bool shows(u32 node) = 0;
    // Of what happens.
    virtual bool happened(u32 node) { return memory_[node].happened; }

    const Expression& expression() const { return condition_.expression; }
    const Arming& arming() const { return condition_.arming; }
    const Node& at(u32 node) const { return condition_.expression.at(node); }
    NodeMemory& memory_of(u32 node) { return memory_[node]; }
    Mode mode() const { return mode_; }

  private:
    bool both(const Node& node);
    bool changes(u32 node);
    Value count(u32 node);

    const Condition& condition_;
    std::vector<NodeMemory>& memory_;
    Mode mode_ = Mode::Look;
};

// A condition of state alone is met when it becomes true; others whenever they hold as something comes about.
constexpr bool is_met(Rank rank, bool holds, bool held, bool something_happened) {
    return holds && (rank != Rank::State || !held || something_happened);
}

} // namespace forkscope
