#include <gtest/gtest.h>

#include "observe_space.hpp"

using namespace forkscope;
using namespace forkscope::testing;

TEST(AddressSpaceReader, WalksSmallAndLargePagesWithTheRightsOfBothLevels) {
    SyntheticMachine machine;
    const u32 directory = machine.frame();
    const u32 page = machine.frame();
    machine.map(directory, 0x00400000, page, kUser);
    machine.put(directory + (0xC0000000u >> 22) * 4, 0x00400000 | kKernelWrite | kPteLarge | kPteGlobal);
    const AddressSpaceReader reader(machine.memory);

    const WalkView small = reader.walk(AddressSpace(directory), LinearAddress(0x00400123));
    EXPECT_TRUE(small.present);
    EXPECT_EQ(small.frame, page);
    EXPECT_EQ(small.rights, u32{kPteUser});
    EXPECT_EQ(small.table_entry, page | kUser);
    EXPECT_FALSE(small.writable());

    const WalkView large = reader.walk(AddressSpace(directory), LinearAddress(0xC0012345));
    EXPECT_TRUE(large.large);
    EXPECT_EQ(large.frame, 0x00412000u);
    EXPECT_TRUE(large.writable());
    EXPECT_FALSE(large.user());

    const WalkView absent = reader.walk(AddressSpace(directory), LinearAddress(0x00800000));
    EXPECT_FALSE(absent.present);
    EXPECT_EQ(absent.directory_entry, 0u);
    EXPECT_EQ(absent.table_entry_address.value, 0u);
}

TEST(AddressSpaceReader, TakesAFaultingWalkFromItsEventAndNotFromMemory) {
    SyntheticMachine machine;
    const u32 directory = machine.frame();
    const u32 page = machine.frame();
    machine.map(directory, 0x00400000, page, kUser);
    const AddressSpaceReader reader(machine.memory);
    TraceEvent event;
    event.kind = TraceKind::PageFault;
    event.address_space = directory;
    event.a = 0x00400123;
    event.c = machine.get(directory + 4);
    event.d = page | kUser;
    const WalkView before = reader.walk(AddressSpace(directory), LinearAddress(0x00400123));
    machine.put(machine.entry_address(directory, 0x00400000), 0);
    const WalkView view = reader.faulting_walk(event);
    EXPECT_TRUE(view.present);
    EXPECT_EQ(view.frame, page);
    EXPECT_EQ(view.rights, before.rights);
    EXPECT_EQ(view.table_entry, before.table_entry);
    EXPECT_EQ(view.table_entry_address, before.table_entry_address);
    EXPECT_EQ(view.directory_entry_address, before.directory_entry_address);
}

TEST(AddressSpaceReader, WalksThroughThePdpteRegistersOfTheSpaceInForce) {
    SyntheticMachine machine;
    const u32 pointers = machine.frame(), directory = machine.frame(), other = machine.frame();
    const auto put64 = [&](u32 at, u64 value) {
        machine.put(at, static_cast<u32>(value));
        machine.put(at + 4, static_cast<u32>(value >> 32));
    };
    put64(pointers, directory | kPtePresent);
    put64(directory + 8, 0x400000 | kUserWrite | kPteLarge);
    put64(other + 8, 0x600000 | kUserWrite | kPteLarge | kPteNoExecute);
    AddressSpaceReader reader(machine.memory);
    const auto emit = [&](TraceKind kind, u64 a, u64 b = 0, u64 c = 0) {
        TraceEvent event;
        event.kind = kind;
        event.a = a, event.b = b, event.c = c;
        reader.on_event(event);
    };
    const auto frame = [&] { return reader.walk(AddressSpace(pointers), LinearAddress(0x201000)).frame; };
    emit(TraceKind::ControlRegister, 4, 0, kCr4Pae);
    emit(TraceKind::Cr3Load, 0, pointers);
    EXPECT_EQ(frame(), 0x401000u);
    put64(pointers, other | kPtePresent);
    EXPECT_EQ(frame(), 0x401000u) << "memory is not asked in between";
    emit(TraceKind::Cr3Load, pointers, pointers); // a task switch: nothing is flushed, nothing loaded
    EXPECT_EQ(frame(), 0x401000u);
    emit(TraceKind::TlbFlush, static_cast<u64>(TlbFlushReason::Cr3));
    EXPECT_EQ(frame(), 0x601000u);
    EXPECT_TRUE(reader.walk(AddressSpace(pointers), LinearAddress(0x201000)).no_execute);
}

