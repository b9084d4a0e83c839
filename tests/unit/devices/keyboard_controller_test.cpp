#include "devices/keyboard/keyboard_controller.hpp"

#include <gtest/gtest.h>

#include "devices/keyboard/scan_codes.hpp"
#include "devices/port92.hpp"
#include "tests/unit/devices/fake_wiring.hpp"

namespace forkscope {
namespace {

class KeyboardTest : public testing::Test {
  protected:
    KeyboardTest() {
        wiring.add(keyboard);
        wiring.add(port92);
    }
    void command(u8 value) { wiring.out(0x64, value); }
    void data(u8 value) { wiring.out(0x60, value); }
    u32 status() { return wiring.in(0x64); }
    // What the controller has to say within the time of a few bytes; -1 = nothing.
    int read() {
        if ((status() & 1) == 0)
            wiring.advance_microseconds(1500);
        return (status() & 1) != 0 ? static_cast<int>(wiring.in(0x60)) : -1;
    }
    std::vector<int> read_all() {
        std::vector<int> bytes;
        for (int byte = read(); byte >= 0; byte = read())
            bytes.push_back(byte);
        return bytes;
    }
    int ask(u8 value) {
        command(value);
        return read();
    }
    void set_command_byte(u8 value) {
        command(0x60);
        data(value);
    }
    using Bytes = std::vector<int>;

