// PAE paging, NX and PSE-36 against the manual's rules for every combination of entry bits, privilege and access.
#include "fixture.hpp"

namespace forkscope {
namespace {

constexpr u32 kPointers = 0x1020; // four PDPTEs, 32 bytes, not at a page's start
constexpr u32 kFirstDirectory = 0x8000, kPaeTable = 0xC000;
constexpr u32 kPaeLinear = 0x40234123; // second directory, entry 1, table entry 34H
constexpr u32 kEntry = kFirstDirectory + kPageSize + 8, kLeaf = kPaeTable + 0x34 * 8;
constexpr u64 kHigh = u64{1} << 35;

class PaeTest : public MmuTest {
  protected:
    PaeTest() { mmu.set_paging_features({true, true, 36}); }

    void put64(u32 physical, u64 value) {
        memory.write(PhysicalAddress(physical), {reinterpret_cast<const u8*>(&value), sizeof value});
    }
    u64 get64(u32 physical) const { return get(physical) | u64{get(physical + 4)} << 32; }
    void put_pointers() {
        for (u32 i = 0; i < 4; ++i)
            put64(kPointers + i * 8, (kFirstDirectory + i * kPageSize) | kPtePresent);
    }
    void start(u32 cr0 = kCr0Wp, u32 efer = kEferNxe, u32 cr4 = kCr4Pae | kCr4Pge) {
        mmu.reset();
        mmu.write_efer(efer);
        mmu.write_cr4(0, cr4);
        mmu.write_cr3(kPointers, TlbFlushReason::Cr3);
        mmu.write_cr0(0, kCr0Pg | kCr0Pe | cr0);
        recorder.events.clear();
    }
    bool access(AccessKind kind, Privilege privilege, u32 linear = kPaeLinear) {
        const LinearAddress at(linear);
        return kind == AccessKind::Fetch  ? mmu.fetch(at, privilege).ok
               : kind == AccessKind::Read ? mmu.load<u8>(at, privilege).ok
                                          : mmu.store<u8>(at, 7, privilege).ok;
    }
};

struct Expected {
    bool ok = false;
    u32 error_code = 0;
    u64 directory_after = 0, table_after = 0;
};

// SDM 3A 4.4.2, 4.6 and 4.7, said as the manual says them.
Expected by_the_manual(u64 pde, u64 pte, bool wp, bool nxe, Privilege privilege, AccessKind kind) {
    Expected e{false, 0, pde, pte};
    const bool write = kind == AccessKind::Write, user = privilege == Privilege::User,
               fetch = kind == AccessKind::Fetch;
    e.error_code = (write ? 2u : 0) + (user ? 4u : 0) + (fetch && nxe ? 16u : 0);
    const u64 xd = u64{1} << 63, above = 0x7FFFFFF000000000;
    const u64 always_reserved = above | (nxe ? 0 : xd);
    if ((pde & 1) == 0)
        return e;
    const bool two_megabytes = (pde & 0x80) != 0;
    if ((pde & (always_reserved | (two_megabytes ? 0x1FE000 : 0))) != 0) {
        e.error_code += 1 + 8;
        return e;
    }
    if (!two_megabytes) {
        if ((pte & 1) == 0)
            return e;
        if ((pte & always_reserved) != 0) {
            e.error_code += 1 + 8;
            return e;
        }
    }
    const u64 both = two_megabytes ? pde : pde & pte;
    const bool executable = ((two_megabytes ? pde : pde | pte) & xd) == 0;
    const bool denied =
        (user && (both & 4) == 0) || (write && (both & 2) == 0 && (user || wp)) || (fetch && !executable);
    if (denied) {
        e.error_code += 1;
        return e;
    }
    e.ok = true;
    e.error_code = 0;
    e.directory_after |= 0x20;
    (two_megabytes ? e.directory_after : e.table_after) |= write ? 0x60 : 0x20;
    return e;
}

TEST_F(PaeTest, FollowsTheManualForEveryCombinationOfBits) {
    constexpr u64 kPdeBits[] = {kPtePresent, kPteWritable, kPteUser, kPteLarge, kPteNoExecute, u64{1} << 36, 0x2000};
    constexpr u64 kPteBits[] = {kPtePresent, kPteWritable, kPteUser, kPteDirty, kPteNoExecute, u64{1} << 62};
    put_pointers();
    u32 succeeded = 0, checked = 0;
    for (u32 bits = 0; bits < 1u << 13; ++bits) {
        u64 pde = (bits >> 3 & 1) != 0 ? 0x200000 : kPaeTable, pte = 0x5000;
        for (u32 i = 0; i < 7; ++i)
            pde |= (bits >> i & 1) != 0 ? kPdeBits[i] : 0;
        for (u32 i = 0; i < 6; ++i)
            pte |= (bits >> (7 + i) & 1) != 0 ? kPteBits[i] : 0;
        if ((bits >> 6 & 1) != 0 && (bits >> 3 & 1) == 0)
            continue; // bit 13 is part of a table's address
        for (u32 mode = 0; mode < 24; ++mode) {
            const bool wp = (mode & 1) != 0, nxe = (mode & 2) != 0;
            const auto privilege = static_cast<Privilege>(mode / 4 % 2);
            const auto kind = static_cast<AccessKind>(mode / 8);
            SCOPED_TRACE(fmt::format("pde {:#x} pte {:#x} mode {}", pde, pte, mode));
            put64(kEntry, pde);
            put64(kLeaf, pte);
            start(wp ? u32{kCr0Wp} : 0, nxe ? kEferNxe : 0);
            const Expected expected = by_the_manual(pde, pte, wp, nxe, privilege, kind);
            const Walk look = mmu.paging().look(LinearAddress(kPaeLinear), privilege, kind);
            ASSERT_EQ(look.ok, expected.ok);
            ASSERT_EQ(get64(kEntry), pde) << "a look changed memory";
            ASSERT_EQ(access(kind, privilege), expected.ok);
            ASSERT_EQ(look.error_code, expected.error_code);
            if (!expected.ok) {
                ASSERT_EQ(mmu.fault().error_code, expected.error_code);
            }
            ASSERT_EQ(get64(kEntry), expected.directory_after);
            ASSERT_EQ(get64(kLeaf), expected.table_after);
            succeeded += expected.ok;
            ++checked;
        }
    }
    EXPECT_EQ(checked, 24u * (1u << 13) * 3 / 4);
    EXPECT_GT(succeeded, checked / 100);
}

TEST_F(PaeTest, TranslatesSmallAndLargePages) {
    put_pointers();
    put64(kEntry, kPaeTable | kRwUser);
    put64(kLeaf, 0x5000 | kRwUser);
    put(0x5120, 0x12345678);
    start();
    EXPECT_EQ(mmu.load<u32>(LinearAddress(kPaeLinear - 3), kUser).value, 0x12345678u);
    put64(kEntry, 0x200000 | kRwUser | kPteLarge);
    mmu.invalidate_page(LinearAddress(kPaeLinear));
    put(0x234120, 0xCAFEF00D);
    EXPECT_EQ(mmu.load<u32>(LinearAddress(kPaeLinear - 3), kUser).value, 0xCAFEF00Du);
    EXPECT_EQ(mmu.tlb().entry(mmu.tlb().find(AccessKind::Read, kPaeLinear)).tag, 0x40200000u);
}

TEST_F(PaeTest, ReadsFramesBeyondMemoryAsAnOpenBus) {
    put_pointers();
    put64(kEntry, kPaeTable | kRwUser);
    put64(kLeaf, kHigh | 0x5000 | kRwUser); // its low 32 bits would be RAM
    put(0x5120, 0x12345678);
    start();
    EXPECT_EQ(mmu.load<u32>(LinearAddress(kPaeLinear - 3), kUser).value, 0xFFFFFFFFu);
    EXPECT_TRUE(mmu.store<u32>(LinearAddress(kPaeLinear - 3), 1, kUser).ok);
    EXPECT_EQ(get(0x5120), 0x12345678u);
    EXPECT_EQ(mmu.fetch(LinearAddress(kPaeLinear), kUser).value.value, kHigh | 0x5123);
}

TEST_F(PaeTest, LooksAtThePdptesOnlyWhenTheyAreLoaded) {
    put_pointers();
    put64(kEntry, kPaeTable | kRwUser);
    put64(kLeaf, 0x5000 | kRwUser);
    start();
    put64(kPointers + 8, 0);
    EXPECT_TRUE(access(AccessKind::Read, kUser)) << "the register still holds the old entry";
    mmu.write_cr4(mmu.control().cr4, mmu.control().cr4 ^ kCr4Pge);
    EXPECT_FALSE(access(AccessKind::Read, kUser)) << "a change of PGE loads the registers";
    EXPECT_EQ(mmu.fault().error_code, u32{kFaultUser});
    put_pointers();
    EXPECT_FALSE(access(AccessKind::Read, kUser));
    mmu.write_cr3(kPointers, TlbFlushReason::Cr3);
    EXPECT_TRUE(access(AccessKind::Read, kUser));
}

TEST_F(PaeTest, RefusesPdptesWithReservedBits) {
    put_pointers();
    start();
    for (const u64 bit : {u64{2}, u64{4}, u64{0x20}, u64{0x100}, u64{1} << 36, kPteNoExecute}) {
        put64(kPointers + 24, 0x9000 | kPtePresent | bit);
        EXPECT_FALSE(mmu.paging().accepts_cr3(kPointers)) << std::hex << bit;
        EXPECT_FALSE(mmu.paging().accepts_cr4(mmu.control().cr4 ^ kCr4Pge));
        EXPECT_TRUE(mmu.paging().accepts_cr4(mmu.control().cr4 | kCr4OsFxsr)) << "that loads nothing";
        EXPECT_FALSE(mmu.paging().accepts_cr0(mmu.control().cr0 ^ kCr0Cd));
        EXPECT_TRUE(mmu.paging().accepts_cr0(mmu.control().cr0 ^ kCr0Ts));
        put64(kPointers + 24, bit & ~u64{kPtePresent});
        EXPECT_TRUE(mmu.paging().accepts_cr3(kPointers)) << "nothing of an absent entry is checked";
    }
    for (const u64 bit : {u64{8}, u64{0x10}, u64{0x200}, kHigh}) {
        put64(kPointers + 24, 0x9000 | kPtePresent | bit);
        EXPECT_TRUE(mmu.paging().accepts_cr3(kPointers)) << std::hex << bit;
    }
}

TEST_F(PaeTest, TellsOfWholeEntriesWrittenAndMarksTheTables) {
    put_pointers();
    put64(kEntry, kPaeTable | kRwUser);
    put64(kLeaf, 0x5000 | kRwUser);
    put64(kFirstDirectory,
          0x00200000 | kRwSupervisor | kPteLarge);         // linear 0: not RAM's tables, but reaches nothing else
    put64(kFirstDirectory + 8, kPaeTable | kRwSupervisor); // and the table once more, at 2 MB
    put64(kPaeTable, kPaeTable | kRwSupervisor);           // which maps itself
    start();
    EXPECT_TRUE(access(AccessKind::Read, kUser));
    EXPECT_EQ(mmu.table_marks().levels(kFirstDirectory / kPageSize + 1), 2u);
    EXPECT_EQ(mmu.table_marks().levels(kPaeTable / kPageSize), 1u);
    EXPECT_TRUE(mmu.store<u32>(LinearAddress(0x200000 + 0x34 * 8 + 4), 0x80000000, kKernel).ok);
    const auto writes = recorder.of(TraceKind::PteWrite);
    ASSERT_EQ(writes.size(), 1u);
    EXPECT_EQ(writes[0].a, kLeaf);
    EXPECT_EQ(writes[0].b, 0x5000u | kRwUser | kPteAccessed);
    EXPECT_EQ(writes[0].c, kPteNoExecute | 0x5000 | kRwUser | kPteAccessed);
    EXPECT_EQ(mmu.paging().look_in(AddressSpace(0x3000), LinearAddress(kPaeLinear), kUser, AccessKind::Read).ok, false);
}

TEST_F(PaeTest, ReachesFramesAboveFourGigabytesThroughPse36) {
    const u64 features[] = {0, 1};
    for (const u64 pse36 : features) {
        mmu.set_paging_features({pse36 != 0, true, 36});
        for (u32 bit = 12; bit <= 21; ++bit) {
            put(kDirectory, kRwUser | kPteLarge | 1u << bit);
            mmu.reset();
            start_paging(0, kCr4Pse);
            const bool reserved = bit != 12 && (pse36 == 0 || bit > 16);
            const auto fetched = mmu.fetch(LinearAddress(0x1234), kUser);
            ASSERT_EQ(fetched.ok, !reserved) << "bit " << bit;
            if (reserved) {
                EXPECT_EQ(mmu.fault().error_code, u32{kFaultProtection | kFaultReserved | kFaultUser});
            } else {
                EXPECT_EQ(fetched.value.value, 0x1234u + (bit == 12 ? 0 : u64{1} << (bit + 19)));
            }
        }
    }
}

TEST_F(PaeTest, KeepsNoExecuteAsItWasWhenTheEntryWasLoaded) {
    put_pointers();
    put64(kEntry, kPaeTable | kRwUser);
    put64(kLeaf, 0x5000 | kRwUser | kPteNoExecute);
    start();
    EXPECT_TRUE(access(AccessKind::Read, kUser));
    EXPECT_NE(mmu.tlb().entry(mmu.tlb().find(AccessKind::Read, kPaeLinear)).entry & kPteNoExecute, 0u);
    EXPECT_FALSE(access(AccessKind::Fetch, kUser));
    EXPECT_EQ(mmu.fault().error_code, u32{kFaultProtection | kFaultUser | kFaultFetch});
    mmu.write_efer(0);
    EXPECT_TRUE(access(AccessKind::Read, kUser)) << "the cached entry is good until a flush";
    mmu.write_cr3(kPointers, TlbFlushReason::Cr3);
    EXPECT_FALSE(access(AccessKind::Read, kUser));
    EXPECT_EQ(mmu.fault().error_code, u32{kFaultProtection | kFaultUser | kFaultReserved});
}

} // namespace
} // namespace forkscope
