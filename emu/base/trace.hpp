// Owns: TraceEvent, the one-way stream of what happened, and Tracer, the simulated side's end of it.
// Callers: mmu, cpu, devices and machine emit; observe listens. Promises: with no sink attached nothing is computed;
// no part of the simulated side ever reads an event back.
#pragma once

#include <array>
#include <initializer_list>
#include <string_view>

#include "emu/base/trace_argument.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

enum class TraceKind : u8 {
#define TRACE_KIND(id, name, a, b, c, d, text) id,
#include "emu/base/trace_kinds.def"
#undef TRACE_KIND
    Count
};

struct TraceKindInfo {
    std::string_view name; // everywhere; Linux's where Linux has one
    std::array<TraceArgument, 4> arguments;
    std::string_view text;
};
const TraceKindInfo& trace_kind_info(TraceKind kind);

// Where the simulation stands: exact at any slow path, also in the middle of a block.
struct Moment {
    u64 instructions = 0; // retired since power-on
    Cycles cycle = 0;
    u32 eip = 0;           // linear address (cs.base + eip) of the instruction being executed
    u32 address_space = 0; // cr3's page-directory base
    u8 cpl = 0;
    u8 cpu = 0;
};

struct TraceEvent {
    u64 instructions = 0;
    Cycles cycle = 0;
    u32 eip = 0;
    u32 address_space = 0;
    TraceKind kind{};
    u8 cpl = 0;
    u8 cpu = 0;
    u64 a = 0, b = 0, c = 0, d = 0;

    constexpr u64 argument(std::size_t number) const { return number == 0 ? a : number == 1 ? b : number == 2 ? c : d; }
};

// A value of one kind's events, by the name that trace_kinds.def gives it. Found when the program is compiled.
struct TraceValue {
    std::size_t argument = 0;
    TraceField field;

    constexpr u64 operator()(const TraceEvent& event) const { return field.of(event.argument(argument)); }
};
consteval TraceValue trace_value(TraceKind kind, std::string_view name);

// A set of kinds, bit n = kind n.
using TraceKinds = u64;
inline constexpr TraceKinds kAllTraceKinds = ~TraceKinds{0};
constexpr TraceKinds trace_kinds(std::initializer_list<TraceKind> kinds) {
    TraceKinds set = 0;
    for (const TraceKind kind : kinds)
        set |= TraceKinds{1} << static_cast<u8>(kind);
    return set;
}
// Translations come and go by the million: a sink that does not need each one leaves these out.
inline constexpr TraceKinds kTranslationKinds = trace_kinds({TraceKind::TlbFill, TraceKind::TlbEvict});

class TraceSink {
  public:
    virtual ~TraceSink() = default;
    // The events it wants. Asked when the sink is attached.
    virtual TraceKinds kinds() const { return kAllTraceKinds; }
    // Those of them at which it looks at the processor's registers and flags. At the others these may not be in place:
    // an engine keeps them elsewhere. Asked together with kinds().
    virtual TraceKinds looks_at() const { return kinds(); }
    // Called synchronously, in order, at the moment of the event. Must not touch the simulated side.
    virtual void on_event(const TraceEvent& event) = 0;
};

// The part of a moment that a TLB entry keeps of its fill.
struct TracePlace {
    u32 eip = 0;
    Cycles cycle = 0;
};

// The source of the exact time: the Cpu.
class MomentSource {
  public:
    virtual ~MomentSource() = default;
    virtual Moment moment() const = 0;
    virtual TracePlace place() const {
        const Moment now = moment();
        return {now.eip, now.cycle};
    }
};

class Tracer {
  public:
    void set_moment_source(const MomentSource* source) { source_ = source; }
    void set_sink(TraceSink* sink) {
        sink_ = sink;
        kinds_ = sink != nullptr ? sink->kinds() : 0;
        looked_at_ = sink != nullptr ? sink->looks_at() : 0;
    }
    TraceSink* sink() const { return sink_; }
    // For bookkeeping that is shown but never read by the simulated side, such as which instruction filled a TLB entry.
    TracePlace place() const { return source_ != nullptr ? source_->place() : TracePlace{}; }
    Moment now() const { return source_ != nullptr ? source_->moment() : Moment{}; }
    bool wants(TraceKind kind) const { return ((kinds_ >> static_cast<u8>(kind)) & 1) != 0; }
    // Whether somebody looks at registers at events of one of these kinds.
    bool looks_at(TraceKinds kinds) const { return (looked_at_ & kinds) != 0; }

    void emit(TraceKind kind, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0) {
        if (wants(kind)) [[unlikely]]
            deliver(kind, a, b, c, d);
    }

  private:
    void deliver(TraceKind kind, u64 a, u64 b, u64 c, u64 d);

    const MomentSource* source_ = nullptr;
    TraceSink* sink_ = nullptr;
    TraceKinds kinds_ = 0;
    TraceKinds looked_at_ = 0;
};

namespace trace_words {

inline constexpr TraceKindInfo kKinds[] = {
#define TRACE_KIND(id, name, a, b, c, d, text) {name, {a, b, c, d}, text},
#include "emu/base/trace_kinds.def"
#undef TRACE_KIND
};

} // namespace trace_words

consteval TraceValue trace_value(TraceKind kind, std::string_view name) {
    const TraceKindInfo& info = trace_words::kKinds[static_cast<std::size_t>(kind)];
    for (std::size_t argument = 0; argument < info.arguments.size(); ++argument)
        for (const TraceField& field : info.arguments[argument].fields)
            if (field.type != TraceType::Unused && field.name == name)
                return {argument, field};
    throw "the kind has no value of this name"; // reached by the compiler alone, which refuses it
}

} // namespace forkscope
