#include "tests/unit/cpu/engines/listener.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "emu/base/random.hpp"

namespace forkscope::test {

Listener::Wishes Listener::wishes_of(u64 seed) {
    // Engines differ in what code they keep.
    constexpr TraceKinds kAll = kAllTraceKinds & ~trace_kinds({TraceKind::CodeInvalidated});
    constexpr TraceKinds kOfWalks = trace_kinds({TraceKind::TlbFill, TraceKind::TlbEvict, TraceKind::AccessedDirty,
                                                 TraceKind::PteWrite, TraceKind::PageTableFrame});
    Random random(seed * 3 + 1);
    switch (random.below(5)) {
    case 0:
        return {};
    case 1:
        return {kAll, kAll};
    case 2:
        return {kAll, kAll & random.next() & random.next()};
    case 3:
        return {kAll, 0};
    default:
        return {kAll, kAll & ~kOfWalks};
    }
}

void Listener::on_event(const TraceEvent& event) {
    Heard heard{event, {}, 0};
    if ((wishes_.looks_at >> static_cast<u8>(event.kind) & 1) != 0) {
        const CpuState& r = cpu_.state();
        heard.flags = r.eflags();
        std::copy_n(r.gpr.begin(), heard.registers.size(), heard.registers.begin());
    }
    heard_.push_back(heard);
    ++count_;
    // By what all machines have in common.
    if (Random(event.instructions << 8 ^ event.a << 4 ^ static_cast<u64>(event.kind)).chance(24)) {
        cpu_.request_stop();
        asked_ = true;
    }
}

bool Listener::Heard::operator==(const Heard& other) const {
    const TraceEvent &x = event, &y = other.event;
    return x.kind == y.kind && x.instructions == y.instructions && x.cycle == y.cycle && x.eip == y.eip &&
           x.address_space == y.address_space && x.cpl == y.cpl && x.a == y.a && x.b == y.b && x.c == y.c &&
           x.d == y.d && registers == other.registers && flags == other.flags;
}

std::string Listener::Heard::text() const {
    std::string line = fmt::format("{} {:X} {:X} {:X} {:X} at {:08X}, {} cycles, {} instructions, eflags {:08X}:",
                                   trace_kind_info(event.kind).name, event.a, event.b, event.c, event.d, event.eip,
                                   event.cycle, event.instructions, flags);
    for (const u64 value : registers)
        line += fmt::format(" {:08X}", value);
    return line;
}

std::string Listener::difference(const Listener& own, const Listener& reference) {
    const auto& [mine, its] = std::pair{&own.heard_, &reference.heard_};
    const auto [first, second] = std::mismatch(mine->begin(), mine->end(), its->begin(), its->end());
    if (first == mine->end() && second == its->end())
        return {};
    return fmt::format("hears, as event {}:\n  {}\n  {}", first - mine->begin(),
                       first != mine->end() ? first->text() : "nothing",
                       second != its->end() ? second->text() : "nothing");
}

} // namespace forkscope::test
