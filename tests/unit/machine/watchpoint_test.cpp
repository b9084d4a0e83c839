// Watched bytes: each load and store is told, by linear or physical address, on every engine; nobody else can tell.
#include <gtest/gtest.h>

#include "emu/machine/machine.hpp"

namespace forkscope::test {
namespace {

constexpr u32 kProgram = 0x1000;
constexpr u32 kData = 0x5000;
constexpr u32 kAlias = 0x8000; // the same frame once more, with paging
constexpr u32 kDirectory = 0x10000, kTable = 0x11000;

struct Told {
    u32 id;
    u64 address;
    AccessKind kind;
    u64 instructions; // retired before the one that accessed
};

class Watchpoints : public testing::TestWithParam<EngineKind> {
  protected:
    Watchpoints() {
        MachineConfig config;
        config.engine = GetParam();
        machine = std::move(Machine::create(std::move(config)).value());
        owner = machine->watchpoints().new_owner([this](const WatchHit& hit) {
            told.push_back({hit.id, hit.address, hit.kind, machine->instructions()});
            machine->request_stop(hit.id);
        });
    }

    // Flat 32-bit protected mode; with paging the first 4 MB map to themselves, but kAlias to kData.
    void start(std::span<const u8> code, bool paging = false) {
        write(kProgram, code);
        CpuState state = machine->registers();
        const SegmentCache data = SegmentCache::from(0x10, {0x00CF93000000FFFF, {}});
        for (SegmentCache& segment : state.segments)
            segment = data;
        state.segments[kCs] = SegmentCache::from(0x08, {0x00CF9B000000FFFF, {}});
        state.cr0 |= kCr0Pe;
        state.eip = kProgram;
        state.set_reg<u32>(kEsp, kData + 0x100);
        state.set_reg<u32>(kEdi, kData - 8);
        state.set_reg<u32>(kEcx, 4);
        if (paging) {
            write_word(kDirectory, kTable | 3);
            for (u32 page = 0; page < 1024; ++page)
                write_word(kTable + 4 * page, (page == kAlias >> 12 ? kData : page << 12) | 3);
            state.cr3 = kDirectory;
            state.cr0 |= kCr0Pg;
        }
        machine->mmu().set_a20(true);
        machine->cpu().set_state(state);
    }
    void write(u32 address, std::span<const u8> bytes) {
        ASSERT_TRUE(machine->mmu().poke_physical(PhysicalAddress(address), bytes));
    }
    void write_word(u32 address, u32 value) {
        write(address, std::span(reinterpret_cast<const u8*>(&value), sizeof value));
    }
    StopReason run(u64 instructions) { return machine->run({kNever, machine->instructions() + instructions}); }
    u32 watch(u64 address, u32 size, bool reads, bool writes, WatchSpace space = WatchSpace::Linear) {
        return machine->watchpoints().add(owner, {space, address, size, reads, writes});
    }

    std::vector<Told> told;
    std::unique_ptr<Machine> machine;
    OwnedWatchpoints::Owner owner{};
};

TEST_P(Watchpoints, TellOfTheFirstWatchedByteAndStopBehindTheInstruction) {
    // nop; mov dword [kData], 1; nop
    start(std::to_array<u8>({0x90, 0xC7, 0x05, 0x00, 0x50, 0, 0, 1, 0, 0, 0, 0x90}));
    const u32 id = watch(kData + 2, 8, false, true);
    const StopReason reason = run(10);
    EXPECT_EQ(reason.kind, StopKind::Requested);
    EXPECT_EQ(reason.id, id);
    EXPECT_EQ(machine->instructions(), 2u);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].address, kData + 2) << "clipped to what is watched";
    EXPECT_EQ(told[0].instructions, 1u);
}

