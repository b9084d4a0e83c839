#include "devices/uart/uart.hpp"

#include <gtest/gtest.h>

#include "tests/unit/devices/fake_wiring.hpp"

namespace forkscope {
namespace {

constexpr u16 kCom1 = 0x3F8;

class UartTest : public testing::Test {
  protected:
    UartTest() { wiring.add(uart); }
    void write(u16 reg, u32 value) { wiring.out(kCom1 + reg, value); }
    u32 read(u16 reg) { return wiring.in(kCom1 + reg); }
    void receive(std::string_view text) {
        for (const char letter : text)
            uart.receive(static_cast<u8>(letter));
    }
    std::string read_all() {
        std::string text;
        while ((read(5) & 1) != 0)
            text += static_cast<char>(read(0));
        return text;
    }
    bool irq() const { return wiring.lines[4]; }

    FakeWiring wiring;
    Uart uart{"com1", kCom1, 4};
};

TEST_F(UartTest, SendsAtOnceAndIsAlwaysReadyForMore) {
    write(3, 0x03);
    for (const char letter : std::string_view("hello")) {
        EXPECT_EQ(read(5) & 0x60, 0x60u);
        write(0, static_cast<u8>(letter));
    }
    EXPECT_EQ(wiring.sent["com1"], "hello");
}

TEST_F(UartTest, SendsAsManyBitsAsTheLineControlSays) {
    write(3, 0x02); // seven bits
    write(0, 0xC1);
    EXPECT_EQ(wiring.sent["com1"], "A");
}

TEST_F(UartTest, HidesTheDivisorBehindItsLatchBit) {
    write(3, 0x83);
    write(0, 0x34);
    write(1, 0x12);
    EXPECT_EQ(read(0), 0x34u);
    EXPECT_EQ(read(1), 0x12u);
    write(3, 0x03);
    EXPECT_EQ(read(1), 0u);
    EXPECT_TRUE(wiring.sent.empty());
    write(7, 0xA5);
    EXPECT_EQ(read(7), 0xA5u);
}

TEST_F(UartTest, LosesNoByteOfABurstFromTheHost) {
    write(3, 0x03);
    std::string burst;
    for (int i = 0; i < 5000; ++i)
        burst += static_cast<char>(i * 7);
    receive(burst);
    EXPECT_EQ(read_all(), burst);
    EXPECT_EQ(read(5) & 0x02, 0u); // no overrun
}

TEST_F(UartTest, InterruptsOnlyThroughOut2) {
    write(1, 0x01);
    receive("x");
    EXPECT_EQ(read(2), 0x04u);
    EXPECT_FALSE(irq());
    write(4, 0x08);
    EXPECT_TRUE(irq());
    EXPECT_EQ(read(0), static_cast<u32>('x'));
    EXPECT_FALSE(irq());
    EXPECT_EQ(read(2), 0x01u);
}

TEST_F(UartTest, AsksForTheFirstByteWhenTheTransmitterInterruptIsEnabled) {
    write(4, 0x08);
    write(1, 0x02);
    EXPECT_TRUE(irq());
    EXPECT_EQ(read(2), 0x02u); // reading it acknowledges
    EXPECT_FALSE(irq());
    EXPECT_EQ(read(2), 0x01u);
    write(0, 'a'); // gone at once: empty again
    EXPECT_TRUE(irq());
    write(1, 0x00);
    EXPECT_FALSE(irq());
}

TEST_F(UartTest, ReportsCausesInOrderOfPriority) {
    write(1, 0x0F);
    write(4, 0x10); // loopback, modem outputs off: CTS, DSR and DCD fall
    write(0, 'a');
    write(0, 'b'); // without FIFO: the first is overwritten
    EXPECT_EQ(read(2), 0x06u);
    EXPECT_EQ(read(5) & 0x03, 0x03u);
    EXPECT_EQ(read(2), 0x04u);
    EXPECT_EQ(read(0), static_cast<u32>('b'));
    EXPECT_EQ(read(2), 0x02u);
    EXPECT_EQ(read(2), 0x00u);
    EXPECT_EQ(read(6), 0x0Bu); // three deltas, all lines off
    EXPECT_EQ(read(2), 0x01u);
}

TEST_F(UartTest, ConnectsModemOutputsToInputsInLoopback) {
    EXPECT_EQ(read(6), 0xB0u);
    write(4, 0x1A); // loop, OUT2, RTS
    EXPECT_EQ(read(6) & 0xF0, 0x90u);
    write(4, 0x15); // loop, OUT1, DTR
    EXPECT_EQ(read(6) & 0xF0, 0x60u);
    write(4, 0x11);
    EXPECT_EQ(read(6), 0x24u); // the ring indicator's trailing edge
    write(4, 0x00);
    EXPECT_EQ(read(6) & 0xF0, 0xB0u);
}

TEST_F(UartTest, KeepsTheHostWaitingDuringLoopback) {
    write(4, 0x10);
    receive("later");
    write(0, 'n');
    EXPECT_EQ(read_all(), "n");
    EXPECT_TRUE(wiring.sent.empty());
    write(4, 0x00);
    EXPECT_EQ(read_all(), "later");
}

TEST_F(UartTest, ReceivesABreakInLoopback) {
    write(2, 0x01);
    write(4, 0x10);
    write(3, 0x43);
    EXPECT_EQ(read(5), 0xF9u); // FIFO error, empty transmitter, break, framing, data
    EXPECT_EQ(read(5), 0x61u); // told once
    EXPECT_EQ(read(0), 0u);
}

TEST_F(UartTest, OverrunsTheFifoOnlyFromItsOwnTransmitter) {
    write(2, 0x01);
    write(4, 0x10);
    for (char letter = 'a'; letter <= 'q'; ++letter) // seventeen
        write(0, static_cast<u8>(letter));
    EXPECT_EQ(read(5) & 0x02, 0x02u);
    EXPECT_EQ(read(5) & 0x02, 0x00u);
    EXPECT_EQ(read_all(), "abcdefghijklmnop");
}

TEST_F(UartTest, InterruptsAtTheTriggerLevelAndBelowItAfterFourCharacterTimes) {
    write(3, 0x83);
    write(0, 12); // 9600 baud, ten bits a character: 1041 µs
    write(3, 0x03);
    write(2, 0x81); // trigger at 8
    write(1, 0x01);
    write(4, 0x08);
    EXPECT_EQ(read(2), 0xC1u);
    receive("1234567");
    EXPECT_FALSE(irq());
    receive("8");
    EXPECT_EQ(read(2), 0xC4u);
    read(0);
    EXPECT_FALSE(irq());
    wiring.advance_microseconds(4100);
    EXPECT_FALSE(irq());
    wiring.advance_microseconds(100);
    EXPECT_TRUE(irq());
    EXPECT_EQ(read(2), 0xCCu);
    read(0);
    EXPECT_FALSE(irq()); // reading starts the time anew
    wiring.advance_microseconds(4200);
    EXPECT_TRUE(irq());
    EXPECT_EQ(read_all(), "345678");
    wiring.advance_microseconds(10000);
    EXPECT_FALSE(irq());
}

TEST_F(UartTest, KeepsATimeoutThatWasReportedWhenAnotherCharacterComes) {
    write(2, 0x81);
    write(1, 0x01);
    receive("1");
    wiring.advance_microseconds(5000);
    EXPECT_EQ(read(2), 0xCCu);
    receive("2");
    EXPECT_EQ(read(2), 0xCCu); // only reading a character takes it back
    read(0);
    EXPECT_EQ(read(2), 0xC1u);
}

TEST_F(UartTest, KeepsItsInterruptToItselfInLoopback) {
    write(1, 0x01);
    write(4, 0x18); // loopback; the OUT2 pin is off whatever its bit says
    write(0, 'x');
    EXPECT_EQ(read(2), 0x04u);
    EXPECT_FALSE(irq());
    write(4, 0x08);
    EXPECT_TRUE(irq());
}

TEST_F(UartTest, ClearsItsFifoOnCommandAndOnSwitching) {
    write(2, 0x01);
    receive("lost");
    write(2, 0x03);
    EXPECT_EQ(read(5) & 1, 0u);
    receive("also");
    write(2, 0x00);
    EXPECT_EQ(read(5) & 1, 0u);
    EXPECT_EQ(read(2), 0x01u);
}

class TimedUartTest : public testing::Test {
  protected:
    TimedUartTest() {
        wiring.add(uart);
        wiring.out(kCom1 + 3, 0x83);
        wiring.out(kCom1, 1); // 115200 baud: ten bits take 86.8 µs
        wiring.out(kCom1 + 3, 0x03);
    }
    FakeWiring wiring;
    Uart uart{"com1", kCom1, 4, SerialTiming::Timed};
};

TEST_F(TimedUartTest, SendsAByteInTheTimeOfItsBits) {
    wiring.out(kCom1, 'a');
    EXPECT_EQ(wiring.in(kCom1 + 5) & 0x60, 0x20u); // moved to the shifter at once
    wiring.out(kCom1, 'b');
    EXPECT_EQ(wiring.in(kCom1 + 5) & 0x60, 0x00u);
    wiring.advance_to(8680);
    EXPECT_EQ(wiring.sent["com1"], "");
    wiring.advance_to(8681);
    EXPECT_EQ(wiring.sent["com1"], "a");
    wiring.advance_to(2 * 8681);
    EXPECT_EQ(wiring.sent["com1"], "ab");
    EXPECT_EQ(wiring.in(kCom1 + 5) & 0x60, 0x60u);
}

TEST_F(TimedUartTest, ReceivesAByteInTheTimeOfItsBits) {
    uart.receive('x');
    uart.receive('y');
    EXPECT_EQ(wiring.in(kCom1 + 5) & 1, 0u);
    wiring.advance_to(8681);
    EXPECT_EQ(wiring.in(kCom1 + 5) & 1, 1u);
    EXPECT_EQ(wiring.in(kCom1), static_cast<u32>('x'));
    EXPECT_EQ(wiring.in(kCom1 + 5) & 1, 0u);
    wiring.advance_microseconds(90);
    EXPECT_EQ(wiring.in(kCom1), static_cast<u32>('y'));
}

TEST_F(TimedUartTest, SavesAndLoadsWithAByteOnTheLine) {
    wiring.out(kCom1 + 2, 0x01);
    for (const char letter : std::string_view("sending"))
        wiring.out(kCom1, static_cast<u8>(letter));
    for (const char letter : std::string_view("a burst that is longer than the FIFO"))
        uart.receive(static_cast<u8>(letter));
    wiring.advance_microseconds(400);
    const std::vector<u8> saved = wiring.save();
    const std::string sent = wiring.sent["com1"];
    wiring.advance_microseconds(3000);
    FakeWiring other;
    Uart copy{"com1", kCom1, 4, SerialTiming::Timed};
    other.add(copy);
    ASSERT_TRUE(other.load(saved).ok());
    other.advance_microseconds(3000);
    EXPECT_EQ(other.hash(), wiring.hash());
    EXPECT_EQ(sent + other.sent["com1"], wiring.sent["com1"]);
}

} // namespace
} // namespace forkscope
