#include "tests/golden/firmware_machine.hpp"

namespace forkscope {
namespace {

class FirmwareServices : public testing::Test {
  protected:
    void SetUp() override { start({}); }
    void start(const MachineConfig& config) {
        machine_ = std::make_unique<FirmwareMachine>(config);
        machine_->run_firmware();
    }
    ServiceRegisters video(u32 eax, u32 ebx = 0, u32 ecx = 0, u32 edx = 0) {
        return machine_->call(0x10, {eax, ebx, ecx, edx});
    }
    ServiceRegisters system(u32 eax) { return machine_->call(0x15, {eax}); }
    void print(const std::string& text) {
        for (const char character : text)
            video(0x0E00u | static_cast<u8>(character));
    }
    u16 typed() { return machine_->call(0x16, {0x0000}).ax(); }

    std::unique_ptr<FirmwareMachine> machine_;
};

struct Range {
    u64 base, length;
    u32 kind;
    bool operator==(const Range& other) const {
        return base == other.base && length == other.length && kind == other.kind;
    }
};

// Frequency of the tick: 1193182 Hz by 65536.
u64 ticks_at(u64 seconds) { return seconds * 1193182 / 65536; }

} // namespace

TEST_F(FirmwareServices, TellEquipmentAndLowMemory) {
    EXPECT_EQ(machine_->call(0x11, {}).ax(), 0x0222) << "coprocessor, colour display, one serial port";
    EXPECT_EQ(machine_->call(0x12, {}).ax(), 639);
    EXPECT_EQ(machine_->number(0x400, 2), 0x3F8u) << "COM1";
    EXPECT_EQ(machine_->number(0x413, 2), 639u);
    EXPECT_EQ(machine_->number(0x40E, 2), 0x9FC0u) << "the extended data area";
    EXPECT_EQ(machine_->number(0x9FC00, 1), 1u) << "its KB";
    EXPECT_EQ(machine_->number(0x449, 1), 3u) << "video mode";
    EXPECT_EQ(machine_->number(0x44A, 2), 80u);
    EXPECT_EQ(machine_->number(0x463, 2), 0x3D4u);
}

TEST_F(FirmwareServices, KeepTheRegistersThatAreNoResults) {
    ServiceRegisters in;
    in.eax = 0x12340E41;
    in.ebx = 0x22220000;
    in.ecx = 0x33333333;
    in.edx = 0x44444444;
    in.edi = 0x55555555;
    in.es = 0x1234;
    in.flags = 0x0A97; // overflow, sign, adjust, parity, carry
    const ServiceRegisters out = machine_->call(0x10, in);
    EXPECT_EQ(out.eax, in.eax);
    EXPECT_EQ(out.ebx, in.ebx);
    EXPECT_EQ(out.ecx, in.ecx);
    EXPECT_EQ(out.edx, in.edx);
    EXPECT_EQ(out.edi, in.edi);
    EXPECT_EQ(out.es, in.es);
    EXPECT_EQ(out.flags, in.flags);
}

TEST_F(FirmwareServices, ListTheMemoryMap) {
    constexpr u32 kBuffer = 0x9000;
    std::vector<Range> map;
    ServiceRegisters in;
    in.edi = kBuffer;
    do {
        in.eax = 0xE820;
        in.ecx = 20;
        in.edx = 0x534D4150;
        const ServiceRegisters out = machine_->call(0x15, in);
        ASSERT_EQ(out.flags & kCarry, 0);
        EXPECT_EQ(out.eax, 0x534D4150u);
        EXPECT_EQ(out.ecx, 20u);
        map.push_back({machine_->number(kBuffer, 8), machine_->number(kBuffer + 8, 8),
                       static_cast<u32>(machine_->number(kBuffer + 16, 4))});
        in.ebx = out.ebx;
    } while (in.ebx != 0 && map.size() < 20);
    const std::vector<Range> expected = {{0, 0x9FC00, 1},
                                         {0x9FC00, 0x400, 2},
                                         {0xF0000, 0x10000, 2},
                                         {0x100000, u64{63} << 20, 1},
                                         {0xFFFF0000, 0x10000, 2}};
    EXPECT_TRUE(map == expected);
}

TEST_F(FirmwareServices, RefuseAMemoryMapThatWasNotAskedForProperly) {
    for (const ServiceRegisters& in :
         {ServiceRegisters{0xE820, 0, 20, 0x534D4151}, ServiceRegisters{0xE820, 5, 20, 0x534D4150},
          ServiceRegisters{0xE820, 0, 19, 0x534D4150}}) {
        const ServiceRegisters out = machine_->call(0x15, in);
        EXPECT_EQ(out.flags & kCarry, kCarry);
        EXPECT_EQ(out.ah(), 0x86);
    }
}

TEST_F(FirmwareServices, TellMemoryAbove1MInTheOlderWays) {
    EXPECT_EQ(system(0x8800).ax(), 63 * 1024);
    const ServiceRegisters sizes = system(0xE801);
    EXPECT_EQ(sizes.ax(), 15 * 1024);
    EXPECT_EQ(sizes.cx(), 15 * 1024);
    EXPECT_EQ(sizes.bx(), 48 * 16);
    EXPECT_EQ(sizes.dx(), 48 * 16);

    MachineConfig config;
    config.ram_bytes = u64{4} << 20;
    start(config);
    EXPECT_EQ(system(0x8800).ax(), 3 * 1024);
    EXPECT_EQ(system(0xE801).ax(), 3 * 1024);
    EXPECT_EQ(system(0xE801).bx(), 0);

    config.ram_bytes = u64{2} << 30;
    start(config);
    EXPECT_EQ(system(0x8800).ax(), 0xFFFF);
    EXPECT_EQ(system(0xE801).bx(), (2048 - 16) * 16);
}

TEST_F(FirmwareServices, DescribeAnAtAndRefuseTheUnknown) {
    const ServiceRegisters description = system(0xC000);
    EXPECT_EQ(description.flags & kCarry, 0);
    EXPECT_EQ(machine_->number((u32{description.es} << 4) + description.bx() + 2, 1), 0xFCu);
    const ServiceRegisters unknown = system(0x5300);
    EXPECT_EQ(unknown.flags & kCarry, kCarry);
    EXPECT_EQ(unknown.ah(), 0x86);
}

TEST_F(FirmwareServices, CloseAndOpenA20) {
    EXPECT_EQ(system(0x2402).al(), 1);
    EXPECT_EQ(system(0x2403).bx(), 3);
    EXPECT_EQ(system(0x2400).ah(), 0);
    EXPECT_FALSE((*machine_)->mmu().paging().a20());
    EXPECT_EQ(system(0x2402).al(), 0);
    EXPECT_EQ(system(0x2401).flags & kCarry, 0);
    EXPECT_TRUE((*machine_)->mmu().paging().a20());
    EXPECT_EQ(system(0x2404).flags & kCarry, kCarry);
}

TEST_F(FirmwareServices, HaveNoDrives) {
    for (const u32 function : {0x0000u, 0x0201u, 0x0800u, 0x4100u}) {
        const ServiceRegisters out = machine_->call(0x13, {function, 0, 1, 0x80});
        EXPECT_EQ(out.flags & kCarry, kCarry);
        EXPECT_EQ(out.ah(), 1);
    }
    EXPECT_EQ(machine_->call(0x13, {0x1500, 0, 0, 0x80}).ah(), 0) << "not there";
}

TEST_F(FirmwareServices, WriteCharactersWhereTheCursorIs) {
    video(0x0200, 0, 0, 0x0A14); // row 10, column 20
    const ServiceRegisters at = video(0x0300);
    EXPECT_EQ(at.dx(), 0x0A14);
    EXPECT_EQ(at.cx(), 0x0607);
    print("Hi");
    EXPECT_EQ(machine_->cell(10, 20), 0x0748);
    EXPECT_EQ(machine_->cell(10, 21), 0x0769);
    EXPECT_EQ(video(0x0300).dx(), 0x0A16);
    const TextScreen screen = (*machine_)->vga().text_screen();
    EXPECT_EQ(screen.cursor_x, 22);
    EXPECT_EQ(screen.cursor_y, 10);
    EXPECT_TRUE(screen.cursor_visible);
    video(0x0900 | '*', 0x1E, 3);
    EXPECT_EQ(machine_->cell(10, 22), 0x1E2A);
    EXPECT_EQ(machine_->cell(10, 24), 0x1E2A);
    EXPECT_EQ(machine_->cell(10, 25), 0x0720);
    video(0x0A00 | '+', 0x70, 2);
    EXPECT_EQ(machine_->cell(10, 23), 0x1E2B) << "the colours stay";
    EXPECT_EQ(video(0x0800).ax(), 0x1E2B);
    EXPECT_EQ(video(0x0300).dx(), 0x0A16) << "the cursor stays";
}

TEST_F(FirmwareServices, MoveTheCursorAsATeletypeDoes) {
    video(0x0200, 0, 0, 0x054F);
    print("ab");
    EXPECT_EQ(machine_->cell(5, 79) & 0xFF, 'a');
    EXPECT_EQ(machine_->cell(6, 0) & 0xFF, 'b');
    print("\b\b\b");
    EXPECT_EQ(video(0x0300).dx(), 0x0600);
    print("xyz\rc\n\a");
    EXPECT_EQ(machine_->row(6), "cyz");
    EXPECT_EQ(video(0x0300).dx(), 0x0701);
}

TEST_F(FirmwareServices, ScrollTheScreenAtItsEnd) {
    video(0x0200, 0, 0, 0x1800);
    print("last");
    video(0x0200, 0, 0, 0x184F);
    video(0x0900 | ' ', 0x4F, 1);
    print("\n");
    EXPECT_EQ(machine_->row(23), "last");
    EXPECT_EQ(machine_->row(0), "Nothing to boot: no kernel was given and there is no disk.");
    EXPECT_EQ(machine_->cell(24, 0), 0x4F20) << "the colours of the last cell";
    EXPECT_EQ(video(0x0300).dx(), 0x184F);
}

TEST_F(FirmwareServices, ScrollAWindowUpAndDown) {
    const auto fill = [this] {
        for (u32 row = 0; row < 25; ++row) {
            video(0x0200, 0, 0, row << 8);
            video(0x0900 | ('A' + row), 0x07, 80);
        }
    };
    const auto column = [this](int x) {
        std::string text;
        for (int row = 0; row < 25; ++row)
            text += static_cast<char>(machine_->cell(row, x));
        return text;
    };
    const std::string plain = "ABCDEFGHIJKLMNOPQRSTUVWXY";
    fill();
    video(0x0602, 0x1700, 0x0305, 0x080A); // up by 2: rows 3 to 8, columns 5 to 10
    EXPECT_EQ(column(4), plain);
    EXPECT_EQ(column(5), "ABCFGHI  JKLMNOPQRSTUVWXY");
    EXPECT_EQ(column(10), column(5));
    EXPECT_EQ(column(11), plain);
    EXPECT_EQ(machine_->cell(8, 10), 0x1720);
    fill();
    video(0x0701, 0x0700, 0x0305, 0x080A);
    EXPECT_EQ(column(5), "ABC DEFGHJKLMNOPQRSTUVWXY");
    fill();
    video(0x0709, 0x0700, 0x0305, 0x080A);
    EXPECT_EQ(column(5), "ABC      JKLMNOPQRSTUVWXY");
    fill();
    video(0x0600, 0x0700, 0x0000, 0xFFFF);
    EXPECT_EQ(column(0) + column(79), std::string(50, ' '));
}

TEST_F(FirmwareServices, ShowPagesWithCursorsOfTheirOwn) {
    video(0x0200, 0x0100, 0, 0x0203);
    video(0x0501);
    const TextScreen screen = (*machine_)->vga().text_screen();
    EXPECT_EQ(screen.cursor_x, 3);
    EXPECT_EQ(screen.cursor_y, 2);
    EXPECT_EQ(machine_->row(0), "");
    EXPECT_EQ(video(0x0F00).bx() >> 8, 1);
    print("page");
    EXPECT_EQ(machine_->row(2), "   page");
    video(0x0500);
    EXPECT_EQ(machine_->row(0), "Forkscope firmware, 64 MB RAM");
}

TEST_F(FirmwareServices, BringTheScreenBackFromAnyMode) {
    const auto palette = (*machine_)->vga().text_screen().palette;
    // Graphics, the screen off, another start, another first colour, the split line at the top.
    machine_->run({0xBA, 0xCE, 0x03, 0xB8, 0x06, 0x05, 0xEF, 0xBA, 0xC4, 0x03, 0xB8, 0x01, 0x21,
                   0xEF, 0xBA, 0xD4, 0x03, 0xB8, 0x0C, 0x22, 0xEF, 0xB8, 0x18, 0x10, 0xEF, 0xBA,
                   0xC8, 0x03, 0xB0, 0x07, 0xEE, 0xBA, 0xC9, 0x03, 0xEE, 0xEE, 0xEE},
                  {});
    EXPECT_FALSE((*machine_)->vga().in_text_mode());
    EXPECT_NE((*machine_)->vga().text_screen().palette, palette);
    video(0x0003);
    EXPECT_TRUE((*machine_)->vga().in_text_mode());
    const TextScreen screen = (*machine_)->vga().text_screen();
    EXPECT_EQ(screen.palette, palette);
    EXPECT_EQ(screen.columns, 80);
    EXPECT_EQ(screen.rows, 25);
    EXPECT_EQ(screen.cells, std::vector<u16>(80 * 25, 0x0720));
    EXPECT_EQ(screen.cursor_x + screen.cursor_y, 0);
    EXPECT_EQ(video(0x0F00).ax(), 0x5003);
    print("x");
    const Picture picture = (*machine_)->vga().render();
    EXPECT_EQ(picture.width, 720);
    EXPECT_EQ(picture.height, 400);
    EXPECT_NE(picture.pixels, std::vector<u32>(720 * 400, picture.pixels[0])) << "a letter is seen";
}

TEST_F(FirmwareServices, LeaveTheScreenAloneWhenTheModeIsSetSo) {
    video(0x0083);
    EXPECT_EQ(machine_->row(0), "Forkscope firmware, 64 MB RAM");
    EXPECT_EQ(video(0x0300).dx(), 0);
}

TEST_F(FirmwareServices, HandOutTheKeysTyped) {
    EXPECT_EQ(machine_->call(0x16, {0x0100}).flags & kZero, kZero);
    ASSERT_TRUE((*machine_)->type("aZ1!\n").ok());
    EXPECT_EQ(typed(), 0x1E61);
    EXPECT_EQ(typed(), 0x2C5A);
    EXPECT_EQ(typed(), 0x0231);
    EXPECT_EQ(typed(), 0x0221);
    machine_->idle(20 * kMillion);
    const ServiceRegisters waiting = machine_->call(0x16, {0x0100});
    EXPECT_EQ(waiting.flags & kZero, 0);
    EXPECT_EQ(waiting.ax(), 0x1C0D);
    EXPECT_EQ(typed(), 0x1C0D);
    EXPECT_EQ(machine_->call(0x16, {0x0100}).flags & kZero, kZero);
}

TEST_F(FirmwareServices, FollowShiftsLocksAndTheNewerKeys) {
    const auto press = [this](u64 set1_bytes, u8 size) {
        InputEvent event;
        event.kind = InputKind::Key;
        event.data = set1_bytes;
        event.size = size;
        (*machine_)->inject(event);
        machine_->idle(kMillion);
    };
    const auto shifts = [this] { return machine_->call(0x16, {0x0200}).al(); };
    press(0x9DAE2E1D, 4); // Ctrl C
    EXPECT_EQ(typed(), 0x2E03);
    press(0x2A, 1); // Shift goes down
    EXPECT_EQ(shifts(), 0x02);
    press(0xAA, 1);
    EXPECT_EQ(shifts(), 0x00);
    press(0xB8BB3B38, 4); // Alt F1
    EXPECT_EQ(typed(), 0x6800);
    press(0x9E1EBA3A3A, 5); // Caps Lock, held for a while, and A
    EXPECT_EQ(typed(), 0x1E41);
    EXPECT_EQ(shifts(), 0x40);
    press(0xC545BA3A, 4); // Caps Lock, Num Lock
    EXPECT_EQ(shifts(), 0x20);
    press(0xC848, 2); // 8 on the keypad
    EXPECT_EQ(typed(), 0x4838);
    press(0xC8E048E0, 4); // Up
    EXPECT_EQ(typed(), 0x4800);
    press(0xC59DE1451DE1, 6); // Pause
    EXPECT_EQ(machine_->call(0x16, {0x0100}).flags & kZero, kZero);
    EXPECT_EQ(shifts(), 0x20);
    press(0x9E1E, 2); // and the next key is whole again
    EXPECT_EQ(typed(), 0x1E61);
}

TEST_F(FirmwareServices, KeepFifteenKeysAndLoseTheRest) {
    ASSERT_TRUE((*machine_)->type("abcdefghijklmnopqrst").ok());
    machine_->idle(100 * kMillion);
    std::string keys;
    while ((machine_->call(0x16, {0x0100}).flags & kZero) == 0)
        keys += static_cast<char>(typed());
    EXPECT_EQ(keys, "abcdefghijklmno");
}

TEST_F(FirmwareServices, StartTheMachineAgainOnCtrlAltDelete) {
    InputEvent event;
    event.kind = InputKind::Key;
    event.size = 4;
    event.data = 0x53E0381D; // Ctrl, Alt, Delete go down
    (*machine_)->inject(event);
    machine_->run_firmware();
}

TEST_F(FirmwareServices, TellTheTimeByClockAndByTicks) {
    MachineConfig config;
    config.rtc_start = 1772600767; // 2026-03-04 05:06:07
    start(config);
    const ServiceRegisters time = machine_->call(0x1A, {0x0200});
    EXPECT_EQ(time.flags & kCarry, 0);
    EXPECT_EQ(time.cx(), 0x0506);
    EXPECT_EQ(time.dx(), 0x0700);
    const ServiceRegisters date = machine_->call(0x1A, {0x0400});
    EXPECT_EQ(date.cx(), 0x2026);
    EXPECT_EQ(date.dx(), 0x0304);

    const auto ticks = [this] {
        const ServiceRegisters out = machine_->call(0x1A, {0x0000});
        EXPECT_EQ(out.al(), 0) << "no midnight";
        return u64{out.cx()} << 16 | out.dx();
    };
    constexpr u64 kSeconds = 5 * 3600 + 6 * 60 + 7;
    const u64 before = ticks();
    EXPECT_GE(before, ticks_at(kSeconds));
    EXPECT_LE(before, ticks_at(kSeconds) + 2);
    machine_->idle(10 * 100 * kMillion); // ten seconds
    EXPECT_NEAR(static_cast<double>(ticks() - before), 182.0, 1.0);
    EXPECT_EQ(machine_->call(0x1A, {0x0200}).dx(), 0x1700);
    EXPECT_EQ(machine_->call(0x1A, {0x0300}).flags & kCarry, kCarry) << "not there";
}

TEST_F(FirmwareServices, CountTicksFromMidnightAgain) {
    machine_->call(0x1A, {0x0100, 0, 0x0018, 0x00AE}); // two ticks before the end of the day
    machine_->idle(20 * kMillion);
    const ServiceRegisters first = machine_->call(0x1A, {0x0000});
    EXPECT_EQ(first.al(), 1);
    EXPECT_EQ(first.cx(), 0);
    EXPECT_LE(first.dx(), 3);
    EXPECT_EQ(machine_->call(0x1A, {0x0000}).al(), 0) << "told once";
}

TEST_F(FirmwareServices, StopWhereAnInstructionCannotBe) {
    machine_->run({0x90}, {});
    machine_->poke((*machine_)->cpu().linear_eip(), {0x0F, 0x0B}); // UD2
    (*machine_)->run({(*machine_)->now() + 10 * kMillion});
    EXPECT_TRUE((*machine_)->cpu().halted());
    EXPECT_FALSE((*machine_)->registers().flag(kFlagI));
    EXPECT_NE(machine_->console().find("Invalid instruction at 0000:8001 in real mode."), std::string::npos)
        << machine_->console();
}

} // namespace forkscope
