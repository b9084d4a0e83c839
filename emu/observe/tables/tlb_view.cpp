#include "emu/observe/tables/tlb_view.hpp"

#include <algorithm>
#include <tuple>

#include "emu/base/log.hpp"
#include "emu/observe/tables/page_table_view.hpp"

namespace forkscope {

namespace {

// What the page tables of the present space say of an entry: "" where the two agree. An accessed or dirty bit that the
// TLB does not have yet is no disagreement: hardware walks again before it matters.
std::string disagreement(const Mmu& mmu, TlbArray array, const TlbEntry& entry) {
    const Walk walk = mmu.paging().look(LinearAddress(entry.tag), Privilege::Supervisor, AccessKind::Read);
    if (!walk.ok)
        return "absent now";
    const u64 mask = kPteFrame & ~u64{mmu.tlb().page_mask(array)};
    if (((entry.entry ^ walk.physical.value) & mask) != 0)
        return fmt::format("frame {:05x} now", (walk.physical.value & mask) >> kPageShift);
    const u32 had = static_cast<u32>(entry.entry);
    if ((had & ~walk.rights & kPteUser) != 0)
        return "kernel-only now";
    if ((had & ~walk.rights & kPteWritable) != 0)
        return "read-only now";
    if (walk.no_execute != ((entry.entry & kPteNoExecute) != 0))
        return walk.no_execute ? "not to be executed now" : "may be executed now";
    if ((walk.rights & ~had & (kPteWritable | kPteUser)) != 0)
        return "more rights now";
    if ((had & kPteDirty) != 0 && !walk.dirty)
        return "D is clear now";
    return {};
}

} // namespace

TlbView tlb_view(const Mmu& mmu) {
    TlbView report;
    const Tlb& tlb = mmu.tlb();
    report.paging = mmu.control().paging();
    report.counts_hits = mmu.count_hits();
    for (u32 number = 0; number < Tlb::kArrays; ++number) {
        const auto array = static_cast<TlbArray>(number);
        report.places[number] = tlb.geometry(array).sets * tlb.geometry(array).ways;
        tlb.for_each_valid(array, [&](const TlbPlace& place) {
            TlbRow row{array, place.set, place.way, tlb.entry(place), tlb.plru(array, place.set), true, "yes"};
            ++report.valid[number];
            if (const std::string text = disagreement(mmu, array, row.entry); !text.empty()) {
                row.agrees = false;
                row.verdict = "no: " + text;
                ++report.stale;
            }
            report.rows.push_back(std::move(row));
        });
    }
    std::sort(report.rows.begin(), report.rows.end(), [](const TlbRow& a, const TlbRow& b) {
        return std::tie(a.agrees, a.array, a.set, a.way) < std::tie(b.agrees, b.array, b.set, b.way);
    });
    return report;
}

const char* tlb_array_name(TlbArray array) {
    constexpr std::array<const char*, Tlb::kArrays> kNames = {"D4K", "D4M", "I4K", "I4M"};
    return kNames[static_cast<std::size_t>(array)];
}

} // namespace forkscope
