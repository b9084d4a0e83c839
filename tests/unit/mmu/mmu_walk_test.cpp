// The walk against the manual's rules for every combination of entry bits, privilege, access and control bits.
#include "fixture.hpp"

namespace forkscope {
namespace {

// One combination. Bits of the entries are those of PteBit.
struct Combination {
    u32 directory_entry, table_entry;
    bool wp, pse, pge;
    Privilege privilege;
    AccessKind kind;
};

struct Expected {
    bool ok = false;
    u32 error_code = 0;
    u32 directory_after = 0, table_after = 0;
};

// SDM 3A table 5-3 (combined protection) and 4.7 (error code), said as the manual says them.
Expected by_the_manual(const Combination& c) {
    enum { kSupervisorPage, kUserPage };
    Expected e{false, 0, c.directory_entry, c.table_entry};
    const bool wr = c.kind == AccessKind::Write, us = c.privilege == Privilege::User;
    const u32 wr_us = (wr ? 2u : 0) + (us ? 4u : 0);
    const bool four_megabytes = c.pse && (c.directory_entry & 0x80) != 0;
    const bool directory_present = c.directory_entry & 1, table_present = four_megabytes || (c.table_entry & 1);
    if (!directory_present || !table_present) {
        e.error_code = wr_us;
        return e;
    }
    if (four_megabytes && (c.directory_entry & 0x3FF000) != 0) {
        e.error_code = wr_us + 1 + 8;
        return e;
    }
    const auto privilege_of = [](u32 entry) { return entry & 4 ? kUserPage : kSupervisorPage; };
    const auto writable = [](u32 entry) { return (entry & 2) != 0; };
    const u32 second = four_megabytes ? c.directory_entry : c.table_entry;
    const auto page = privilege_of(c.directory_entry) == kUserPage ? privilege_of(second) : kSupervisorPage;
    const bool page_writable = writable(c.directory_entry) ? writable(second) : false;
    bool allowed = true;
    if (us && page == kSupervisorPage)
        allowed = false;
    if (us && page == kUserPage && wr && !page_writable)
        allowed = false;
    if (!us && wr && !page_writable && c.wp)
        allowed = false;
    if (!allowed) {
        e.error_code = wr_us + 1;
        return e;
    }
    e.ok = true;
    e.directory_after |= 0x20;
    (four_megabytes ? e.directory_after : e.table_after) |= wr ? 0x60 : 0x20;
    return e;
}

class WalkMatrix : public MmuTest {
  protected:
    static constexpr u32 kLinear = 0x00400123, kFrame = 0x00005000, kTable = 0x00003000;

