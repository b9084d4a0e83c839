#include "emu/report/fork_json.hpp"

namespace forkscope {

void write_counts(JsonWriter& json, const char* key, const ForkCounts& counts) {
    json.begin_object(key)
        .number("ptes_written", counts.pte_writes)
        .number("ptes_write_protected", counts.pte_protects)
        .number("ptes_found", counts.pte_found)
        .number("frames_allocated", counts.frames_allocated)
        .number("frames_freed", counts.frames_freed)
        .number("frames_shared", counts.frames_shared)
        .number("frames_released", counts.frames_released)
        .number("frames_copied", counts.frames_copied)
        .number("flushes", counts.flushes)
        .number("translations_dropped", counts.entries_dropped)
        .number("cr3_loads", counts.cr3_loads)
        .number("address_space_switches", counts.space_switches)
        .number("privilege_switches", counts.privilege_switches)
        .number("system_calls", counts.system_calls)
        .number("messages", counts.messages)
        .number("tracepoints", counts.tracepoints)
        .number("kernel_objects_allocated", counts.heap_objects)
        .number("kernel_bytes_allocated", counts.heap_bytes)
        .number("kernel_bytes_freed", counts.heap_bytes_freed)
        .end_object();
}

void write_shadows(JsonWriter& json, const char* key, const ShadowCounts& counts) {
    json.begin_object(key)
        .number("created", counts.created)
        .number("collapsed", counts.collapsed)
        .number("bypassed", counts.bypassed)
        .number("longest_chain", counts.longest_chain)
        .end_object();
}

void write_causes(JsonWriter& json, const RunTime& spent) {
    json.begin_object("cycles_by_cause");
    for (std::size_t cause = 0; cause < spent.by_cause.size(); ++cause)
        json.number(cycle_cause_name(static_cast<CycleCause>(cause)), spent.by_cause[cause]);
    json.end_object();
}

} // namespace forkscope
