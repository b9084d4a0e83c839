// Owns: host code beside the guest's as a Document.
// Callers: `--info code:ADDRESS`. Promises: a row a host instruction; where nothing was translated it says why that may
// be.
#pragma once

#include "emu/machine/machine.hpp"
#include "emu/report/document.hpp"
#include "emu/trace/trace_text.hpp"

namespace forkscope {

Document host_code_document(Machine& machine, u32 address, const AddressName& name);

} // namespace forkscope
