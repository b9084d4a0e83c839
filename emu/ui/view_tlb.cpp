#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/ui/view.hpp"

namespace forkscope::ui {

namespace {

constexpr std::array<TlbSide, 3> kSides = {TlbSide::Data4K, TlbSide::Data4M, TlbSide::Instruction};

// What the page table of the present space says of an entry: "" where the two agree. An accessed or dirty bit that the
// TLB does not have yet is no disagreement: hardware walks again before it matters.
std::string disagreement(const Machine& machine, TlbSide side, const TlbEntry& entry) {
    const Mmu& mmu = machine.mmu();
    const Walk walk =
        mmu.peek_walk_in(machine.registers().cr3, LinearAddress(entry.tag), Privilege::Supervisor, AccessKind::Read);
    if (!walk.ok)
        return "absent now";
    const u32 mask = side == TlbSide::Data4M ? 0xFFC00000u : ~kPageMask;
    const u32 frame = entry.entry & mask;
    const u32 walked = static_cast<u32>(walk.physical.value) & mask;
    if (frame != walked)
        return fmt::format("frame {:05x} now", walked >> kPageShift);
    const u32 lost = entry.entry & ~walk.rights;
    if ((lost & kPteUser) != 0)
        return "kernel-only now";
    if ((lost & kPteWritable) != 0)
        return "read-only now";
    const u32 gained = walk.rights & ~entry.entry;
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
    for (const TlbSide side : kSides) {
        const TlbGeometry& geometry = tlb.geometry(side);
        const auto number = static_cast<std::size_t>(side);
        view.places[number] = u32{geometry.sets} * geometry.ways;
        for (u32 set = 0; set < geometry.sets; ++set) {
            for (u32 way = 0; way < geometry.ways; ++way) {
                const TlbEntry& entry = tlb.entry(side, set, way);
                if (!entry.valid())
                    continue;
                ++view.valid[number];
                TlbRow row{side, set, way, entry, tlb.plru(side, set), true, "yes"};
                if (const std::string text = disagreement(machine, side, entry); !text.empty()) {
                    row.agrees = false;
                    row.verdict = "no: " + text;
                    ++view.stale;
                }
                view.rows.push_back(std::move(row));
            }
        }
    }
    std::stable_partition(view.rows.begin(), view.rows.end(), [](const TlbRow& row) { return !row.agrees; });
    return view;
}

} // namespace forkscope::ui