TEST(AddressSpaceReader, ReadsAcrossPagesAndRefusesAbsentOnes) {
    SyntheticMachine machine;
    const u32 directory = machine.frame();
    const u32 second = machine.frame();
    const u32 first = machine.frame();
    machine.map(directory, 0x1000, first, kUser);
    machine.map(directory, 0x2000, second, kUser);
    machine.fill(first, 0x11);
    machine.fill(second, 0x22);
    u8 bytes[8];
    const AddressSpaceReader reader(machine.memory);
    ASSERT_TRUE(reader.read(AddressSpace(directory), LinearAddress(0x1FFC), bytes));
    EXPECT_EQ(bytes[3], 0x11);
    EXPECT_EQ(bytes[4], 0x22);
    EXPECT_FALSE(reader.read(AddressSpace(directory), LinearAddress(0x2FFC), bytes));
    EXPECT_FALSE(reader.read(AddressSpace(directory), LinearAddress(0xFFFFFFFC), bytes));
    EXPECT_FALSE(reader.read(AddressSpace(0xFFFFF000), LinearAddress(0x1000), bytes));
}

TEST(PageTableView, JoinsNeighboursIntoRangesAndSplitsAtRights) {
    SyntheticMachine machine;
    const u32 directory = machine.frame();
    for (u32 i = 0; i < 4; ++i)
        machine.map(directory, 0x10000 + i * kPageSize, machine.frame(), i < 2 ? kUser : kUserWrite);
    const PageTableView view = PageTableView::read(machine.memory, AddressSpace(directory));
    ASSERT_EQ(view.entries().size(), 4u);
    const auto ranges = view.ranges();
    ASSERT_EQ(ranges.size(), 2u);
    EXPECT_EQ(ranges[0].start, 0x10000u);
    EXPECT_EQ(ranges[0].end, 0x12000u);
    EXPECT_EQ(rights_text(ranges[0].flags), "r--");
    EXPECT_EQ(rights_text(ranges[1].flags), "rw-");
    EXPECT_EQ(view.find(0x11FFF)->linear, 0x11000u);
    EXPECT_EQ(view.find(0x14000), nullptr);
}

TEST(PageTableView, ShowsSelfMapAndMountAsWindowsInsteadOfWalkingThem) {
    SyntheticMachine machine;
    const u32 parent = machine.frame();
    const u32 child = machine.frame();
    machine.map(parent, 0x10000, machine.frame(), kUserWrite);
    machine.map(child, 0x10000, machine.frame(), kUserWrite);
    machine.put(parent + 1023 * 4, parent | kKernelWrite);
    machine.put(child + 1023 * 4, child | kKernelWrite);
    machine.put(parent + 1022 * 4, child | kKernelWrite);
    const PageTableView view = PageTableView::read(machine.memory, AddressSpace(parent));
    ASSERT_EQ(view.entries().size(), 3u);
    EXPECT_EQ(view.entries()[1].state, PageState::Window);
    EXPECT_EQ(view.entries()[2].state, PageState::Window);
    EXPECT_EQ(view.entries()[2].linear, 0xFFC00000u);
    EXPECT_EQ(view.ranges().back().end, u64{1} << 32);
}

