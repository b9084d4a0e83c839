#include "emu/base/trace.hpp"

#include "emu/base/assert.hpp"

namespace forkscope {

namespace {
constexpr TraceKindInfo kKinds[] = {
#define TRACE_KIND(name, linux_name, a, b, c, d, text) {#name, linux_name, a, b, c, d, text},
#include "emu/base/trace_kinds.def"
#undef TRACE_KIND
};
} // namespace

const TraceKindInfo& trace_kind_info(TraceKind kind) {
    EMU_ASSERT(kind < TraceKind::Count, "trace kind {} does not exist", static_cast<int>(kind));
    return kKinds[static_cast<int>(kind)];
}

void Tracer::deliver(TraceKind kind, u64 a, u64 b, u64 c, u64 d) {
    const Moment at = now();
    sink_->on_event({at.instructions, at.cycle, at.eip, at.address_space, kind, at.cpl, at.cpu, a, b, c, d});
}

} // namespace forkscope
