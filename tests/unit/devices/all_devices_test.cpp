// What every device must hold: no input breaks it, it is deterministic, and a snapshot is all of it.
#include <gtest/gtest.h>

#include "emu/base/random.hpp"
#include "guest/abi/ports.h"
#include "tests/unit/devices/all_devices.hpp"

namespace forkscope {
namespace {

// Where the devices answer.
const std::vector<u16>& device_ports() {
    static const std::vector<u16> kPorts = [] {
        constexpr std::pair<u16, u16> kRanges[] = {{0x00, 16},
                                                   {0x20, 2},
                                                   {0x40, 4},
                                                   {0x60, 2},
                                                   {0x64, 1},
                                                   {0x70, 2},
                                                   {0x80, 16},
                                                   {0x92, 1},
                                                   {0xA0, 2},
                                                   {0xC0, 32},
                                                   {0xF0, 1},
                                                   {0x2F8, 8},
                                                   {0x3B4, 2},
                                                   {0x3BA, 1},
                                                   {0x3C0, 16},
                                                   {0x3D4, 2},
                                                   {0x3DA, 1},
                                                   {0x3F8, 8},
                                                   {0x4D0, 2},
                                                   {ABI_PORT_DEBUG_CONSOLE, 1},
                                                   {ABI_PORT_EXIT, 1},
                                                   {ABI_PORT_FIRMWARE_SELECT, 5},
                                                   {ABI_PORT_TRACE_ID, 16},
                                                   {ABI_PORT_BOCHS_SHUTDOWN, 1}};
        std::vector<u16> ports;
        for (const auto& [first, count] : kRanges)
            for (u16 i = 0; i < count; ++i)
                ports.push_back(static_cast<u16>(first + i));
        return ports;
    }();
    return kPorts;
}

// One random thing that a guest, a host or time may do. Returns what the guest saw.
u64 disturb(AllDevices& devices, Random& random) {
    FakeWiring& wiring = devices.wiring;
    const std::vector<u16>& ports = device_ports();
    const u16 port = ports[random.below(ports.size())];
    const u32 size = 1u << random.below(3);
    const PhysicalAddress memory(VgaMemory::kStart + random.below(VgaMemory::kSize));
    switch (random.below(16)) {
    case 0:
        wiring.advance(random.below(300000));
        return 0;
    case 1:
        if (devices.pic.intr())
            return devices.pic.acknowledge();
        return 0;
    case 2:
        devices.com1.receive(static_cast<u8>(random.next()));
        devices.com2.receive(static_cast<u8>(random.next()));
        return 0;
    case 3:
        devices.keyboard.key(random.next(), static_cast<u8>(random.below(9)));
        return 0;
    case 4:
        wiring.bus().write_memory(memory, size, static_cast<u32>(random.next()));
        return 0;
    case 5:
        return wiring.bus().read_memory(memory, size);
    case 6:
        wiring.be_late(random.below(20000));
        return 0;
    case 7:
    case 8:
    case 9:
    case 10:
        return wiring.in(port, size);
    default:
        wiring.out(port, static_cast<u32>(random.next()), size);
        return 0;
    }
}

u64 run(AllDevices& devices, u64 seed, int operations) {
    Random random(seed);
    u64 seen = 0;
    for (int i = 0; i < operations; ++i)
        seen = seen * 0x9E3779B97F4A7C15ull + disturb(devices, random);
    return seen;
}

TEST(AllDevices, SurviveAMillionRandomOperationsAndDoTheSameEachTime) {
    const auto first = std::make_unique<AllDevices>();
    const auto second = std::make_unique<AllDevices>();
    const u64 seen = run(*first, 1, 1000000);
    EXPECT_EQ(run(*second, 1, 1000000), seen);
    EXPECT_EQ(second->wiring.hash(), first->wiring.hash());
    EXPECT_NE(run(*first, 2, 1000), run(*second, 3, 1000));
}

TEST(AllDevices, GoOnTheSameAfterSaveAndLoadAnywhere) {
    const auto original = std::make_unique<AllDevices>();
    const auto copy = std::make_unique<AllDevices>();
    for (u64 round = 0; round < 40; ++round) {
        run(*original, 100 + round, 1000);
        const std::vector<u8> saved = original->wiring.save();
        const auto result = copy->wiring.load(saved);
        ASSERT_TRUE(result.ok()) << result.error().message;
        ASSERT_EQ(copy->wiring.save(), saved);
        ASSERT_EQ(run(*original, 900 + round, 1000), run(*copy, 900 + round, 1000)) << "round " << round;
        ASSERT_EQ(original->wiring.hash(), copy->wiring.hash()) << "round " << round;
    }
}

TEST(AllDevices, LookingAtTheScreenChangesNothing) {
    const auto devices = std::make_unique<AllDevices>();
    run(*devices, 7, 20000);
    const u64 hash = devices->wiring.hash();
    devices->vga.text_screen();
    devices->vga.render(Blinking::ByTime);
    devices->pit.speaker();
    EXPECT_EQ(devices->wiring.hash(), hash);
}

TEST(AllDevices, SurviveTheScreenInAnyState) {
    const auto devices = std::make_unique<AllDevices>();
    for (u64 seed = 0; seed < 30; ++seed) {
        run(*devices, seed, 2000);
        const Picture picture = devices->vga.render(Blinking::ByTime);
        ASSERT_EQ(picture.pixels.size(), static_cast<std::size_t>(picture.width * picture.height));
        const TextScreen screen = devices->vga.text_screen();
        ASSERT_EQ(screen.cells.size(), static_cast<std::size_t>(screen.columns * screen.rows));
    }
}

TEST(AllDevices, SurviveDamagedSnapshots) {
    const auto devices = std::make_unique<AllDevices>();
    run(*devices, 11, 5000);
    const std::vector<u8> saved = devices->wiring.save();
    Random random(12);
    for (int i = 0; i < 100; ++i) {
        std::vector<u8> damaged = saved;
        for (int k = 0; k < 40; ++k) {
            // Most of a snapshot is display memory, which may hold anything: change another byte.
            const u64 at = random.below(damaged.size());
            damaged[random.chance(2) ? at : at % 4096] = static_cast<u8>(random.next());
            damaged[damaged.size() - 1 - random.below(3000)] = static_cast<u8>(random.next());
        }
        const auto victim = std::make_unique<AllDevices>();
        if (!victim->wiring.load(damaged).ok())
            continue;
        run(*victim, 13, 500);
    }
}

TEST(AllDevices, ComeBackToPowerOnByReset) {
    const auto fresh = std::make_unique<AllDevices>();
    const auto used = std::make_unique<AllDevices>();
    run(*used, 17, 20000);
    for (Device* device : used->all())
        device->reset();
    // The clock and its memory live on the battery; everything else is as new.
    for (std::size_t i = 0; i < used->all().size(); ++i) {
        if (used->all()[i] == &used->cmos || used->all()[i] == &used->pit)
            continue;
        SaveArchive archive;
        fresh->all()[i]->serialize(archive);
        const std::vector<u8> expected = archive.take();
        DiffArchive diff(expected);
        used->all()[i]->serialize(diff);
        EXPECT_TRUE(diff.differences().empty()) << used->all()[i]->name() << ": " << diff.differences().front();
    }
}

} // namespace
} // namespace forkscope
