// FrameOwners against a scan of all page tables, after random writes into them: shared tables, large pages, windows.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "emu/base/log.hpp"
#include "emu/base/random.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "emu/observe/tables/table_map.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {
namespace {

constexpr u64 kRam = 16u << 20;
constexpr u32 kFirstTable = 0x200000, kTables = 40; // frames that serve as tables, or could
constexpr u32 kFirstPage = 0x400000, kPages = 64;   // frames that are mapped

// All mappings of all frames, by going through every entry of every space that the map knows.
using Owners = std::map<u64, std::vector<FrameMapping>>;

class Scan {
  public:
    explicit Scan(const TableMap& map) : reader_(map.reader()) {
        for (const AddressSpace space : map.owners().spaces())
            for (const u64 directory : reader_.directories(space))
                if (directory != 0)
                    is_directory_[directory] = true;
        for (const AddressSpace space : map.owners().spaces()) {
            u32 first = 0;
            for (const u64 directory : reader_.directories(space)) {
                if (directory != 0 || !reader_.control().pae())
                    add_directory(space, directory, first);
                first += 1u << 30;
            }
        }
        for (auto& [frame, found] : owners)
            std::sort(found.begin(), found.end(), [](const FrameMapping& a, const FrameMapping& b) {
                return std::tie(a.space, a.linear) < std::tie(b.space, b.linear);
            });
    }

    Owners owners; // by frame number

  private:
    void add(u64 frame, const FrameMapping& mapping) {
        if (frame < kRam >> kPageShift)
            owners[frame].push_back(mapping);
    }
    FrameMapping mapping_of(AddressSpace space, u32 linear, u64 entry_address, u64 leaf, u64 upper, u8 level) const {
        FrameMapping found;
        found.space = space;
        found.linear = LinearAddress(linear);
        found.entry_address = entry_address;
        found.rights = static_cast<u32>(leaf & upper & (kPteWritable | kPteUser)) | static_cast<u32>(leaf & kPteGlobal);
        found.no_execute = ((leaf | upper) & kPteNoExecute) != 0;
        found.level = level;
        return found;
    }
    void add_directory(AddressSpace space, u64 directory, u32 first) {
        const PagingGeometry& geometry = reader_.geometry();
        const std::vector<u64> entries = reader_.table(directory);
        for (u32 slot = 0; slot < entries.size(); ++slot) {
            const u64 entry = entries[slot];
            const u32 linear = first + (slot << geometry.large_shift);
            const u64 at = directory + u64{slot} * geometry.entry_bytes;
            if ((entry & kPtePresent) == 0)
                continue;
            if (!reader_.is_large(entry)) {
                add_table(space, entry, linear);
                continue;
            }
            const u64 frame = frame_of(entry, true, reader_.control()) >> kPageShift;
            for (u32 page = 0; page < geometry.entries(); ++page)
                add(frame + page, mapping_of(space, linear + page * kPageSize, at, entry, entry, 2));
        }
    }
    void add_table(AddressSpace space, u64 upper, u32 first) {
        const u64 table = upper & kPteFrame;
        if (!reader_.memory().is_memory(PhysicalAddress(table)))
            return;
        const std::vector<u64> entries = reader_.table(table);
        for (u32 slot = 0; slot < entries.size(); ++slot) {
            if ((entries[slot] & kPtePresent) == 0)
                continue;
            FrameMapping found =
                mapping_of(space, first + slot * kPageSize, table + u64{slot} * reader_.geometry().entry_bytes,
                           entries[slot], upper, 1);
            found.window = is_directory_.count(table) != 0;
            add((entries[slot] & kPteFrame) >> kPageShift, found);
        }
    }

    const AddressSpaceReader& reader_;
    std::map<u64, bool> is_directory_;
};

// A kernel that writes its tables at random.
class Kernel {
  public:
    Kernel(u64 seed, bool pae) : random_(seed), pae_(pae), map_(memory_) {
        if (pae_)
            emit(TraceKind::ControlRegister, 4, kCr4Pse | kCr4Pge, kCr4Pse | kCr4Pge | kCr4Pae);
    }

    void step() {
        const u64 dice = random_.below(100);
        if (dice < 4)
            load_space();
        else if (dice < 5)
            emit(TraceKind::Tracepoint, TP_FRAME_FREE, table_frame());
        else if (dice < 6 && !pae_)
            toggle_large_pages();
        else if (dice < 40)
            write(directory_slot(), directory_entry());
        else
            write(table_frame() + u64{random_.below(slots())} * width(), entry_to(page_frame()));
    }
    // Empty: they agree.
    std::string compare() const {
        const Owners expected = Scan(map_).owners;
        const std::vector<FrameMapping> none;
        for (u64 frame = 0; frame < kRam >> kPageShift; ++frame) {
            const auto place = expected.find(frame);
            const std::vector<FrameMapping>& wanted = place != expected.end() ? place->second : none;
            const PhysicalAddress at(frame << kPageShift);
            const std::vector<FrameMapping> found = map_.owners().mappings(at);
            if (found != wanted || map_.owners().count(at) != wanted.size())
                return fmt::format("frame {:#x}: {} mappings instead of {}", frame, found.size(), wanted.size());
            seen_ += wanted.size();
            for (const FrameMapping& mapping : wanted) {
                windows_ += mapping.window;
                large_ += mapping.level == 2;
                shared_ += wanted.size() > 1;
            }
        }
        return {};
    }
    u64 seen() const { return seen_; }
    u64 windows() const { return windows_; }
    u64 large() const { return large_; }
    u64 shared() const { return shared_; }