    FakeWiring wiring;
    KeyboardController keyboard;
    Port92 port92;
};

TEST_F(KeyboardTest, PassesItsSelfTests) {
    EXPECT_EQ(ask(0xAA), 0x55);
    EXPECT_EQ(ask(0xAB), 0x00);
    EXPECT_EQ(status() & 0x04, 0x04u);
    data(0xFF);
    EXPECT_EQ(read_all(), (Bytes{0xFA, 0xAA}));
}

TEST_F(KeyboardTest, TellsItsCommandByteAndMemory) {
    EXPECT_EQ(ask(0x20), 0x65);
    set_command_byte(0x47);
    EXPECT_EQ(ask(0x20), 0x67); // the auxiliary port cannot be enabled
    command(0x65);
    data(0x99);
    EXPECT_EQ(ask(0x25), 0x99);
}

TEST_F(KeyboardTest, SaysThatThereIsNoAuxiliaryPort) {
    EXPECT_NE(ask(0xA9), 0x00);
    command(0xA8);
    EXPECT_EQ(ask(0x20) & 0x20, 0x20);
    command(0xD3);
    data(0x5A);
    EXPECT_EQ(status() & 0x21, 0x01u); // the byte comes, but not from the auxiliary port
    EXPECT_EQ(read(), 0x5A);
    command(0xD4);
    data(0xF4);
    EXPECT_EQ(status() & 0x41, 0x41u); // time out
    EXPECT_EQ(read(), 0xFE);
}

TEST_F(KeyboardTest, DeliversSet1ThroughTranslationWithAnInterruptAByte) {
    keyboard.key(0x1E, 1);
    keyboard.key(0x9E, 1);
    keyboard.key(0x48E0, 2);
    keyboard.key(0xC8E0, 2);
    EXPECT_FALSE(wiring.lines[1]); // it takes the time of eleven bits
    EXPECT_EQ(read_all(), (Bytes{0x1E, 0x9E, 0xE0, 0x48, 0xE0, 0xC8}));
    EXPECT_EQ(wiring.rises[1].size(), 6u);
    EXPECT_FALSE(wiring.lines[1]);
}

TEST_F(KeyboardTest, ShowsTheSameByteAgainUntilTheNextHasArrived) {
    keyboard.key(0x1E, 1);
    keyboard.key(0x9E, 1);
    EXPECT_EQ(read(), 0x1E);
    EXPECT_EQ(wiring.in(0x60), 0x1Eu);
    EXPECT_EQ(read(), 0x9E);
}

TEST_F(KeyboardTest, SendsSet2WithoutTranslation) {
    set_command_byte(0x00);
    keyboard.key(0x1E, 1);
    keyboard.key(0x9E, 1);
    keyboard.key(0xD3E0, 2);
    keyboard.key(0x451DE1, 3); // the two halves of Pause
    keyboard.key(0xC59DE1, 3);
    EXPECT_EQ(read_all(), (Bytes{0x1C, 0xF0, 0x1C, 0xE0, 0xF0, 0x71, 0xE1, 0x14, 0x77, 0xE1, 0xF0, 0x14, 0xF0, 0x77}));
    EXPECT_TRUE(wiring.rises[1].empty());
}

TEST_F(KeyboardTest, TranslatesEveryKeyBackToItsSet1Code) {
    for (u8 set1 = 1; set1 < 0x80; ++set1) {
        const u8 set2 = set2_of_set1(set1);
        ASSERT_NE(set2, 0) << "set 1 code " << int{set1};
        ASSERT_EQ(translate_to_set1(set2), set1);
    }
    EXPECT_EQ(set2_of_set1(0x01), 0x76); // Escape
    EXPECT_EQ(set2_of_set1(0x1C), 0x5A); // Enter
    EXPECT_EQ(set2_of_set1(0x41), 0x83); // F7
    EXPECT_EQ(set2_of_set1(0x44), 0x09); // F10
    EXPECT_EQ(set2_of_set1(0x57), 0x78); // F11
    EXPECT_EQ(set2_of_set1(0x58), 0x07); // F12
}

TEST_F(KeyboardTest, SelectsAndTellsItsScanSet) {
    set_command_byte(0x00);
    data(0xF0);
    EXPECT_EQ(read(), 0xFA);
    data(0x00);
    EXPECT_EQ(read_all(), (Bytes{0xFA, 0x02}));
    data(0xF0);
    data(0x01);
    EXPECT_EQ(read_all(), (Bytes{0xFA, 0xFA}));
    keyboard.key(0x9E, 1);
    EXPECT_EQ(read_all(), (Bytes{0x9E}));
    data(0xF0);
    data(0x03);
    read_all();
    keyboard.key(0x1E, 1); // A: no break by default
    keyboard.key(0x9E, 1);
    keyboard.key(0x2A, 1); // Shift: with break
    keyboard.key(0xAA, 1);
    keyboard.key(0x48E0, 2);
    EXPECT_EQ(read_all(), (Bytes{0x1C, 0x12, 0xF0, 0x12, 0x63}));
    data(0xFA); // all keys make and break
    read_all();
    keyboard.key(0x9E, 1);
    EXPECT_EQ(read_all(), (Bytes{0xF0, 0x1C}));
    data(0xF0);
    data(0x04);
    EXPECT_EQ(read_all(), (Bytes{0xFA, 0xFE}));
}

TEST_F(KeyboardTest, UnderstandsItsCommands) {
    data(0xEE);
    EXPECT_EQ(read_all(), (Bytes{0xEE}));
    data(0xF2);
    EXPECT_EQ(read_all(), (Bytes{0xFA, 0xAB, 0x41})); // 83 comes translated
    data(0xED);
    data(0x05);
    EXPECT_EQ(read_all(), (Bytes{0xFA, 0xFA}));
    EXPECT_EQ(keyboard.keyboard().leds(), 5);
    data(0xF3);
    data(0x20);
    EXPECT_EQ(read_all(), (Bytes{0xFA, 0xFA}));
    EXPECT_EQ(keyboard.keyboard().typematic(), 0x20);
    data(0xED);
    data(0xF4); // a command where an argument was due
    EXPECT_EQ(read_all(), (Bytes{0xFA, 0xFA}));
    EXPECT_EQ(keyboard.keyboard().leds(), 5);
    data(0xFE);
    EXPECT_EQ(read_all(), (Bytes{0xFA}));
    data(0xEF);
    EXPECT_EQ(read_all(), (Bytes{0xFE}));
}

// IBM's keyboards answer FE with what they sent last, unless that was itself a request to resend: then with the byte
// before it.
TEST_F(KeyboardTest, ResendsTheByteBeforeItsRequestToResend) {
    data(0xEE);
    EXPECT_EQ(read_all(), (Bytes{0xEE}));
    data(0xEF); // no command
    EXPECT_EQ(read_all(), (Bytes{0xFE}));
    data(0xFE);
    EXPECT_EQ(read_all(), (Bytes{0xEE}));
    data(0xFE);
    EXPECT_EQ(read_all(), (Bytes{0xEE}));
}

TEST_F(KeyboardTest, ScansOnlyWhileEnabled) {
    data(0xF5);
    read_all();
    keyboard.key(0x1E, 1);
    EXPECT_EQ(read_all(), Bytes{});
    data(0xF4);
    EXPECT_EQ(read_all(), (Bytes{0xFA}));
    keyboard.key(0x1E, 1);
    EXPECT_EQ(read_all(), (Bytes{0x1E}));
}

TEST_F(KeyboardTest, HoldsKeysBackWhileTheInterfaceIsDisabled) {
    command(0xAD);
    keyboard.key(0x1E, 1);
    EXPECT_EQ(read_all(), Bytes{});
    command(0xAE);
    EXPECT_EQ(read_all(), (Bytes{0x1E}));
}

TEST_F(KeyboardTest, LosesNoKeyOfABurst) {
    Bytes expected;
    for (int i = 0; i < 300; ++i) {
        const int code = 1 + i % 0x50;
        keyboard.key(static_cast<u64>(code), 1);
        expected.push_back(code);
    }
    EXPECT_EQ(read_all(), expected);
}

TEST_F(KeyboardTest, SwitchesA20InThreeWaysThatAgree) {
    command(0xD1);
    data(0xDF);
    EXPECT_TRUE(wiring.a20());
    EXPECT_EQ(wiring.in(0x92) & 2, 2u);
    EXPECT_EQ(ask(0xD0) & 0x03, 0x03);
    wiring.out(0x92, 0);
    EXPECT_FALSE(wiring.a20());
    EXPECT_EQ(ask(0xD0) & 0x03, 0x01);
    command(0xDF);
    EXPECT_TRUE(wiring.a20());
    command(0xDD);
    EXPECT_FALSE(wiring.a20());
}

TEST_F(KeyboardTest, PulsesReset) {
    command(0xF1); // not the reset line
    EXPECT_EQ(wiring.resets, 0);
    command(0xFE);
    EXPECT_EQ(wiring.resets, 1);
    command(0xD1);
    data(0xDE);
    EXPECT_EQ(wiring.resets, 2);
    wiring.out(0x92, 1);
    wiring.out(0x92, 1); // only a rise counts
    EXPECT_EQ(wiring.resets, 3);
    wiring.out(0x92, 0x80);
    EXPECT_EQ(wiring.in(0x92), 0x80u);
    wiring.out(0x92, 0x81);
    EXPECT_EQ(wiring.resets, 4);
}

TEST_F(KeyboardTest, SavesAndLoadsWithAByteOnTheCable) {
    keyboard.key(0x48E0, 2);
    keyboard.key(0xC8E0, 2);
    EXPECT_EQ(read(), 0xE0);
    wiring.advance_microseconds(300);
    const std::vector<u8> saved = wiring.save();
    FakeWiring other;
    KeyboardController copy;
    Port92 copy92;
    other.add(copy);
    other.add(copy92);
    ASSERT_TRUE(other.load(saved).ok());
    EXPECT_TRUE(other.rises[1].empty());
    EXPECT_EQ(other.hash(), wiring.hash());
    for (FakeWiring* machine : {&wiring, &other})
        machine->advance_microseconds(5000);
    EXPECT_EQ(other.hash(), wiring.hash());
    EXPECT_EQ(other.in(0x60), 0x48u);
}

} // namespace
} // namespace forkscope
