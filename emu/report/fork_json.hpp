// Owns: the JSON of what several reports have in common: counts, cycles by cause, shadow objects.
// Callers: fork_report_json.cpp, fork_comparison_json.cpp. Promises: the keys that docs/fork-report.md names.
#pragma once

#include "emu/observe/forks/fork_record.hpp"
#include "emu/report/json_writer.hpp"

namespace forkscope {

void write_counts(JsonWriter& json, const char* key, const ForkCounts& counts);
void write_shadows(JsonWriter& json, const char* key, const ShadowCounts& counts);
void write_causes(JsonWriter& json, const RunTime& spent);

} // namespace forkscope
