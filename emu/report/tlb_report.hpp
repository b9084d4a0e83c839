// Owns: the TLB's entries as text and as JSON.
// Callers: `--info tlb`. Promises: one line or row an entry, in the view's order.
#pragma once

#include <string>

#include "emu/observe/tables/tlb_view.hpp"
#include "emu/trace/trace_text.hpp"

namespace forkscope {

// `name` says what lies at a linear address, for the instruction that filled an entry.
std::string tlb_report_text(const TlbView& report, const AddressName& name);
std::string tlb_report_json(const TlbView& report, const AddressName& name);

} // namespace forkscope
