// Owns: what people read of an event that met a condition: which, where, what was before and is now.
// Callers: StopConditions. Promises: depends on what the nodes remember and on the symbols' words alone.
#pragma once

#include <span>
#include <string>

#include "emu/session/conditions/evaluation/machine_evaluator.hpp"

namespace forkscope {

struct Occurred {
    const Expression& expression;
    u32 node;
    const NodeMemory& memory;
    std::span<const NodeMemory> all;
    const Machine& machine;
    std::string by; // the instruction that did it; empty: not known
};

std::string occurrence_text(const Occurred& occurred);
// Whether it says more than the word that it was asked by.
bool tells_more_than_its_name(NodeKind kind);

} // namespace forkscope
