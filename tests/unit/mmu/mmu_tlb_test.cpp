// The replacement policy and the geometry of the modelled TLB.
#include <gtest/gtest.h>

#include "mmu/tlb/tlb.hpp"

namespace forkscope {
namespace {

TEST(TreePlru, IsTheBookOfTheI486ForFourWays) {
    // B0 says which pair was used last, B1 and B2 which of each pair.
    for (u32 state = 0; state < 8; ++state) {
        const bool b0 = (state & 1) != 0, b1 = (state & 2) != 0, b2 = (state & 4) != 0;
        const u32 victim = !b0 ? (!b1 ? 0 : 1) : (!b2 ? 2 : 3);
        EXPECT_EQ(plru_victim(static_cast<u8>(state), 4), victim);
    }
}

TEST(TreePlru, IsLeftUnchangedByExactlyOneWayInEveryState) {
    for (const u32 ways : {2u, 4u, 8u}) {
        for (u32 state = 0; state < 1u << (ways - 1); ++state) {
            u32 unchanged = 0;
            for (u32 way = 0; way < ways; ++way) {
                const PlruTouch touch = plru_touch(way, ways);
                const u32 after = (state & touch.keep) | touch.point;
                unchanged += after == state;
                EXPECT_NE(plru_victim(static_cast<u8>(after), ways), way) << "the way just used is never the victim";
            }
            EXPECT_EQ(unchanged, 1u);
        }
    }
}

TEST(Tlb, HasThePentiumsGeometry) {
    const Tlb tlb;
    EXPECT_EQ(tlb.geometry(TlbArray::Data4K).sets * tlb.geometry(TlbArray::Data4K).ways, 64);
    EXPECT_EQ(tlb.geometry(TlbArray::Data4M).sets * tlb.geometry(TlbArray::Data4M).ways, 8);
    EXPECT_EQ(tlb.geometry(TlbArray::Instruction4K).sets * tlb.geometry(TlbArray::Instruction4K).ways, 32);
    EXPECT_EQ(tlb.set_of(TlbArray::Data4K, 0x0001F000), 15u);
    EXPECT_EQ(tlb.set_of(TlbArray::Data4M, 0x00C00000), 1u);
    EXPECT_EQ(tlb.set_of(TlbArray::Instruction4K, 0x0000F000), 7u);
}

TEST(Tlb, FillsInvalidWaysBeforeItEvicts) {
    Tlb tlb;
    for (u32 i = 0; i < 4; ++i) {
        const TlbPlace place = tlb.take_place(TlbArray::Data4K, i << 16);
        EXPECT_EQ(place.way, i);
        tlb.set_entry(place, {i << 16, 0, kPtePresent, 0, 0});
        tlb.touch(place);
    }
    EXPECT_EQ(tlb.take_place(TlbArray::Data4K, 4u << 16).way, 0);
    EXPECT_EQ(tlb.take_place(TlbArray::Data4K, 2u << 16).way, 2) << "the same page is replaced in place";
    tlb.set_entry({TlbArray::Data4K, 3, true, 0}, {});
    EXPECT_EQ(tlb.take_place(TlbArray::Data4K, 4u << 16).way, 3);
}

} // namespace
} // namespace forkscope