    void check(const Combination& c) {
        put(kDirectory + 4, c.directory_entry);
        put(kTable, c.table_entry);
        mmu.reset();
        mmu.write_cr4(0, (c.pse ? u32{kCr4Pse} : 0) | (c.pge ? u32{kCr4Pge} : 0));
        mmu.write_cr3(kDirectory, TlbFlushReason::Cr3);
        mmu.write_cr0(0, kCr0Pg | kCr0Pe | (c.wp ? u32{kCr0Wp} : 0));
        const Expected expected = by_the_manual(c);

        const Walk look = mmu.paging().look(LinearAddress(kLinear), c.privilege, c.kind);
        ASSERT_EQ(get(kDirectory + 4), c.directory_entry) << "a look changed memory";
        ASSERT_EQ(get(kTable), c.table_entry) << "a look changed memory";

        bool ok = false;
        if (c.kind == AccessKind::Fetch)
            ok = mmu.fetch(LinearAddress(kLinear), c.privilege).ok;
        else if (c.kind == AccessKind::Read)
            ok = mmu.load<u8>(LinearAddress(kLinear), c.privilege).ok;
        else
            ok = mmu.store<u8>(LinearAddress(kLinear), 7, c.privilege).ok;
        ASSERT_EQ(ok, expected.ok);
        ASSERT_EQ(look.ok, ok) << "the two policies of the walk differ";
        if (!ok) {
            ASSERT_EQ(mmu.fault().error_code, expected.error_code);
            ASSERT_EQ(look.error_code, expected.error_code);
            ASSERT_EQ(mmu.fault().address.value, kLinear);
        }
        ASSERT_EQ(get(kDirectory + 4), expected.directory_after);
        ASSERT_EQ(get(kTable), expected.table_after);
        ++checked_;
    }
    int checked_ = 0;
};

TEST_F(WalkMatrix, FollowsTheManualForEveryCombinationOfBits) {
    constexpr u32 kDirectoryBits[] = {kPtePresent, kPteWritable, kPteUser, kPteAccessed, kPteLarge};
    constexpr u32 kTableBits[] = {kPtePresent, kPteWritable, kPteUser, kPteAccessed, kPteDirty, kPteGlobal};
    for (u32 bits = 0; bits < 1u << 11; ++bits) {
        u32 directory_entry = kTable, table_entry = kFrame;
        for (u32 i = 0; i < 5; ++i)
            directory_entry |= (bits >> i & 1) != 0 ? kDirectoryBits[i] : 0;
        for (u32 i = 0; i < 6; ++i)
            table_entry |= (bits >> (5 + i) & 1) != 0 ? kTableBits[i] : 0;
        for (u32 mode = 0; mode < 8 * 6; ++mode) {
            const Combination c{directory_entry,
                                table_entry,
                                (mode & 1) != 0,
                                (mode & 2) != 0,
                                (mode & 4) != 0,
                                static_cast<Privilege>(mode / 8 % 2),
                                static_cast<AccessKind>(mode / 16)};
            SCOPED_TRACE(fmt::format("pde {:#x} pte {:#x} mode {}", directory_entry, table_entry, mode));
            check(c);
            if (HasFatalFailure())
                return;
        }
    }
    EXPECT_EQ(checked_, 2048 * 48);
}

TEST_F(WalkMatrix, FollowsTheManualForLargePages) {
    constexpr u32 kBits[] = {kPtePresent, kPteWritable, kPteUser, kPteAccessed, kPteDirty, kPteGlobal};
    for (u32 bits = 0; bits < 64; ++bits) {
        // No reserved bit, then each of 12..21 alone.
        for (u32 reserved = 0; reserved < 11; ++reserved) {
            u32 directory_entry = kPteLarge | (reserved != 0 ? 1u << (11 + reserved) : 0);
            for (u32 i = 0; i < 6; ++i)
                directory_entry |= (bits >> i & 1) != 0 ? kBits[i] : 0;
            for (u32 mode = 0; mode < 12; ++mode) {
                SCOPED_TRACE(fmt::format("pde {:#x} mode {}", directory_entry, mode));
                check({directory_entry, 0, (mode & 1) != 0, true, true, static_cast<Privilege>(mode / 2 % 2),
                       static_cast<AccessKind>(mode / 4)});
                if (HasFatalFailure())
                    return;
            }
        }
    }
}

TEST_F(MmuTest, ReportsEveryLevelOfAFaultingWalk) {
    map(0x400000, 0x5000 | kPtePresent);
    start_paging();
    EXPECT_FALSE(mmu.store<u32>(LinearAddress(0x400000), 1, kUser).ok);
    const auto faults = recorder.of(TraceKind::PageFault);
    ASSERT_EQ(faults.size(), 1u);
    EXPECT_EQ(faults[0].a, 0x400000u);
    EXPECT_EQ(faults[0].b, u32{kFaultProtection | kFaultWrite | kFaultUser});
    EXPECT_EQ(faults[0].c, u32{kFirstTable + kPageSize} | kRwUser);
    EXPECT_EQ(faults[0].d, 0x5000u | kPtePresent);
    EXPECT_EQ(table_entry(0x400000), 0x5000u | kPtePresent) << "no A or D on a fault";
}

TEST_F(MmuTest, ReadsEntriesOutsideMemoryAsAnOpenBus) {
    put(kDirectory, 0x00F00000 | kRwUser); // the table lies beyond RAM: entries of all ones
    start_paging();
    const Access<u32> got = mmu.load<u32>(LinearAddress(0x1000), kUser);
    EXPECT_TRUE(got.ok);
    EXPECT_EQ(got.value, 0xFFFFFFFFu);
    EXPECT_TRUE(recorder.of(TraceKind::AccessedDirty).size() == 1) << "only the directory entry can take its A bit";
}

} // namespace
} // namespace forkscope
