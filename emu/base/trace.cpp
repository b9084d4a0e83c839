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
    const Moment now = source_ != nullptr ? source_->moment() : Moment{};
    sink_->on_event({now.instructions, now.cycle, now.eip, now.address_space, kind, now.cpl, now.cpu, a, b, c, d});
}

} // namespace forkscope
