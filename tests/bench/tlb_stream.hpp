// Owns: what the guest asks of the TLB, recorded once, as the benchmark replays it.
// Callers: tlb_bench.cpp.
#pragma once

#include <string>
#include <vector>

#include "mmu/paging.hpp"

namespace forkscope::bench {

enum class Op : u8 { Read, Write, Fetch, Flush, Drop };

struct Record {
    u32 linear = 0;
    Op op = Op::Read;
    u8 user = 0;
    u16 size = 1;
};

// Of a run of the built-in guest from its start, without accesses that lie in two pages or are made without paging.
std::vector<Record> record_guest(const std::string& command_line);

} // namespace forkscope::bench
