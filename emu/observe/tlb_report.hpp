// Owns: the TLB as people read it: each entry with what filled it, its hits, and whether the page tables still say so.
// Callers: the program's `--info tlb`, as text and as JSON, and the window. Promises: looks only; entries that disagree
// come first, then by side, set and way.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "mmu/mmu.hpp"

namespace forkscope {

struct TlbRow {
    TlbSide side{};
    u32 set = 0, way = 0;
    TlbEntry entry;
    u32 plru = 0; // replacement state of its set
    bool agrees = true;
    std::string verdict; // "yes", or "no: " and what the page tables say instead
};

struct TlbReport {
    bool paging = false;
    bool counts_hits = false; // TlbEntry::hits means something
    std::vector<TlbRow> rows;
    std::array<u32, Tlb::kSides> valid{}, places{};
    u32 stale = 0;
};

TlbReport tlb_report(const Mmu& mmu);

// "D4K", "D4M", "I4K", "I4M"; of a TLB for code and data the first.
const char* tlb_side_name(TlbSide side);
// `name` says what lies at a linear address, for the instruction that filled an entry.
using AddressName = std::function<std::string(u32)>;
std::string tlb_report_text(const TlbReport& report, const AddressName& name);
std::string tlb_report_json(const TlbReport& report, const AddressName& name);

} // namespace forkscope
