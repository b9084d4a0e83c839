// TableMap: which frames are tables, where nobody says that one was freed.
#include <gtest/gtest.h>

#include "emu/observe/tables/table_map.hpp"
#include "tests/unit/observe/observe_space.hpp"

namespace forkscope {
namespace {

using testing::kKernelWrite;
using testing::kUserWrite;

constexpr u32 kCode = 0x80100000, kStack = 0x7000;

// Two spaces, each with kernel tables of its own, as xv6 has them; the first is in force and runs the kernel's code.
class TwoSpacesWithOwnKernelTables : public ::testing::Test {
  protected:
    TwoSpacesWithOwnKernelTables() {
        for (u32& space : spaces) {
            space = guest.frame();
            guest.map(space, kCode, 0x100000, kKernelWrite);
            guest.map(space, kStack, guest.frame(), kUserWrite);
        }
        for (const u32 space : {spaces[1], spaces[0]}) {
            guest.cr3 = space;
            map.on_event(event(TraceKind::Cr3Load, 0, space));
        }
    }

    TraceEvent event(TraceKind kind, u64 a, u64 b, u64 c = 0) const {
        TraceEvent made;
        made.kind = kind;
        made.a = a, made.b = b, made.c = c;
        made.eip = kCode + 0x20;
        made.address_space = guest.cr3;
        return made;
    }
    void write(u32 at, u32 value) {
        const u32 old = guest.get(at);
        guest.put(at, value);
        map.on_event(event(TraceKind::PteWrite, at, old, value));
    }
    u32 slot(u32 space, u32 linear) const { return space + (linear >> 22) * 4; }

    testing::SyntheticMachine guest;
    u32 spaces[2] = {};
    TableMap map{guest.memory};
};

TEST_F(TwoSpacesWithOwnKernelTables, LoseADirectoryThatNoLongerMapsTheKernelsCode) {
    const u32 dead = spaces[1], user_table = guest.entry_address(dead, kStack);
    ASSERT_TRUE(map.is_directory(dead));
    ASSERT_EQ(map.locate(user_table).space, AddressSpace(dead));
    for (u32 at = dead + kPageSize; at > dead;) // from its end, so that the user's table is there when the code's goes
        write(at -= 4, 0x01010101);
    EXPECT_FALSE(map.is_directory(dead));
    EXPECT_EQ(map.locate(user_table).space, AddressSpace());
    EXPECT_FALSE(map.is_entry(event(TraceKind::PteWrite, user_table, 0, 0)));
    EXPECT_FALSE(map.is_entry(event(TraceKind::PteWrite, dead, 0, 0)));
}

TEST_F(TwoSpacesWithOwnKernelTables, KeepADirectoryThatLosesOtherPages) {
    write(slot(spaces[1], kStack), 0);
    write(slot(spaces[1], 0x90000000), 0x01010101);
    EXPECT_TRUE(map.is_directory(spaces[1]));
    // The kernel may take its code from the space in force, as long as the TLB has it.
    write(slot(spaces[0], kCode), 0);
    EXPECT_TRUE(map.is_directory(spaces[0]));
}

} // namespace
} // namespace forkscope
