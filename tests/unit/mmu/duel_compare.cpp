// What the duel holds against the reference after every access, and what it says where they differ.
#include "duel.hpp"

namespace forkscope {

namespace {

bool agrees(const TlbEntry& is, const reference::Entry& expected, u32 page_shift) {
    if (!expected.valid)
        return is.entry == 0;
    const u64 word = u64{expected.frame} << 12 | kPtePresent | kPteAccessed |
                     (expected.writable ? u32{kPteWritable} : 0) | (expected.user ? u32{kPteUser} : 0) |
                     (expected.dirty ? u32{kPteDirty} : 0) | (expected.large ? u32{kPteLarge} : 0) |
                     (expected.global ? u32{kPteGlobal} : 0);
    return is.entry == word && is.tag == expected.page << page_shift;
}

} // namespace

void Duel::disagree(const std::string& what) {
    if (mismatch_.empty())
        mismatch_ = fmt::format("after {} accesses: {}", accesses_, what);
}

void Duel::compare_set(TlbSide side, u32 set) {
    const reference::Set& expected = side == TlbSide::Data4K   ? reference_.data[set]
                                     : side == TlbSide::Data4M ? reference_.large[set]
                                                               : reference_.code[set];
    const u32 shift = side == TlbSide::Data4M ? 22 : 12;
    for (u32 way = 0; way < 4; ++way) {
        const TlbEntry& is = mmu_.tlb().entry(side, set, way);
        if (!agrees(is, expected.way[way], shift))
            disagree(fmt::format("TLB side {} set {} way {}: tag {:#x} entry {:#x}, expected {} page {:#x} frame {:#x}",
                                 static_cast<u32>(side), set, way, is.tag, is.entry, expected.way[way].valid,
                                 expected.way[way].page, expected.way[way].frame));
    }
    const u8 bits = static_cast<u8>(expected.b0 | expected.b1 << 1 | expected.b2 << 2);
    if (mmu_.tlb().plru(side, set) != bits)
        disagree(fmt::format("TLB side {} set {}: replacement bits {}, expected {}", static_cast<u32>(side), set,
                             mmu_.tlb().plru(side, set), bits));
}

void Duel::compare_sets_of(u32 linear) {
    compare_set(TlbSide::Data4K, linear >> 12 & 15);
    compare_set(TlbSide::Data4M, linear >> 22 & 1);
    compare_set(TlbSide::Instruction, linear >> 12 & 7);
}

void Duel::compare_everything() {
    for (u32 set = 0; set < 16; ++set)
        compare_set(TlbSide::Data4K, set);
    for (u32 set = 0; set < 2; ++set)
        compare_set(TlbSide::Data4M, set);
    for (u32 set = 0; set < 8; ++set)
        compare_set(TlbSide::Instruction, set);
}

void Duel::compare_memory() {
    if (std::memcmp(memory_.host(PhysicalAddress(0)), reference_.memory.data(), reference_.memory.size()) != 0)
        disagree("memory as a whole");
}

} // namespace forkscope
