#include "emu/session/conditions/evaluation/evaluator.hpp"

namespace forkscope {

void NodeMemory::serialize(Archive& ar) {
    ar.field("value", value);
    ar.field("count", count);
    ar.field("known", known);
}

Value Evaluator::value(u32 number) {
    const Node& node = at(number);
    switch (node.kind) {
    case NodeKind::Number:
        return Value::constant(node.number);
    case NodeKind::Register:
    case NodeKind::Memory:
    case NodeKind::Physical:
    case NodeKind::Entry:
        return leaf(number);
    case NodeKind::Count:
        return count(number);
    case NodeKind::Negate:
    case NodeKind::Invert:
        return apply(node.kind, value(node.left));
    default:
        break;
    }
    if (is_value(node.kind) || is_comparison(node.kind)) {
        const Value left = value(node.left); // in order: each may note what it read
        return apply(node.kind, left, value(node.right));
    }
    return {truth(number) ? u64{1} : 0, 32, true};
}

bool Evaluator::truth(u32 number) {
    const Node& node = at(number);
    switch (node.kind) {
    case NodeKind::Not:
        return !truth(node.left);
    case NodeKind::And:
        return both(node);
    case NodeKind::Or: {
        const bool left = truth(node.left); // both are asked: each may remember
        return truth(node.right) || left;
    }
    case NodeKind::Stale:
    case NodeKind::ScreenText:
        return shows(number);
    case NodeKind::Changes:
        return changes(number);
    default:
        break;
    }
    if (is_occurrence(node.kind))
        return happened(number);
    const Value result = value(number);
    return result.known && result.bits != 0;
}

// The part that arms is asked first, and the other only where it holds: what that remembers is of such moments alone.
bool Evaluator::both(const Node& node) {
    const Rank left = at(node.left).rank, right = at(node.right).rank;
    if (left > right && mode_ != Mode::Begin) // at the beginning all look
        return truth(node.left) && truth(node.right);
    if (right > left && mode_ != Mode::Begin)
        return truth(node.right) && truth(node.left);
    const bool first = truth(node.left);
    return truth(node.right) && first;
}

bool Evaluator::changes(u32 number) {
    NodeMemory& memory = memory_[number];
    const Value now = value(at(number).left);
    const bool changed = now.known != memory.known || (now.known && now.bits != memory.value);
    if (mode_ == Mode::Look)
        return changed;
    memory.before = memory.value;
    memory.known = now.known;
    memory.value = now.known ? now.bits : 0;
    memory.happened = changed && mode_ == Mode::Ask;
    return changed;
}

// Of something that happens: as often as it did. Of something that is or is not: as often as it came about.
Value Evaluator::count(u32 number) {
    NodeMemory& memory = memory_[number];
    const Node& counted = at(at(number).left);
    const bool now = truth(at(number).left);
    const bool came = now && (counted.rank != Rank::State || !memory.known);
    if (mode_ != Mode::Look)
        memory.known = now;
    if (mode_ == Mode::Ask)
        memory.count += came ? 1 : 0;
    return came ? Value{memory.count, 64, true} : Value::unknown();
}

} // namespace forkscope
