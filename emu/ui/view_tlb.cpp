#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/ui/view.hpp"

namespace forkscope::ui {

namespace {

// What the page table of the present space says of an entry: "" where the two agree. An accessed or dirty bit that the
// TLB does not have yet is no disagreement: hardware walks again before it matters.
std::string disagreement(const Machine& machine, TlbSide side, const TlbEntry& entry) {
    const Mmu& mmu = machine.mmu();
    const Walk walk =
        mmu.peek_walk_in(machine.registers().cr3, LinearAddress(entry.tag), Privilege::Supervisor, AccessKind::Read);
    if (!walk.ok)
        return "absent now";
    const u64 mask = kPteFrame & ~u64{mmu.tlb().page_mask(side)};
    const u64 walked = walk.physical.value & mask;
    if ((entry.entry & mask) != walked)
        return fmt::format("frame {:05x} now", walked >> kPageShift);
    const u32 lost = static_cast<u32>(entry.entry) & ~walk.rights;
    if ((lost & kPteUser) != 0)
        return "kernel-only now";
    if ((lost & kPteWritable) != 0)
        return "read-only now";
    const u32 gained = walk.rights & ~static_cast<u32>(entry.entry);
    if ((gained & (kPteWritable | kPteUser)) != 0)
        return "more rights now";
    if ((entry.entry & kPteDirty) != 0 && !walk.dirty)
        return "D is clear now";
    return {};
}

} // namespace

TlbView observe_tlb(const Machine& machine) {
    TlbView view;
    const Tlb& tlb = machine.mmu().tlb();
    view.paging = machine.mmu().control().paging();
    for (u32 number = 0; number < Tlb::kSides; ++number) {
        const auto side = static_cast<TlbSide>(number);
        const TlbGeometry& geometry = tlb.geometry(side);
        view.places[number] = geometry.sets * geometry.ways;
        tlb.for_each_valid(side, [&](const TlbPlace& place) {
            const TlbEntry& entry = tlb.entry(place);
            ++view.valid[number];
            TlbRow row{side, place.set, place.way, entry, tlb.plru(side, place.set), true, "yes"};
            if (const std::string text = disagreement(machine, side, entry); !text.empty()) {
                row.agrees = false;
                row.verdict = "no: " + text;
                ++view.stale;
            }
            view.rows.push_back(std::move(row));
        });
    }
    std::stable_partition(view.rows.begin(), view.rows.end(), [](const TlbRow& row) { return !row.agrees; });
    return view;
}

} // namespace forkscope::ui
