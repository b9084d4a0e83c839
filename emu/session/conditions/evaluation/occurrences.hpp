// Owns: which events the parts of a condition stand for.
// Callers: StopConditions while a machine runs, the query of traces afterwards. Promises: decided by the event, by what
// the events before have told, and by the values of the part's arguments; nothing is touched.
#pragma once

#include <functional>
#include <optional>

#include "emu/base/archive.hpp"
#include "emu/base/trace.hpp"
#include "emu/session/conditions/expression.hpp"
#include "mmu/paging.hpp"

namespace forkscope {

// What the events have told so far.
struct Told {
    bool guest_speaks = false; // by tracepoints
    bool users_run = false;
    bool panicked = false;
    u64 last_table_write = 0;

    // True for the first write to a page table after a while without any, where programs run and the guest states
    // nothing: so a stop of fork begins there.
    bool hear(const TraceEvent& event);
    void serialize(Archive& ar);
};

// What a part's argument is worth now; nothing: not known.
using ArgumentValue = std::function<std::optional<u64>(u32 node)>;

struct Circumstances {
    const PagingControl& control;
    bool burst = false; // as Told::hear() says
    const ArgumentValue& argument;
};
bool stands_for(const Node& node, const TraceEvent& event, const Circumstances& now);
// Whether the address lies in the page of the part's argument; without one any does.
bool page_counts(const Node& node, u64 address, u64 page_bytes, const ArgumentValue& argument);

constexpr bool is_one_of(TraceKind kind, TraceKinds kinds) { return (kinds >> static_cast<u8>(kind) & 1) != 0; }

} // namespace forkscope
