// Owns: Value, what a part of a condition yields, and the arithmetic on it.
// Callers: the parser folds constants; the evaluator asks a machine. Promises: as C has it for unsigned numbers of 32
// bits, or of 64 where one side needs them; a value that depends on what cannot be read is unknown, and compares as
// false with anything.
#pragma once

#include <algorithm>

#include "emu/session/conditions/expression.hpp"

namespace forkscope {

struct Value {
    u64 bits = 0;
    u8 width = 32; // 0: a constant, which takes the width of the other side
    bool known = true;

    static Value constant(u64 bits) { return {bits, static_cast<u8>(fits(bits) ? 0 : 64), true}; }
    static Value unknown() { return {0, 32, false}; }
    // As 32 bits, signed or not.
    static bool fits(u64 bits) { return bits <= 0xFFFFFFFF || bits >= ~u64{0x7FFFFFFF}; }
};

constexpr u64 cut(u64 bits, u8 width) { return width == 32 ? bits & 0xFFFFFFFF : bits; }

inline Value apply(NodeKind kind, Value a) {
    a.bits = kind == NodeKind::Negate ? u64{0} - a.bits : ~a.bits;
    a.bits = cut(a.bits, a.width);
    return a;
}

inline Value apply(NodeKind kind, const Value& a, const Value& b) {
    const u8 width = std::max(a.width, b.width);
    const u64 left = cut(a.bits, width), right = cut(b.bits, width);
    const bool known = a.known && b.known;
    const auto number = [&](u64 bits) { return Value{cut(bits, width), width, known}; };
    const auto truth = [&](bool holds) { return Value{known && holds ? u64{1} : 0, 32, true}; };
    switch (kind) {
    case NodeKind::Add:
        return number(left + right);
    case NodeKind::Subtract:
        return number(left - right);
    case NodeKind::Multiply:
        return number(left * right);
    case NodeKind::BitAnd:
        return number(left & right);
    case NodeKind::BitOr:
        return number(left | right);
    case NodeKind::BitXor:
        return number(left ^ right);
    case NodeKind::ShiftLeft:
        return number(right < 64 ? left << right : 0);
    case NodeKind::ShiftRight:
        return number(right < 64 ? left >> right : 0);
    case NodeKind::Equal:
        return truth(left == right);
    case NodeKind::NotEqual:
        return truth(left != right);
    case NodeKind::Less:
        return truth(left < right);
    case NodeKind::LessEqual:
        return truth(left <= right);
    case NodeKind::Greater:
        return truth(left > right);
    case NodeKind::GreaterEqual:
        return truth(left >= right);
    default:
        return Value::unknown();
    }
}

} // namespace forkscope
