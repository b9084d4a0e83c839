// What the duel holds against the reference after every access, and what it says where they differ.
#include "duel.hpp"

namespace forkscope {

namespace {

bool agrees(const TlbEntry& is, const reference::Entry& expected, u32 page_shift) {
    if (!expected.valid)
        return is.entry == 0;
    const u64 word = expected.frame << 12 | kPtePresent | kPteAccessed | (expected.writable ? u32{kPteWritable} : 0) |
                     (expected.user ? u32{kPteUser} : 0) | (expected.dirty ? u32{kPteDirty} : 0) |
                     (expected.large ? u32{kPteLarge} : 0) | (expected.global ? u32{kPteGlobal} : 0) |
                     (expected.no_execute ? kPteNoExecute : 0);
    return is.entry == word && is.tag == expected.page << page_shift;
}

reference::Array& array_of(reference::ReferenceMmu& mmu, TlbArray array) {
    return array == TlbArray::Data4K          ? mmu.data
           : array == TlbArray::Data4M        ? mmu.large
           : array == TlbArray::Instruction4K ? mmu.code
                                              : mmu.large_code;
}

constexpr TlbArray kArrays[] = {TlbArray::Data4K, TlbArray::Data4M, TlbArray::Instruction4K, TlbArray::Instruction4M};

} // namespace

void Duel::disagree(const std::string& what) {
    if (mismatch_.empty())
        mismatch_ = fmt::format("{}, after {} accesses: {}", reference_.processor.name, accesses_, what);
}

void Duel::compare_set(TlbArray array, u32 set) {
    const reference::Set& expected = array_of(reference_, array).set_of(set);
    for (u32 way = 0; way < expected.way.size(); ++way) {
        const TlbEntry& is = mmu_.tlb().entry(array, set, way);
        if (!agrees(is, expected.way[way], mmu_.tlb().page_shift(array)))
            disagree(
                fmt::format("TLB array {} set {} way {}: tag {:#x} entry {:#x}, expected {} page {:#x} frame {:#x}",
                            static_cast<u32>(array), set, way, is.tag, is.entry, expected.way[way].valid,
                            expected.way[way].page, expected.way[way].frame));
    }
    const u32 bits = (expected.b0 ? 1 : 0) | (expected.b1 ? 2 : 0) | (expected.b2 ? 4 : 0) | expected.next;
    if (mmu_.tlb().plru(array, set) != bits)
        disagree(fmt::format("TLB array {} set {}: replacement bits {}, expected {}", static_cast<u32>(array), set,
                             mmu_.tlb().plru(array, set), bits));
}

void Duel::compare_sets_of(u32 linear) {
    for (const TlbArray array : kArrays)
        if (mmu_.tlb().has(array))
            compare_set(array, mmu_.tlb().set_of(array, linear));
}

void Duel::compare_everything() {
    for (const TlbArray array : kArrays) {
        reference::Array& other = array_of(reference_, array);
        u32 valid = 0, expected = 0;
        mmu_.tlb().for_each_valid(array, [&](const TlbPlace&) { ++valid; });
        other.for_each([&](reference::Set& set) {
            for (const reference::Entry& entry : set.way)
                expected += entry.valid;
        });
        if (valid != expected)
            disagree(
                fmt::format("TLB array {} holds {} entries, expected {}", static_cast<u32>(array), valid, expected));
        for (u32 set = 0; set < other.sets.size(); ++set)
            compare_set(array, set);
        for (const auto& [page, set] : other.unlimited)
            compare_set(array, page & (mmu_.tlb().geometry(array).sets - 1));
    }
}

void Duel::compare_memory() {
    if (std::memcmp(memory_.host(PhysicalAddress(0)), reference_.memory.data(), reference_.memory.size()) != 0)
        disagree("memory as a whole");
}

} // namespace forkscope
