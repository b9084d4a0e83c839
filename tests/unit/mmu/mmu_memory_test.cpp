// Physical memory: epochs, cached hashes, sparse snapshots, ROM. And the bus's adaptation of widths.
#include "fixture.hpp"

#include "emu/base/random.hpp"

namespace forkscope {
namespace {

u64 hash_of(PhysicalMemory& memory) {
    HashArchive archive;
    memory.serialize(archive);
    return archive.digest();
}

std::vector<u8> save(PhysicalMemory& memory) {
    SaveArchive archive;
    memory.serialize(archive);
    return archive.take();
}

void put_byte(PhysicalMemory& memory, u64 address, u8 value) {
    ASSERT_TRUE(memory.write(PhysicalAddress(address), {&value, 1}));
}

TEST(PhysicalMemory, TellsWhoWasWrittenSinceAnEpoch) {
    PhysicalMemory memory(kTestRam);
    put_byte(memory, 0x5000, 1);
    const u32 first = memory.begin_epoch();
    EXPECT_FALSE(memory.written_since(5, first));
    put_byte(memory, 0x6000, 1);
    const u32 second = memory.begin_epoch();
    put_byte(memory, 0x7000, 1);
    EXPECT_TRUE(memory.written_since(6, first));
    EXPECT_FALSE(memory.written_since(6, second));
    EXPECT_TRUE(memory.written_since(7, first));
    EXPECT_TRUE(memory.written_since(7, second));
}

TEST(PhysicalMemory, HashesTheContentsAndNotTheirHistory) {
    PhysicalMemory memory(kTestRam), same(kTestRam);
    const u64 empty = hash_of(memory);
    EXPECT_EQ(hash_of(same), empty);
    put_byte(memory, 0x123456, 7);
    const u64 one = hash_of(memory);
    EXPECT_NE(one, empty);
    put_byte(memory, 0x123456, 0);
    EXPECT_EQ(hash_of(memory), empty) << "a frame written back to zero is a frame of zeros";
    put_byte(same, 0x123456, 7);
    EXPECT_EQ(hash_of(same), one);
}

TEST(PhysicalMemory, NeverMissesAWriteInItsCachedHash) {
    PhysicalMemory memory(kTestRam);
    Bus bus;
    Tracer tracer;
    Mmu mmu(memory, bus, tracer);
    Random random(5);
    for (int round = 0; round < 200; ++round) {
        for (u64 i = random.below(4); i != 0; --i) {
            const LinearAddress at(0x100000 + random.below(0x8000));
            ASSERT_TRUE(mmu.store(at, static_cast<u8>(random.next()), kKernel).ok);
        }
        PhysicalMemory fresh(kTestRam);
        ASSERT_TRUE(fresh.write(PhysicalAddress(0x100000), {memory.host(PhysicalAddress(0x100000)), 0x8000}));
        ASSERT_EQ(hash_of(memory), hash_of(fresh));
    }
}

TEST(PhysicalMemory, SavesOnlyFramesThatHoldSomething) {
    PhysicalMemory memory(64u << 20);
    put_byte(memory, 0x5000, 1);
    put_byte(memory, 0x3000000, 2);
    put_byte(memory, 0x3001000, 2);
    put_byte(memory, 0x3001000, 0);
    const std::vector<u8> bytes = save(memory);
    EXPECT_LT(bytes.size(), 2 * 4096u + 8192u);
    PhysicalMemory other(64u << 20);
    put_byte(other, 0x9999, 9); // must be gone afterwards
    LoadArchive load(bytes);
    other.serialize(load);
    ASSERT_TRUE(load.finish().ok()) << load.finish().error().message;
    EXPECT_EQ(hash_of(other), hash_of(memory));
    EXPECT_EQ(*other.host(PhysicalAddress(0x3000000)), 2);
    EXPECT_EQ(*other.host(PhysicalAddress(0x9999)), 0);
}

TEST(PhysicalMemory, RefusesASnapshotOfAnotherSizeOrACutOne) {
    PhysicalMemory memory(kTestRam), smaller(kTestRam / 2), same(kTestRam);
    put_byte(memory, 0x5000, 1);
    const std::vector<u8> bytes = save(memory);
    LoadArchive wrong_size(bytes);
    smaller.serialize(wrong_size);
    ASSERT_FALSE(wrong_size.finish().ok());
    EXPECT_NE(wrong_size.finish().error().message.find("-m"), std::string::npos);
    for (std::size_t cut = 0; cut < bytes.size(); cut += 97) {
        LoadArchive damaged({bytes.data(), cut});
        same.serialize(damaged);
        EXPECT_FALSE(damaged.finish().ok()) << cut;
    }
}

TEST(PhysicalMemory, LeavesTheGapToDevicesAndRom) {
    PhysicalMemory memory(kTestRam);
    EXPECT_TRUE(memory.is_memory(PhysicalAddress(0x9FFFF)));
    EXPECT_FALSE(memory.is_memory(PhysicalAddress(0xA0000)));
    EXPECT_FALSE(memory.is_memory(PhysicalAddress(0xFFFFF)));
    EXPECT_TRUE(memory.is_memory(PhysicalAddress(0x100000)));
    EXPECT_FALSE(memory.is_memory(PhysicalAddress(kTestRam)));
    EXPECT_FALSE(memory.is_memory(PhysicalAddress(0xFFFFFFFF)));
    memory.install_rom(PhysicalAddress(0xF0000), std::vector<u8>(0x10000, 0x55));
    EXPECT_TRUE(memory.is_memory(PhysicalAddress(0xF1234)));
    const u8 bytes[2] = {1, 2};
    EXPECT_FALSE(memory.write(PhysicalAddress(0x9FFFF), bytes));
    EXPECT_EQ(*memory.host(PhysicalAddress(0x9FFFF)), 0) << "all or nothing";
}

class Recorder : public IoHandler {
  public:
    u32 io_read(u32 address, u32 size) override {
        log.push_back(fmt::format("r{}@{:x}", size, address));
        return 0x44332211u + address;
    }
    void io_write(u32 address, u32 size, u32 value) override {
        log.push_back(fmt::format("w{}@{:x}={:x}", size, address, value));
    }
    std::vector<std::string> log;
};

TEST(Bus, SplitsWideAccessesLowToHighAndNeverBelowAlignment) {
    Bus bus;
    Recorder bytes, words, longs;
    bus.map_ports(0x10, 8, bytes, 1);
    bus.map_ports(0x20, 8, words, 2);
    bus.map_ports(0x30, 8, longs, 4);
    bus.write_port(0x10, 4, 0xDDCCBBAA);
    EXPECT_EQ(bytes.log, (std::vector<std::string>{"w1@10=aa", "w1@11=bb", "w1@12=cc", "w1@13=dd"}));
    bus.write_port(0x20, 4, 0xDDCCBBAA);
    bus.write_port(0x21, 2, 0xBBAA);
    EXPECT_EQ(words.log, (std::vector<std::string>{"w2@20=bbaa", "w2@22=ddcc", "w1@21=aa", "w1@22=bb"}));
    EXPECT_EQ(bus.read_port(0x30, 4), 0x44332241u);
    EXPECT_EQ(bus.read_port(0x30, 1), 0x41u) << "a device's upper bits do not leak";
    EXPECT_EQ(longs.log, (std::vector<std::string>{"r4@30", "r1@30"}));
}

TEST(Bus, ReadsAllOnesWhereNobodyAnswers) {
    Bus bus;
    Recorder device;
    bus.map_ports(0x10, 1, device, 1);
    EXPECT_EQ(bus.read_port(0x80, 1), 0xFFu);
    EXPECT_EQ(bus.read_port(0x80, 2), 0xFFFFu);
    EXPECT_EQ(bus.read_port(0x10, 2), 0xFF21u);
    EXPECT_EQ(bus.read_port(0xFFFF, 2), 0xFFFFu);
    EXPECT_EQ(bus.read_memory(PhysicalAddress(0xF0000000), 4), 0xFFFFFFFFu);
    bus.write_port(0x80, 4, 1);
}

TEST(Bus, GivesDeviceMemoryOffsetsIntoItsRange) {
    Bus bus;
    Recorder device;
    bus.map_memory(PhysicalAddress(0xB8000), 0x8000, device, 2);
    bus.write_memory(PhysicalAddress(0xB8FFE), 4, 0x07410742);
    EXPECT_EQ(device.log, (std::vector<std::string>{"w2@ffe=742", "w2@1000=741"}));
    EXPECT_EQ(bus.read_memory(PhysicalAddress(0xC0000), 1), 0xFFu);
}

} // namespace
} // namespace forkscope