TEST_P(Watchpoints, TellReadsFromWritesAndUpdatesAsBoth) {
    // mov eax, [kData]; mov [kData], eax; inc dword [kData]; push eax (at kData + 0xFC)
    start(std::to_array<u8>({0xA1, 0, 0x50, 0, 0, 0xA3, 0, 0x50, 0, 0, 0xFF, 0x05, 0, 0x50, 0, 0, 0x50}));
    const u32 reads = watch(kData, 4, true, false);
    const u32 writes = watch(kData, 0x100, false, true);
    for (int i = 0; i < 4; ++i)
        EXPECT_EQ(machine->step().kind, StopKind::Requested) << i;
    std::vector<std::pair<u32, u64>> seen;
    for (const Told& one : told)
        seen.emplace_back(one.id, one.instructions);
    EXPECT_EQ(seen, (std::vector<std::pair<u32, u64>>{{reads, 0}, {writes, 1}, {writes, 2}, {reads, 2}, {writes, 3}}));
}

TEST_P(Watchpoints, StopARepeatedStoreAtItsIteration) {
    // rep stosd, from kData - 8
    start(std::to_array<u8>({0xF3, 0xAB, 0x90}));
    watch(kData + 1, 1, false, true);
    EXPECT_EQ(run(10).kind, StopKind::Requested);
    EXPECT_EQ(machine->registers().reg<u32>(kEcx), 1u);
    EXPECT_EQ(machine->registers().eip, kProgram);
    EXPECT_EQ(run(2).kind, StopKind::Limit);
}

TEST_P(Watchpoints, FindAPhysicalByteByEveryMapping) {
    // mov [kAlias + 8], eax; mov [kData + 8], eax
    start(std::to_array<u8>({0xA3, 0x08, 0x80, 0, 0, 0xA3, 0x08, 0x50, 0, 0}), true);
    const u32 physical = watch(kData + 8, 4, false, true, WatchSpace::Physical);
    const u32 linear = watch(kAlias + 8, 4, false, true);
    EXPECT_EQ(machine->step().kind, StopKind::Requested);
    EXPECT_EQ(machine->step().kind, StopKind::Requested);
    ASSERT_EQ(told.size(), 3u);
    EXPECT_EQ(told[0].id, linear);
    EXPECT_EQ(told[1].id, physical);
    EXPECT_EQ(told[1].address, kData + 8);
    EXPECT_EQ(told[2].id, physical);
}

TEST_P(Watchpoints, BelongToTheirOwnersSurviveRestoreAndAreNoState) {
    // top: inc dword [kData]; jmp top
    start(std::to_array<u8>({0xFF, 0x05, 0, 0x50, 0, 0, 0xEB, 0xF8}));
    run(100); // the page is in the fast table now
    const Snapshot before = machine->snapshot();
    const u64 hash = machine->hash();
    const u32 id = watch(kData, 1, false, true, WatchSpace::Physical);
    const auto other = machine->watchpoints().new_owner([](const WatchHit&) {});
    EXPECT_FALSE(machine->watchpoints().remove(other, id));
    EXPECT_EQ(machine->hash(), hash);
    EXPECT_EQ(run(10).kind, StopKind::Requested);
    ASSERT_TRUE(machine->restore(before).ok());
    EXPECT_EQ(run(10).kind, StopKind::Requested);
    EXPECT_TRUE(machine->watchpoints().remove(owner, id));
    EXPECT_TRUE(machine->watchpoints().empty());
    ASSERT_TRUE(machine->restore(before).ok());
    EXPECT_EQ(machine->hash(), hash);
    run(1000);
    const u64 unwatched = machine->hash();
    ASSERT_TRUE(machine->restore(before).ok());
    watch(kData + 8, 8, true, true);
    run(1000);
    EXPECT_EQ(machine->hash(), unwatched) << "the slow path changes nothing that the guest could tell";
}

INSTANTIATE_TEST_SUITE_P(Engines, Watchpoints, testing::Values(EngineKind::Interpreter, EngineKind::Block),
                         [](const auto& param) { return param.param == EngineKind::Block ? "Block" : "Interpreter"; });

} // namespace
} // namespace forkscope::test
