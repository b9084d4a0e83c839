#include "emu/observe/forks/fork_profile.hpp"

namespace forkscope {

namespace {

// outl(), trace(), trace_stop() and their like.
bool only_writes_the_tracepoint(const std::string& function) {
    return function == "outl" || function.rfind("trace", 0) == 0;
}

} // namespace

std::string_view ForkProfile::functions_at(std::string_view stop) const {
    for (const ProfileStop& known : stops)
        if (known.number == stop)
            return known.original;
    return {};
}

Location stop_location(const ForkStop& stop, const Symbolizer& symbols) {
    std::vector<u32> addresses{stop.eip};
    for (const u32 caller : stop.callers)
        if (caller != 0)
            addresses.push_back(caller - 1); // a return address is the instruction after the call
    Location first;
    for (const u32 address : addresses) {
        for (Location& place : symbols.inline_chain(stop.program, address)) {
            if (!place.known())
                continue;
            if (!only_writes_the_tracepoint(place.symbol))
                return place;
            if (!first.known())
                first = std::move(place);
        }
    }
    return first;
}

} // namespace forkscope
