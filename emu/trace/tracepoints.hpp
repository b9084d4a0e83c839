// Owns: the guest's tracepoints as guest/abi/tracepoints.def has them: names, arguments, the stops of fork.
// Callers: observe, session, trace text, exports. Promises: the table is the file's; an id that it lacks is unknown,
// never an error, for a guest may write any.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "emu/base/trace.hpp"

namespace forkscope {

// A numbered place of fork. Empty: the tracepoint begins none.
struct ForkStopName {
    std::string_view number; // "2b"
    std::string_view name;   // "copy-on-write protection"
};

struct TracepointInfo {
    u32 id = 0;
    std::array<char, 24> letters{};
    ForkStopName stop;
    std::array<TraceArgument, 3> arguments;
    std::string_view text;

    constexpr std::string_view name() const { return letters.data(); } // "fork_enter"
};

// In the order of the file.
std::span<const TracepointInfo> tracepoints();
// nullptr: no such tracepoint.
const TracepointInfo* tracepoint_info(u64 id);
const TracepointInfo* tracepoint_named(std::string_view name);
// The tracepoint that begins the stop "0" to "5", "1b" or "2b"; or "F", the later fault.
const TracepointInfo* fork_stop_numbered(std::string_view number);
// A guest tracepoint's name in lower case, "fork_enter"; "tracepoint_0x99" where the id is unknown.
std::string tracepoint_name(u64 id);

// "0, 1, 1b, …", for messages.
std::string fork_stop_numbers();

// Whether a tracepoint begins a stop of fork itself, which a later fault is not.
bool is_fork_stop(u64 id);
// Its number and name; "?" and "unknown" for any other id.
ForkStopName fork_stop_name(u64 id);
// The page directory that a tracepoint names before CR3 held it, or 0. `event` is a Tracepoint.
u32 stated_directory(const TraceEvent& event);

// What a frame is for (FRAME_*): "user", "page table", …; "other".
const char* frame_use_name(u64 use);

} // namespace forkscope
