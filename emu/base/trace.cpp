#include "emu/base/trace.hpp"

#include <span>

#include "emu/base/assert.hpp"
#include "emu/base/trace_vocabulary.hpp"

namespace forkscope {

const TraceKindInfo& trace_kind_info(TraceKind kind) {
    EMU_ASSERT(kind < TraceKind::Count, "trace kind {} does not exist", static_cast<int>(kind));
    return trace_words::kKinds[static_cast<std::size_t>(kind)];
}

std::string_view trace_value_name(TraceType type, u64 value) {
    constexpr std::string_view kFlushReasons[] = {"cr3",        "invlpg",      "cr0",   "cr4",
                                                  "page_fault", "task_switch", "reset", "test_register"};
    constexpr std::string_view kCauses[] = {"hardware", "software", "fault", "trap", "nmi", "sysenter"};
    constexpr std::string_view kSides[] = {"data_4k", "data_4m", "instruction_4k", "instruction_4m"};
    constexpr std::string_view kInputs[] = {"key", "serial_byte"};
    std::span<const std::string_view> names;
    if (type == TraceType::FlushReason)
        names = kFlushReasons;
    else if (type == TraceType::InterruptCause)
        names = kCauses;
    else if (type == TraceType::TlbArray)
        names = kSides;
    else if (type == TraceType::InputKind)
        names = kInputs;
    return value < names.size() ? names[value] : std::string_view();
}

void Tracer::deliver(TraceKind kind, u64 a, u64 b, u64 c, u64 d) {
    const Moment at = now();
    sink_->on_event({at.instructions, at.cycle, at.eip, at.address_space, kind, at.cpl, at.cpu, a, b, c, d});
}

} // namespace forkscope
