// Owns: what an argument of an event or of a guest's tracepoint is: its name, its type, the values packed into it.
// Callers: trace_kinds.def and guest/abi/tracepoints.def are written in these words; emu/trace writes text by them.
// Promises: everything is constant; a value that several are packed into is taken apart nowhere else.
#pragma once

#include <array>
#include <string_view>

#include "emu/base/types.hpp"

namespace forkscope {

enum class TraceType : u8 {
    Unused,
    Value,        // no more is known; hexadecimal
    Linear,       // address
    Physical,     // address
    Directory,    // physical address of a page directory, as in CR3
    NewDirectory, // one that may not have been in CR3 yet
    Entry,        // of a page table, as the hardware reads it
    Flags,        // bits that the manual names
    Count,
    Number, // of a level, a vector, a register
    Result, // 32 bits, signed: a count, or a negative error
    Pid,
    // Enumerations, whose values have names (trace_vocabulary.hpp; the guest's in guest/abi/tracepoints.def).
    FlushReason,
    InterruptCause,
    TlbArray,
    InputKind,
    TracepointId,
    FaultClass,
    FrameUse,
};

// One value; where the argument holds several, its place in it.
struct TraceField {
    std::string_view name;
    TraceType type = TraceType::Unused;
    u8 shift = 0;
    u8 width = 64;

    constexpr u64 of(u64 argument) const {
        return width == 64 ? argument : argument >> shift & ((u64{1} << width) - 1);
    }
    constexpr u64 placed(u64 value) const { return value << shift; }
};

struct TraceArgument {
    std::string_view name;
    std::array<TraceField, 2> fields; // one for itself, or two that are packed; else Unused

    constexpr TraceType type() const { return fields[0].type; }
};

// The words of the tables.
namespace trace_words {

constexpr TraceArgument argument(std::string_view name, TraceType type) { return {name, {TraceField{name, type}, {}}}; }
inline constexpr TraceArgument unused{};
constexpr TraceArgument value(std::string_view name) { return argument(name, TraceType::Value); }
constexpr TraceArgument linear(std::string_view name) { return argument(name, TraceType::Linear); }
constexpr TraceArgument physical(std::string_view name) { return argument(name, TraceType::Physical); }
constexpr TraceArgument directory(std::string_view name) { return argument(name, TraceType::Directory); }
constexpr TraceArgument new_directory(std::string_view name) { return argument(name, TraceType::NewDirectory); }
constexpr TraceArgument entry(std::string_view name) { return argument(name, TraceType::Entry); }
constexpr TraceArgument flags(std::string_view name) { return argument(name, TraceType::Flags); }
constexpr TraceArgument count(std::string_view name) { return argument(name, TraceType::Count); }
constexpr TraceArgument number(std::string_view name) { return argument(name, TraceType::Number); }
constexpr TraceArgument result(std::string_view name) { return argument(name, TraceType::Result); }
constexpr TraceArgument pid(std::string_view name) { return argument(name, TraceType::Pid); }
constexpr TraceArgument flush_reason(std::string_view name) { return argument(name, TraceType::FlushReason); }
constexpr TraceArgument interrupt_cause(std::string_view name) { return argument(name, TraceType::InterruptCause); }
constexpr TraceArgument tlb_array(std::string_view name) { return argument(name, TraceType::TlbArray); }
constexpr TraceArgument input_kind(std::string_view name) { return argument(name, TraceType::InputKind); }
constexpr TraceArgument tracepoint_id(std::string_view name) { return argument(name, TraceType::TracepointId); }
constexpr TraceArgument fault_class(std::string_view name) { return argument(name, TraceType::FaultClass); }
constexpr TraceArgument frame_use(std::string_view name) { return argument(name, TraceType::FrameUse); }
// Two values in one argument: `low` in its lowest `width` bits, `high` in the rest up to bit 31.
constexpr TraceArgument packed(std::string_view name, u8 width, const TraceArgument& low, const TraceArgument& high) {
    return {name,
            {TraceField{low.name, low.type(), 0, width},
             TraceField{high.name, high.type(), width, static_cast<u8>(32 - width)}}};
}

} // namespace trace_words

} // namespace forkscope
