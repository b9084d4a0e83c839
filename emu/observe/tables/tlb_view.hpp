// Owns: TlbView, the TLB as people read it: each entry with what filled it, its hits, and whether the page tables still
// say so. Callers: reports, window, terminal. Promises: looks only; entries that disagree come first, then by array,
// set and way.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "mmu/mmu.hpp"

namespace forkscope {

struct TlbRow {
    TlbArray array{};
    u32 set = 0, way = 0;
    TlbEntry entry;
    u32 plru = 0; // replacement state of its set
    bool agrees = true;
    std::string verdict; // "yes", or "no: " and what the page tables say instead
};

struct TlbView {
    bool paging = false;
    bool counts_hits = false; // TlbEntry::hits means something
    std::vector<TlbRow> rows;
    std::array<u32, Tlb::kArrays> valid{}, places{};
    u32 stale = 0;
};

TlbView tlb_view(const Mmu& mmu);

// "D4K", "D4M", "I4K", "I4M"; of a TLB for code and data the first.
const char* tlb_array_name(TlbArray array);

} // namespace forkscope
