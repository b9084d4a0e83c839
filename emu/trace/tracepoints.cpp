#include "emu/trace/tracepoints.hpp"

#include <algorithm>
#include <vector>

#include "emu/base/assert.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {

namespace {

namespace tracepoint_words {

using namespace trace_words;
inline constexpr ForkStopName no_stop{};
constexpr ForkStopName stop(std::string_view number, std::string_view name) { return {number, name}; }

template <std::size_t length> constexpr std::array<char, 24> lower(const char (&text)[length]) {
    static_assert(length <= 24);
    std::array<char, 24> letters{};
    for (std::size_t i = 0; i < length; ++i)
        letters[i] = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
    return letters;
}

constexpr TracepointInfo kTracepoints[] = {
#define TRACEPOINT(id, name, stop, arg0, arg1, arg2, text) {id, lower(#name), stop, {arg0, arg1, arg2}, text},
#include "guest/abi/tracepoints.def"
};

} // namespace tracepoint_words

using tracepoint_words::kTracepoints;

// Places in the table by id; every event is looked up.
constexpr std::size_t kIds = 256;
constexpr u8 kUnknown = 0xFF;
constexpr std::array<u8, kIds> kPlaces = [] {
    std::array<u8, kIds> places{};
    places.fill(kUnknown);
    u8 place = 0;
    for (const TracepointInfo& info : kTracepoints)
        places.at(info.id) = place++;
    return places;
}();
static_assert(std::size(kTracepoints) < kUnknown);

} // namespace

std::span<const TracepointInfo> tracepoints() { return kTracepoints; }

const TracepointInfo* tracepoint_info(u64 id) {
    return id < kIds && kPlaces[id] != kUnknown ? &kTracepoints[kPlaces[id]] : nullptr;
}

const TracepointInfo* tracepoint_named(std::string_view name) {
    const auto found = std::find_if(std::begin(kTracepoints), std::end(kTracepoints),
                                    [name](const TracepointInfo& info) { return info.name() == name; });
    return found != std::end(kTracepoints) ? &*found : nullptr;
}

const TracepointInfo* fork_stop_numbered(std::string_view number) {
    const auto found =
        std::find_if(std::begin(kTracepoints), std::end(kTracepoints), [number](const TracepointInfo& info) {
            return !info.stop.number.empty() && info.stop.number == number;
        });
    return found != std::end(kTracepoints) ? &*found : nullptr;
}

std::string fork_stop_numbers() {
    std::vector<std::string_view> numbers;
    for (const TracepointInfo& info : kTracepoints)
        if (!info.stop.number.empty())
            numbers.push_back(info.stop.number);
    std::sort(numbers.begin(), numbers.end());
    return fmt::format("{}", fmt::join(numbers, ", "));
}

std::string tracepoint_name(u64 id) {
    const TracepointInfo* info = tracepoint_info(id);
    return info != nullptr ? std::string(info->name()) : fmt::format("tracepoint_0x{:x}", id);
}

bool is_fork_stop(u64 id) {
    const TracepointInfo* info = tracepoint_info(id);
    return info != nullptr && !info->stop.number.empty() && id != TP_FAULT_ENTER;
}

ForkStopName fork_stop_name(u64 id) {
    return is_fork_stop(id) ? tracepoint_info(id)->stop : ForkStopName{"?", "unknown"};
}

u32 stated_directory(const TraceEvent& event) {
    if (const TracepointInfo* info = tracepoint_info(event.a); info != nullptr)
        for (std::size_t i = 0; i < info->arguments.size(); ++i)
            if (info->arguments[i].type() == TraceType::NewDirectory)
                return static_cast<u32>(event.argument(i + 1));
    return 0;
}

const char* frame_use_name(u64 use) {
    switch (use) {
#define FRAME_USE(value, name, text)                                                                                   \
    case value:                                                                                                        \
        return text;
#include "guest/abi/tracepoints.def"
    default:
        return "other";
    }
}

} // namespace forkscope
