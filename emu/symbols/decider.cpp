#include "emu/symbols/decider.hpp"

namespace forkscope {

std::optional<Location> decider_of(const Symbolizer& symbols, u32 address_space, u32 eip,
                                   std::span<const u32> callers) {
    const Location wrote = symbols.lookup(address_space, eip);
    for (const u32 caller : callers) {
        // A return address is the instruction after the call.
        Location location = caller != 0 ? symbols.lookup(address_space, caller - 1) : Location{};
        if (location.known() && location.file != wrote.file)
            return location;
    }
    return std::nullopt;
}

std::string function_and_line(const Location& location) {
    const std::string source = location.source();
    return (location.inlined.empty() ? location.symbol : location.inlined) +
           (source.empty() ? "" : " (" + source + ")");
}

} // namespace forkscope