  private:
    u32 width() const { return pae_ ? 8 : 4; }
    u32 slots() const { return kPageSize / width(); }
    u32 table_frame() { return kFirstTable + static_cast<u32>(random_.below(kTables)) * kPageSize; }
    u32 page_frame() { return kFirstPage + static_cast<u32>(random_.below(kPages)) * kPageSize; }
    // A quarter of all slots, so that entries are replaced and cleared.
    u64 directory_slot() { return table_frame() + u64{random_.below(slots() / 4)} * width(); }
    u64 entry_to(u64 frame) {
        u64 entry = frame | random_.below(8) | (random_.chance(4) ? u32{kPteGlobal} : 0);
        if (pae_ && random_.chance(8))
            entry |= kPteNoExecute;
        return random_.chance(16) ? random_.next() & (pae_ ? 0xFFFFFFFFF : 0xFFFFFFFF) : entry;
    }
    u64 directory_entry() {
        if (random_.chance(4)) // RAM ends in the middle of some
            return entry_to(random_.below(6) << (pae_ ? 21 : 22)) | kPteLarge;
        return entry_to(table_frame());
    }
    void emit(TraceKind kind, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0) {
        TraceEvent event;
        event.kind = kind;
        event.a = a, event.b = b, event.c = c, event.d = d;
        event.address_space = cr3_;
        map_.on_event(event);
    }
    void write(u64 at, u64 value) {
        u64 old = 0;
        std::memcpy(&old, memory_.host(PhysicalAddress(at)), width());
        std::memcpy(memory_.host(PhysicalAddress(at)), &value, width());
        emit(TraceKind::PteWrite, at, old, value, 0);
    }
    void load_space() {
        u32 root = table_frame();
        if (pae_) { // four pointers, each to one of the frames; some spaces share directories
            root = kPointers + static_cast<u32>(random_.below(6)) * 32;
            for (u32 i = 0; i < 4; ++i) {
                const u64 pointer = table_frame() | (random_.chance(4) ? 0 : 1);
                std::memcpy(memory_.host(PhysicalAddress(root + i * 8)), &pointer, sizeof pointer);
            }
        } else if (random_.chance(2)) {
            write(root + 1023 * 4, root | kPtePresent | kPteWritable); // a self-map
        }
        emit(TraceKind::Cr3Load, cr3_, root);
        cr3_ = root;
        emit(TraceKind::TlbFlush, static_cast<u64>(TlbFlushReason::Cr3));
    }
    void toggle_large_pages() {
        const u32 cr4 = map_.reader().control().cr4;
        emit(TraceKind::ControlRegister, 4, cr4, cr4 ^ kCr4Pse);
    }

    static constexpr u32 kPointers = 0x1000;
    Random random_;
    bool pae_;
    u32 cr3_ = 0;
    PhysicalMemory memory_{kRam};
    TableMap map_;
    mutable u64 seen_ = 0, windows_ = 0, large_ = 0, shared_ = 0;
};

class FrameOwnersOf : public testing::TestWithParam<bool> {};

TEST_P(FrameOwnersOf, AgreeWithAScanOfAllTablesAfterRandomWrites) {
    u64 seen = 0, windows = 0, large = 0, shared = 0;
    for (u64 seed = 1; seed <= 20; ++seed) {
        Kernel kernel(seed, GetParam());
        for (u32 round = 0; round < 12; ++round) {
            for (u32 i = 0; i < 250; ++i)
                kernel.step();
            ASSERT_EQ(kernel.compare(), "") << "seed " << seed << ", round " << round;
        }
        seen += kernel.seen(), windows += kernel.windows(), large += kernel.large(), shared += kernel.shared();
    }
    EXPECT_GT(seen, 100000u);
    EXPECT_GT(windows, 1000u);
    EXPECT_GT(large, 10000u);
    EXPECT_GT(shared, 10000u);
}

INSTANTIATE_TEST_SUITE_P(Modes, FrameOwnersOf, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& with) { return with.param ? "pae" : "paging32"; });

