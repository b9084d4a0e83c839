// Owns: disassembly of any place, forwards and backwards, for faces that scroll through code.
// Callers: DAP. Promises: looks only; as many lines as asked for: what is no code, or before a function, is said.
#pragma once

#include "emu/view/view.hpp"

namespace forkscope {

// `count` instructions from the one that lies `first` instructions behind `address` (before it, if negative). Backwards
// the function's start says where instructions begin; what lies before that has no bytes and "??" as its text.
std::vector<CodeLine> disassembly(const Observed& from, u32 address, i64 first, std::size_t count);

} // namespace forkscope
