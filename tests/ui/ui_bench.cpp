#include "tests/ui/ui_bench.hpp"

#include "guest/abi/tracepoints.h"

namespace forkscope {

void UiBench::on_event(const TraceEvent& event) {
    if (event.kind == TraceKind::Tracepoint && event.a == TP_WORKLOAD_BEGIN)
        workload_ = true;
    if (predicate_ && !met_ && predicate_(event)) {
        met_ = true;
        machine().request_stop();
    }
}

} // namespace forkscope