TEST(PageTableView, AnswersBoundedlyOnADirectoryFullOfItself) {
    SyntheticMachine machine;
    const u32 directory = machine.frame();
    for (u32 i = 0; i < 1024; ++i)
        machine.put(directory + i * 4, directory | kUserWrite);
    EXPECT_EQ(PageTableView::read(machine.memory, AddressSpace(directory)).entries().size(), 1024u);
    EXPECT_TRUE(PageTableView::read(machine.memory, AddressSpace(0xFFFFF000)).entries().empty());
}

TEST(PageTableView, TellsPrivateFromSharedWithinTheGivenSpaces) {
    SyntheticMachine machine;
    const u32 parent = machine.frame();
    const u32 child = machine.frame();
    const u32 shared = machine.frame();
    const u32 both = machine.frame();
    machine.map(parent, 0x10000, machine.frame(), kUserWrite);
    machine.map(child, 0x10000, machine.frame(), kUserWrite);
    machine.map(parent, 0x11000, shared, kUser);
    machine.map(child, 0x11000, shared, kUser);
    machine.map(parent, 0x12000, both, kUserWrite);
    machine.map(child, 0x12000, both, kUserWrite);
    machine.map(parent, 0xC0000000, machine.frame(), kKernelWrite);
    const u32 kernel = machine.frame();
    machine.map(parent, 0xC0001000, kernel, kKernelWrite);
    machine.map(child, 0xC0001000, kernel, kKernelWrite);
    PageTableView a = PageTableView::read(machine.memory, AddressSpace(parent));
    PageTableView b = PageTableView::read(machine.memory, AddressSpace(child));
    PageTableView* views[] = {&a, &b};
    PageTableView::classify(views);
    EXPECT_EQ(a.find(0x10000)->state, PageState::Private);
    EXPECT_EQ(a.find(0x11000)->state, PageState::SharedReadOnly);
    EXPECT_EQ(b.find(0x12000)->state, PageState::SharedWritable);
    EXPECT_EQ(a.find(0xC0000000)->state, PageState::Supervisor) << "of one space alone";
    EXPECT_EQ(a.find(0xC0001000)->state, PageState::Kernel);
    EXPECT_EQ(b.find(0xC0001000)->state, PageState::Kernel);
    PageTableView* alone[] = {&a};
    PageTableView::classify(alone);
    EXPECT_EQ(a.find(0x11000)->state, PageState::Private);
}

TEST(AddressSpaceDiff, NamesWhatIsOnlyHereSameOrDifferent) {
    SyntheticMachine machine;
    const u32 parent = machine.frame();
    const u32 child = machine.frame();
    const u32 same = machine.frame();
    machine.map(parent, 0x10000, machine.frame(), kUser);
    machine.map(child, 0x11000, machine.frame(), kUser);
    machine.map(parent, 0x12000, same, kUser);
    machine.map(child, 0x12000, same, kUser);
    machine.map(parent, 0x13000, machine.frame(), kUser);
    machine.map(child, 0x13000, machine.frame(), kUser);
    machine.map(parent, 0x14000, same, kUserWrite);
    machine.map(child, 0x14000, same, kUser);
    const AddressSpaceDiff diff(PageTableView::read(machine.memory, AddressSpace(parent)),
                                PageTableView::read(machine.memory, AddressSpace(child)));
    ASSERT_EQ(diff.ranges().size(), 5u);
    EXPECT_EQ(diff.ranges()[0].difference, PageDifference::OnlyInA);
    EXPECT_EQ(diff.ranges()[1].difference, PageDifference::OnlyInB);
    EXPECT_EQ(diff.ranges()[2].difference, PageDifference::Same);
    EXPECT_EQ(diff.ranges()[3].difference, PageDifference::DifferentFrame);
    EXPECT_EQ(diff.ranges()[4].difference, PageDifference::RightsDiffer);
    EXPECT_EQ(diff.pages(PageDifference::Same), 1u);
}