// Two spaces by hand: a page of their own each, one that they share, and a kernel table that both use.
class TwoSpaces : public testing::Test {
  protected:
    TwoSpaces() {
        for (const AddressSpace space : {kParent, kChild}) {
            const u32 table = space == kParent ? 0x3000 : 0x4000;
            put(space.root + 4, table | kPtePresent | kPteWritable | kPteUser);
            put(space.root + 0x300 * 4, kKernelTable | kPtePresent | kPteWritable);
            put(space.root + 0x301 * 4, 0x800000 | kPtePresent | kPteWritable | kPteLarge);
            put(table, kShared | kPtePresent | kPteUser);
            put(table + 4, (space == kParent ? 0x7000 : 0x8000) | kPtePresent | kPteWritable | kPteUser);
        }
        put(kKernelTable, 0x9000 | kPtePresent | kPteWritable);
        PagingControl control;
        control.cr4 = kCr4Pse;
        owners.set_control(control);
        owners.add_space(kParent);
        owners.add_space(kChild);
    }
    void put(u32 at, u32 value) { std::memcpy(memory.host(PhysicalAddress(at)), &value, sizeof value); }
    void write(u32 at, u32 value) {
        put(at, value);
        owners.entry_written(PhysicalAddress(at));
    }

    static constexpr AddressSpace kParent{0x1000}, kChild{0x2000};
    static constexpr u32 kKernelTable = 0x5000, kShared = 0x6000;
    PhysicalMemory memory{kRam};
    FrameOwners owners{memory};
};

TEST_F(TwoSpaces, TellWhoElseMapsAFrameAndWithWhichRights) {
    const std::vector<FrameMapping> shared = owners.mappings(PhysicalAddress(kShared));
    ASSERT_EQ(shared.size(), 2u);
    EXPECT_EQ(shared[0].space, kParent);
    EXPECT_EQ(shared[1].space, kChild);
    EXPECT_EQ(shared[1].linear, LinearAddress(0x400000));
    EXPECT_EQ(shared[1].rights, u32{kPteUser});
    EXPECT_TRUE(owners.is_shared(PhysicalAddress(kShared), kParent, LinearAddress(0x400123)));
    EXPECT_FALSE(owners.is_shared(PhysicalAddress(0x7000), kParent, LinearAddress(0x401000)));
    write(0x4000, 0xA000 | kPtePresent | kPteWritable | kPteUser); // the child has a copy of its own now
    EXPECT_FALSE(owners.is_shared(PhysicalAddress(kShared), kParent, LinearAddress(0x400000)));
    EXPECT_EQ(owners.mappings(PhysicalAddress(0xA000)).at(0).rights, u32{kPteWritable | kPteUser});
}

TEST_F(TwoSpaces, CountAnEntryOnceThatBothUseButItsMappingsTwice) {
    EXPECT_EQ(owners.entries(PhysicalAddress(0x9000)), 1u);
    EXPECT_EQ(owners.count(PhysicalAddress(0x9000)), 2u);
    EXPECT_EQ(owners.entries(PhysicalAddress(0x9FF000)), 2u) << "the last frame of the large page";
    EXPECT_EQ(owners.mappings(PhysicalAddress(0x9FF000)).at(1).linear, LinearAddress(0xC05FF000));
    EXPECT_EQ(owners.tables(), 5u);
    owners.remove_space(kParent);
    EXPECT_EQ(owners.count(PhysicalAddress(0x9000)), 1u);
    EXPECT_EQ(owners.tables(), 3u) << "the kernel's table stays with the other";
    owners.remove_space(kChild);
    EXPECT_EQ(owners.tables(), 0u);
    EXPECT_EQ(owners.entries(PhysicalAddress(0x9000)), 0u);
}

TEST_F(TwoSpaces, BelieveMemoryWhereAStoreWentUnseen) {
    ASSERT_EQ(owners.count(PhysicalAddress(kShared)), 2u);
    put(0x4000, 0);
    EXPECT_EQ(owners.count(PhysicalAddress(kShared)), 1u);
    put(0x3000, 0xA000 | kPtePresent);
    owners.table_changed(PhysicalAddress(0x3000));
    EXPECT_EQ(owners.count(PhysicalAddress(kShared)), 0u);
    EXPECT_EQ(owners.count(PhysicalAddress(0xA000)), 1u);
}

TEST_F(TwoSpaces, SayThatSomethingWasLeftOutToBoundMemory) {
    FrameOwners few(memory, 4);
    few.add_space(kParent);
    few.add_space(kChild);
    EXPECT_EQ(few.entries(PhysicalAddress(0x7000)) + few.entries(PhysicalAddress(0x8000)), 1u);
    EXPECT_FALSE(few.whole());
    EXPECT_LE(few.tables(), 4u);
    EXPECT_EQ(owners.entries(PhysicalAddress(0x7000)), 1u);
    EXPECT_TRUE(owners.whole());
}

} // namespace
} // namespace forkscope
