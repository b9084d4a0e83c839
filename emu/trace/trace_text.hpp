// Owns: traces as text: one line an event, what a file is (info), its events (dump), its figures (stat).
// Callers: `forkscope trace info|dump|stat`, assert dumps, tests. Promises: the lines' form is stable, for it is
// compared by people's scripts.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/trace.hpp"
#include "emu/trace/trace_file.hpp"

namespace forkscope {

// "instructions cycle eip cr3 cpl kind name=value …", names and forms by the types of trace_kinds.def and, for a
// guest's tracepoint, of guest/abi/tracepoints.def.
std::string trace_event_line(const TraceEvent& event);
std::string flush_reason_name(u64 reason);
// The kind with this name, without regard to case.
std::optional<TraceKind> trace_kind_named(std::string_view name);

struct TraceDumpOptions {
    std::vector<TraceKind> kinds = {}; // empty: all
    u64 first_instructions = 0;
    u64 last_instructions = ~u64{0};
    u64 limit = ~u64{0}; // lines
};

// Each prints through `print`, a part at a time; the Error is a damaged chunk, after everything readable was printed.
// What is at an address, as text; empty: unknown.
using AddressName = std::function<std::string(u32)>;
using TextOutput = std::function<void(std::string_view)>;
Result<void> trace_info(const TraceFileReader& trace, const TextOutput& print);
Result<void> trace_dump(const TraceFileReader& trace, const TraceDumpOptions& options, const TextOutput& print);
// Counts by kind, faults by class as far as the trace tells, the addresses with most events.
Result<void> trace_stat(const TraceFileReader& trace, const TextOutput& print, const AddressName& name_of = {});

} // namespace forkscope
