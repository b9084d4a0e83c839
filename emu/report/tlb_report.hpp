// Owns: the TLB's entries as a Document.
// Callers: `--info tlb`. Promises: a row an entry, in the view's order.
#pragma once

#include "emu/observe/tables/tlb_view.hpp"
#include "emu/report/document.hpp"
#include "emu/trace/trace_text.hpp"

namespace forkscope {

// `name` says what lies at a linear address, for the instruction that filled an entry.
Document tlb_document(const TlbView& tlb, const AddressName& name);

} // namespace forkscope
