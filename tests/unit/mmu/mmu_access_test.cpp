// What the Mmu does around a translation: events, listeners, counters, split accesses, flags, A20, looking.
#include "fixture.hpp"

namespace forkscope {
namespace {

class Listener : public AccessListener {
  public:
    void code_changed(PhysicalAddress address, u32 size) override { calls.emplace_back(address.value, size); }
    std::vector<std::pair<u64, u32>> calls;
};

class ByteDevice : public IoHandler {
  public:
    u32 io_read(u32 address, u32 size) override {
        log.push_back(fmt::format("r{}@{:x}", size, address));
        return bytes[address & 15];
    }
    void io_write(u32 address, u32 size, u32 value) override {
        log.push_back(fmt::format("w{}@{:x}={:x}", size, address, value));
        bytes[address & 15] = static_cast<u8>(value);
    }
    std::vector<std::string> log;
    u8 bytes[16] = {};
};

TEST_F(MmuTest, IsTheIdentityWhilePagingIsOff) {
    EXPECT_TRUE(mmu.store<u32>(LinearAddress(0x12345), 0xCAFEBABE, kKernel).ok);
    EXPECT_EQ(get(0x12345), 0xCAFEBABEu);
    EXPECT_EQ(mmu.load<u16>(LinearAddress(0x12347), kUser).value, 0xCAFE);
    EXPECT_EQ(mmu.fetch(LinearAddress(0x777), kKernel).value.value, 0x777u);
    EXPECT_EQ(mmu.counters().tlb_misses[0], 0u);
}

TEST_F(MmuTest, TranslatesBothPagesBeforeItStoresAByte) {
    map(0x400000, 0x6000 | kRwUser);
    map(0x401000, 0x9000 | kPtePresent | kPteUser); // read-only
    start_paging();
    EXPECT_FALSE(mmu.store<u32>(LinearAddress(0x400FFE), 0x11223344, kUser).ok);
    EXPECT_EQ(mmu.fault().address.value, 0x401000u) << "the high page's first byte";
    EXPECT_EQ(get(0x6FFC), 0u) << "nothing was stored";
    EXPECT_TRUE(mmu.store<u16>(LinearAddress(0x400FFE), 0x5566, kUser).ok);
    EXPECT_EQ(mmu.load<u32>(LinearAddress(0x400FFE), kUser).value, 0x5566u);
}

TEST_F(MmuTest, WrapsAnAccessAtTheEndOfTheAddressSpace) {
    put(kDirectory + 4092, 0x3000 | kRwUser);
    put(0x3000 + 4092, 0x7000 | kRwUser);
    put(kDirectory, 0x4000 | kRwUser);
    put(0x4000, 0x8000 | kRwUser);
    start_paging();
    EXPECT_TRUE(mmu.store<u32>(LinearAddress(0xFFFFFFFE), 0xAABBCCDD, kUser).ok);
    EXPECT_EQ(get(0x7FFC), 0xCCDD0000u);
    EXPECT_EQ(get(0x8000), 0xAABBu);
}

TEST_F(MmuTest, UpdatesInPlaceWithOneWriteTranslation) {
    map(0x400000, 0x6000 | kRwUser);
    start_paging();
    for (const u32 address : {0x400010u, 0x400010u}) { // slow, then through the front
        const Access<u32> old_value = mmu.load_for_update<u32>(LinearAddress(address), kUser);
        ASSERT_TRUE(old_value.ok);
        mmu.finish_update(old_value.value + 5);
    }
    EXPECT_EQ(get(0x6010), 10u);
    EXPECT_EQ(mmu.counters().tlb_misses[0], 1u);
    EXPECT_EQ(table_entry(0x400000) & kPteDirty, u32{kPteDirty});
}

TEST_F(MmuTest, TellsOfEachTableEntryThatAStoreTouches) {
    map(0x400000, 0x6000 | kRwUser);
    map(0x401000, (kFirstTable + kPageSize) | kRwSupervisor); // the page's own table, mapped
    start_paging();
    ASSERT_TRUE(mmu.load<u8>(LinearAddress(0x400000), kUser).ok);
    const u32 before_low = table_entry(0x402000), before_high = table_entry(0x403000);
    recorder.events.clear();
    ASSERT_TRUE(mmu.store<u32>(LinearAddress(0x40100A), 0xFFFFFFFF, kKernel).ok); // the halves of entries 2 and 3
    const auto writes = recorder.of(TraceKind::PteWrite);
    ASSERT_EQ(writes.size(), 2u);
    EXPECT_EQ(writes[0].a, kFirstTable + kPageSize + 8);
    EXPECT_EQ(writes[0].b, before_low);
    EXPECT_EQ(writes[0].c, before_low | 0xFFFF0000);
    EXPECT_EQ(writes[0].d, 1u);
    EXPECT_EQ(writes[1].b, before_high);
    EXPECT_EQ(writes[1].c, before_high | 0xFFFF);
}

TEST_F(MmuTest, MarksTheTablesThatADirectoryInUsePointsTo) {
    map(0x400000, 0x6000 | kRwUser);
    put(kDirectory + 8, 0x9000 | kRwUser); // never walked through
    map(0x401000, kDirectory | kRwSupervisor);
    start_paging();
    ASSERT_TRUE(mmu.load<u8>(LinearAddress(0x400000), kUser).ok);
    EXPECT_EQ(mmu.table_marks().levels(kDirectory >> 12), 2);
    EXPECT_EQ(mmu.table_marks().levels(9), 1);
    recorder.events.clear();
    ASSERT_TRUE(mmu.store<u32>(LinearAddress(0x40100C), 0xB000 | kRwUser, kKernel).ok);
    const auto marked = recorder.of(TraceKind::PageTableFrame);
    ASSERT_EQ(marked.size(), 1u);
    EXPECT_EQ(marked[0].a, 0xB000u);
    EXPECT_EQ(recorder.of(TraceKind::PteWrite).at(0).d, 2u);
}

TEST_F(MmuTest, ForgetsATableFrameThatBecameData) {
    map(0x400000, 0x6000 | kRwUser);
    map(0x401000, 0x9000 | kRwSupervisor);
    put(kDirectory + 8, 0x9000 | kRwUser);
    start_paging();
    ASSERT_TRUE(mmu.load<u8>(LinearAddress(0x400000), kUser).ok);
    for (u32 i = 0; i < TableMarks::kMostStores + 10; ++i)
        ASSERT_TRUE(mmu.store<u32>(LinearAddress(0x401000 + i % 1024 * 4), i, kKernel).ok);
    EXPECT_EQ(mmu.table_marks().levels(9), 0);
    EXPECT_EQ(recorder.of(TraceKind::PteWrite).size(), TableMarks::kMostStores);
}

// An identity map with all rights, as small kernels have it: their stores into tables must not vanish.
TEST_F(MmuTest, SeesStoresIntoTablesInUseThoughAUserMayWriteThem) {
    map(0x400000, 0x6000 | kRwUser);
    map(0x401000, 0x9000 | kRwUser);     // a table
    map(0x402000, kDirectory | kRwUser); // the directory in force
    put(kDirectory + 8, 0x9000 | kRwUser);
    start_paging();
    ASSERT_TRUE(mmu.load<u8>(LinearAddress(0x400000), kUser).ok);
    ASSERT_TRUE(mmu.store<u32>(LinearAddress(0x401000), 0x7000 | kRwUser, kUser).ok);
    ASSERT_TRUE(mmu.store<u32>(LinearAddress(0x402FFC), 0xA000 | kRwUser, kKernel).ok);
    EXPECT_EQ(mmu.table_marks().levels(9), 1);
    EXPECT_EQ(mmu.table_marks().levels(kDirectory >> 12), 2);
    ASSERT_EQ(recorder.of(TraceKind::PteWrite).size(), 2u);
    EXPECT_EQ(recorder.of(TraceKind::PteWrite)[0].a, 0x9000u);
}

// Also those of a directory that is not in force: it has tables.
TEST_F(MmuTest, SeesStoresIntoTheDirectoryOfAnotherSpaceThoughAUserMayWriteIt) {
    constexpr u32 kOther = 0xC000, kOtherTable = 0xD000;
    put(kOther + 4, kOtherTable | kRwUser);
    map(0x400000, 0x6000 | kRwUser);
    map(0x401000, kOther | kRwUser);
    start_paging();
    mmu.write_cr3(kOther, TlbFlushReason::Cr3);
    static_cast<void>(mmu.load<u8>(LinearAddress(0x400000), kKernel)); // walks, and faults
    mmu.write_cr3(kDirectory, TlbFlushReason::Cr3);
    recorder.events.clear();
    ASSERT_TRUE(mmu.store<u32>(LinearAddress(0x401008), 0xE000 | kRwUser, kKernel).ok);
    EXPECT_EQ(recorder.of(TraceKind::PteWrite).size(), 1u);
    EXPECT_EQ(mmu.table_marks().levels(0xE), 1) << "what it leads to is watched as well";
}

TEST_F(MmuTest, TakesNoFrameForATableThatAUserMayWriteAndNothingLeadsTo) {
    map(0x400000, 0x6000 | kRwUser);
    map(0x401000, 0x9000 | kRwUser);
    put(kDirectory + 8, 0x9000 | kRwUser);
    start_paging();
    ASSERT_TRUE(mmu.load<u8>(LinearAddress(0x400000), kUser).ok);
    EXPECT_EQ(mmu.table_marks().levels(9), 1);
    put(kDirectory + 8, 0); // freed
    ASSERT_TRUE(mmu.store<u32>(LinearAddress(0x401000), 7, kUser).ok);
    EXPECT_EQ(mmu.table_marks().levels(9), 0);
    EXPECT_TRUE(recorder.of(TraceKind::PteWrite).empty());
}

TEST_F(MmuTest, TellsOfChangedCodeAfterTheBytesAreStored) {
    class : public AccessListener {
      public:
        void code_changed(PhysicalAddress address, u32 size) override {
            seen = *memory->host(address);
            sizes += size;
        }
        PhysicalMemory* memory = nullptr;
        int seen = -1;
        u32 sizes = 0;
    } listener;
    listener.memory = &memory;
    mmu.set_listener(&listener);
    ASSERT_TRUE(mmu.store<u8>(LinearAddress(0x5000), 1, kKernel).ok); // publishes a write tag
    mmu.flag_frame(5, kFrameCode);
    ASSERT_TRUE(mmu.store<u16>(LinearAddress(0x5000), 0x42, kKernel).ok);
    EXPECT_EQ(listener.seen, 0x42);
    EXPECT_EQ(listener.sizes, 2u);
    mmu.unflag_frame(5, kFrameCode);
    ASSERT_TRUE(mmu.store<u16>(LinearAddress(0x5000), 0x43, kKernel).ok);
    EXPECT_EQ(listener.sizes, 2u);
    const u8 byte = 9;
    mmu.flag_frame(5, kFrameCode);
    EXPECT_TRUE(mmu.poke_physical(PhysicalAddress(0x5001), {&byte, 1}));
    EXPECT_EQ(listener.seen, 9);
    mmu.set_listener(nullptr);
}

TEST_F(MmuTest, ShowsWatchersEveryAccessOfAWatchedFrameOnly) {
    std::vector<std::string> log;
    mmu.set_watcher([&](LinearAddress linear, PhysicalAddress, u32 size, AccessKind kind) {
        log.push_back(fmt::format("{:x}/{}/{}", linear.value, size, static_cast<int>(kind)));
    });
    ASSERT_TRUE(mmu.load<u8>(LinearAddress(0x5000), kKernel).ok);
    mmu.flag_frame(5, kFrameWatched);
    for (int i = 0; i < 2; ++i) {
        ASSERT_TRUE(mmu.load<u32>(LinearAddress(0x5FFE), kKernel).ok); // two bytes of it
        ASSERT_TRUE(mmu.store<u8>(LinearAddress(0x5003), 1, kKernel).ok);
        ASSERT_TRUE(mmu.fetch(LinearAddress(0x5004), kKernel).ok);
        ASSERT_TRUE(mmu.load<u8>(LinearAddress(0x6004), kKernel).ok);
    }
    EXPECT_EQ(log, (std::vector<std::string>{"5ffe/2/0", "5003/1/1", "5004/1/2", "5ffe/2/0", "5003/1/1", "5004/1/2"}));
    EXPECT_EQ(mmu.bulk_read(LinearAddress(0x5000), kKernel), nullptr);
}

TEST_F(MmuTest, CountsHitsExactlyWhenTheFastTableIsOff) {
    map(0x400000, 0x6000 | kPtePresent | kPteUser);
    start_paging();
    mmu.set_fast_table(false);
    for (int i = 0; i < 10; ++i)
        ASSERT_TRUE(mmu.load<u8>(LinearAddress(0x400000), kUser).ok);
    EXPECT_EQ(mmu.counters().tlb_hits[0], 9u);
    EXPECT_EQ(mmu.counters().tlb_misses[0], 1u);
    EXPECT_FALSE(mmu.store<u8>(LinearAddress(0x400000), 1, kUser).ok);
    EXPECT_EQ(mmu.counters().permission_walks, 1u);
    put(kFirstTable + kPageSize, 0x6000 | kRwUser); // an upgrade needs no flush
    EXPECT_TRUE(mmu.store<u8>(LinearAddress(0x400000), 1, kUser).ok);
    EXPECT_EQ(mmu.counters().permission_walks, 2u);
    EXPECT_EQ(mmu.counters().dirty_walks, 0u);
}

TEST_F(MmuTest, UsesAStaleEntryUntilItIsFlushed) {
    map(0x400000, 0x6000 | kRwUser);
    put(0x6000, 111);
    put(0x7000, 222);
    start_paging();
    EXPECT_EQ(mmu.load<u32>(LinearAddress(0x400000), kUser).value, 111u);
    put(kFirstTable + kPageSize, 0x7000 | kRwUser);
    mmu.forget_derived_state();
    EXPECT_EQ(mmu.load<u32>(LinearAddress(0x400000), kUser).value, 111u);
    mmu.invalidate_page(LinearAddress(0x400FFF));
    EXPECT_EQ(mmu.load<u32>(LinearAddress(0x400000), kUser).value, 222u);
    const auto flushes = recorder.of(TraceKind::TlbFlush);
    ASSERT_EQ(flushes.size(), 1u);
    EXPECT_EQ(flushes[0].a, static_cast<u64>(TlbFlushReason::Invlpg));
    EXPECT_EQ(flushes[0].c, 1u);
}

TEST_F(MmuTest, RemembersWhoFilledAnEntryWithoutHashingIt) {
    class : public MomentSource {
      public:
        Moment moment() const override { return {1, cycle, eip, 0, 0, 0}; }
        Cycles cycle = 77;
        u32 eip = 0xC0DE;
    } source;
    tracer.set_moment_source(&source);
    map(0x400000, 0x6000 | kRwUser);
    start_paging();
    ASSERT_TRUE(mmu.load<u8>(LinearAddress(0x400000), kUser).ok);
    const TlbPlace place = mmu.tlb().find(AccessKind::Read, 0x400000);
    ASSERT_TRUE(place.found);
    EXPECT_EQ(mmu.tlb().entry(place).filled_by, 0xC0DEu);
    EXPECT_EQ(mmu.tlb().entry(place).filled_at, 77u);
    const auto hash_with = [&](const TlbEntry& entry) {
        Tlb tlb;
        tlb.set_entry(place, entry);
        HashArchive archive;
        tlb.serialize(archive);
        return archive.digest();
    };
    const TlbEntry entry = mmu.tlb().entry(place);
    TlbEntry other = entry;
    other.filled_by = 1;
    EXPECT_EQ(hash_with(other), hash_with(entry));
    other.entry ^= kPteGlobal;
    EXPECT_NE(hash_with(other), hash_with(entry));
    tracer.set_moment_source(nullptr);
}

TEST_F(MmuTest, MasksBitTwentyWhileTheA20GateIsClosed) {
    put(0x5000, 1);
    put(0x105000, 2);
    EXPECT_EQ(mmu.load<u32>(LinearAddress(0x105000), kKernel).value, 2u);
    mmu.set_a20(false);
    EXPECT_EQ(mmu.load<u32>(LinearAddress(0x105000), kKernel).value, 1u);
    EXPECT_EQ(mmu.paging().look(LinearAddress(0x105000), kKernel, AccessKind::Read).physical.value, 0x5000u);
    mmu.set_a20(true);
    EXPECT_EQ(mmu.load<u32>(LinearAddress(0x105000), kKernel).value, 2u);
}

TEST_F(MmuTest, ShowsTheFirmwareBelowFourGigabytes) {
    std::vector<u8> image(0x10000, 0x90);
    image[0xFFF0] = 0xEA;
    memory.install_rom(PhysicalAddress(0xF0000), image);
    mmu.set_a20(false);
    const Access<PhysicalAddress> reset_vector = mmu.fetch(LinearAddress(0xFFFFFFF0), kKernel);
    EXPECT_EQ(reset_vector.value.value, 0xFFFF0u);
    EXPECT_EQ(mmu.load<u8>(LinearAddress(0xFFFFFFF0), kKernel).value, 0xEA);
    EXPECT_TRUE(mmu.store<u8>(LinearAddress(0xFFFF0), 0, kKernel).ok) << "ROM ignores stores";
    EXPECT_EQ(mmu.load<u8>(LinearAddress(0xFFFF0), kKernel).value, 0xEA);
}

TEST_F(MmuTest, ReachesDeviceMemoryThroughTheBus) {
    ByteDevice device;
    bus.map_memory(PhysicalAddress(0xA0000), 0x1000, device, 1);
    EXPECT_TRUE(mmu.store<u16>(LinearAddress(0xA0001), 0xBEEF, kKernel).ok);
    EXPECT_EQ(mmu.load<u16>(LinearAddress(0xA0001), kKernel).value, 0xBEEF);
    EXPECT_EQ(device.log, (std::vector<std::string>{"w1@1=ef", "w1@2=be", "r1@1", "r1@2"}));
    u8 byte = 0;
    EXPECT_FALSE(mmu.peek(LinearAddress(0xA0001), {&byte, 1})) << "looking asks no device";
    EXPECT_EQ(device.log.size(), 4u);
    EXPECT_EQ(mmu.load<u64>(LinearAddress(0x900000), kKernel).value, ~u64{0}) << "nobody home";
}

TEST_F(MmuTest, ChangesNothingWhenLooking) {
    map(0x400000, 0x6000 | kRwUser);
    put(0x6FFC, 0x01020304);
    map(0x401000, 0x9000 | kRwUser);
    put(0x9000, 0x05060708);
    start_paging();
    const auto hash = [&] {
        HashArchive archive;
        memory.serialize(archive);
        mmu.serialize(archive);
        return archive.digest();
    };
    const u64 before = hash();
    u8 bytes[8] = {};
    EXPECT_TRUE(mmu.peek(LinearAddress(0x400FFC), bytes));
    EXPECT_EQ(bytes[0], 4);
    EXPECT_EQ(bytes[7], 5);
    EXPECT_FALSE(mmu.peek(LinearAddress(0x401FFC), bytes));
    EXPECT_TRUE(mmu.paging().look(LinearAddress(0x400000), kUser, AccessKind::Write).ok);
    EXPECT_EQ(hash(), before);
    EXPECT_TRUE(recorder.events.empty());
    EXPECT_EQ(mmu.table_marks().levels(kDirectory >> 12), 0);
}

TEST_F(MmuTest, OffersBulkPointersWhereNothingAnswersAndNobodyListens) {
    constexpr LinearAddress kNowhere(0xE0000FF0);
    for (const u8 stored : {0x12, 0x34}) {
        u8* const sink = mmu.bulk_write(kNowhere, kKernel);
        ASSERT_NE(sink, nullptr);
        std::memset(sink, stored, 16); // as far as the page goes
        const u8* const source = mmu.bulk_read(kNowhere, kKernel);
        ASSERT_NE(source, nullptr);
        EXPECT_TRUE(std::all_of(source, source + 16, [](u8 byte) { return byte == 0xFF; }));
        EXPECT_EQ(mmu.load<u32>(kNowhere, kKernel).value, 0xFFFFFFFFu);
    }
    struct Counter final : BusListener {
        void unanswered(BusAccess, u64) override {}
    } counter;
    bus.set_listener(&counter);
    EXPECT_EQ(mmu.bulk_read(kNowhere, kKernel), nullptr) << "each access is to be heard";
    EXPECT_EQ(mmu.bulk_write(kNowhere, kKernel), nullptr);
    bus.set_listener(nullptr);
    struct Device final : IoHandler {
        u32 io_read(u32, u32) override { return 0; }
        void io_write(u32, u32, u32) override {}
    } device;
    bus.map_memory(PhysicalAddress(0xE0000000), kPageSize, device);
    EXPECT_EQ(mmu.bulk_read(kNowhere, kKernel), nullptr) << "each access may do something";
    EXPECT_EQ(mmu.bulk_write(kNowhere, kKernel), nullptr);
}

TEST_F(MmuTest, OffersBulkPointersOnlyForPlainHits) {
    map(0x400000, 0x6000 | kRwUser);
    start_paging();
    EXPECT_EQ(mmu.bulk_read(LinearAddress(0x400010), kUser), nullptr) << "a miss is the element access's business";
    EXPECT_EQ(mmu.counters().tlb_misses[0], 0u);
    ASSERT_TRUE(mmu.load<u8>(LinearAddress(0x400010), kUser).ok);
    EXPECT_EQ(mmu.bulk_read(LinearAddress(0x400010), kUser), memory.host(PhysicalAddress(0x6010)));
    EXPECT_EQ(mmu.bulk_write(LinearAddress(0x400010), kUser), nullptr) << "D is still 0";
    ASSERT_TRUE(mmu.store<u8>(LinearAddress(0x400010), 1, kUser).ok);
    const u32 epoch = memory.begin_epoch();
    EXPECT_FALSE(memory.written_since(6, epoch));
    EXPECT_EQ(mmu.bulk_write(LinearAddress(0x400010), kUser), memory.host(PhysicalAddress(0x6010)));
    EXPECT_TRUE(memory.written_since(6, epoch));
    mmu.flag_frame(6, kFrameCode);
    EXPECT_EQ(mmu.bulk_write(LinearAddress(0x400010), kUser), nullptr);
    EXPECT_NE(mmu.bulk_read(LinearAddress(0x400010), kUser), nullptr);
}

TEST_F(MmuTest, KeepsTheMarksOfTablesInSnapshotsButNotInHashes) {
    map(0x400000, 0x6000 | kRwUser);
    start_paging();
    ASSERT_TRUE(mmu.load<u8>(LinearAddress(0x400000), kUser).ok);
    SaveArchive save;
    mmu.serialize(save);
    const std::vector<u8> bytes = save.take();
    PhysicalMemory other_memory(kTestRam);
    Mmu other(other_memory, bus, tracer);
    LoadArchive load(bytes);
    other.serialize(load);
    ASSERT_TRUE(load.finish().ok()) << load.finish().error().message;
    EXPECT_EQ(other.table_marks().levels(kDirectory >> 12), 2);
    EXPECT_NE(other_memory.flags(kDirectory >> 12) & kFramePageTable, 0);
    EXPECT_EQ(other.control().cr3, kDirectory);
}

TEST_F(MmuTest, FlushesNothingOnATaskSwitchToTheSameSpace) {
    map(0x400000, 0x6000 | kRwUser);
    start_paging();
    ASSERT_TRUE(mmu.load<u8>(LinearAddress(0x400000), kUser).ok);
    mmu.write_cr3(kDirectory, TlbFlushReason::TaskSwitch);
    EXPECT_TRUE(mmu.tlb().find(AccessKind::Read, 0x400000).found);
    mmu.write_cr3(kDirectory, TlbFlushReason::Cr3);
    EXPECT_FALSE(mmu.tlb().find(AccessKind::Read, 0x400000).found);
}

} // namespace
} // namespace forkscope
