// Owns: a fork as a report's data (docs/fork-report.md), and the parts that several reports have in common.
// Callers: the fork's document and the comparison's. Promises: the keys that the docs name; nothing is shortened.
#pragma once

#include "emu/report/document.hpp"
#include "emu/report/fork_report.hpp"

namespace forkscope {

Object fork_data(const ForkRecord& fork, const ForkReportOptions& options);

Object counts_data(const ForkCounts& counts);
Object shadows_data(const ShadowCounts& counts);
Object causes_data(const RunTime& spent); // cycles by cause

} // namespace forkscope
