// The same firmware on QEMU, whose devices and processor we did not write, must leave the same memory behind.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "emu/machine/images.hpp"
#include "tests/golden/firmware_machine.hpp"

namespace forkscope {
namespace {

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

class FirmwareOnQemu : public testing::Test {
  protected:
    void SetUp() override {
        if (std::system("command -v qemu-system-i386 >/dev/null") != 0)
            GTEST_SKIP() << "qemu-system-i386 is not installed";
        std::string name = (std::filesystem::temp_directory_path() / "forkscope-firmware-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        folder_ = name;
        const std::span<const u8> image = embedded_firmware();
        std::ofstream(folder_ / "firmware.bin", std::ios::binary)
            .write(reinterpret_cast<const char*>(image.data()), static_cast<std::streamsize>(image.size()));
    }
    void TearDown() override {
        if (!folder_.empty())
            std::filesystem::remove_all(folder_);
    }

    // Runs QEMU until the firmware has said its last words, saves what the commands ask for, and ends it.
    void run_qemu(const std::string& monitor_commands, const std::string& last_words) {
        const std::string command = "cd '" + folder_.string() +
                                    "' && timeout 60 qemu-system-i386 -bios firmware.bin -m 64 -display none "
                                    "-rtc base=2026-03-04T05:06:07 -debugcon file:console -monitor stdio >/dev/null";
        FILE* monitor = popen(command.c_str(), "w");
        ASSERT_NE(monitor, nullptr);
        for (int i = 0; i < 300 && read_file(folder_ / "console").find(last_words) == std::string::npos; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        std::fputs((monitor_commands + "quit\n").c_str(), monitor);
        EXPECT_EQ(pclose(monitor), 0);
    }

    std::filesystem::path folder_;
};

} // namespace

TEST_F(FirmwareOnQemu, LeavesTheSameVectorsDataAreaAndScreen) {
    MachineConfig config;
    config.rtc_start = 1772600767; // 2026-03-04 05:06:07
    FirmwareMachine ours(config);
    ours.run_firmware();
    run_qemu("stop\npmemsave 0 0x500 low\npmemsave 0xB8000 0x8000 screen\n", "(--kernel FILE).\n");

    EXPECT_EQ(read_file(folder_ / "console"), ours.console());
    const std::string low = read_file(folder_ / "low");
    ASSERT_EQ(low.size(), 0x500u);
    const std::vector<u8> our_low = ours.memory(0, 0x500);
    for (u32 i = 0; i < 0x500; ++i) {
        const bool tick = i >= 0x46C && i < 0x470; // they have gone on
        EXPECT_TRUE(tick || static_cast<u8>(low[i]) == our_low[i]) << std::hex << i;
    }
    const std::string screen = read_file(folder_ / "screen");
    ASSERT_EQ(screen.size(), 0x8000u);
    for (int i = 0; i < 80 * 25; ++i) {
        const u16 cell = static_cast<u16>(static_cast<u8>(screen[2 * i]) | static_cast<u8>(screen[2 * i + 1]) << 8);
        ASSERT_EQ(cell, ours.cell(i / 80, i % 80)) << i;
    }
}

} // namespace forkscope
