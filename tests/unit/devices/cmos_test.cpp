#include "devices/cmos/cmos.hpp"

#include <gtest/gtest.h>

#include <ctime>

#include "emu/base/random.hpp"
#include "tests/unit/devices/fake_wiring.hpp"

namespace forkscope {
namespace {

constexpr u64 kRate = 1000000;

struct Clock {
    explicit Clock(i64 unix_time, u64 ram = u64{64} << 20) : cmos({.start_unix_time = unix_time, .ram_bytes = ram}) {
        wiring.add(cmos);
    }
    u32 read(u8 reg) {
        wiring.out(0x70, reg);
        return wiring.in(0x71);
    }
    void write(u8 reg, u8 value) {
        wiring.out(0x70, reg);
        wiring.out(0x71, value);
    }
    // "YYYY-MM-DD hh:mm:ss weekday", as the registers show it.
    std::string shown() {
        return fmt::format("{:02x}{:02x}-{:02x}-{:02x} {:02x}:{:02x}:{:02x} {}", read(0x32), read(9), read(8), read(7),
                           read(4), read(2), read(0), read(6));
    }
    void seconds(u64 count) { wiring.advance(count * kRate); }
    bool irq() const { return wiring.lines[8]; }

    FakeWiring wiring{kRate};
    Cmos cmos;
};

std::string by_the_c_library(i64 unix_time) {
    const std::time_t time = unix_time;
    std::tm parts{};
    gmtime_r(&time, &parts);
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} {}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                       parts.tm_hour, parts.tm_min, parts.tm_sec, parts.tm_wday + 1);
}

TEST(Cmos, StartsAtTheConfiguredTime) {
    Random random(146818);
    for (int i = 0; i < 2000; ++i) {
        const i64 time = static_cast<i64>(random.below(u64{4102444800})); // to 2100
        ASSERT_EQ(Clock(time).shown(), by_the_c_library(time));
    }
}

TEST(Cmos, RollsOverMinutesDaysYearsAndLeapDays) {
    for (const i64 time : {951782399 /* 2000-02-28 */, 951868799 /* 2000-02-29 */, 1077926399 /* 2004-02-28 */,
                           1046476799 /* 2003-02-28 */, 946684799 /* 1999-12-31 */, 1104537599 /* 2004-12-31 */,
                           1083369599 /* 2004-04-30 */, 1700000000}) {
        Clock clock(time);
        EXPECT_EQ(clock.shown(), by_the_c_library(time));
        clock.seconds(1);
        EXPECT_EQ(clock.shown(), by_the_c_library(time + 1));
        clock.seconds(100000);
        EXPECT_EQ(clock.shown(), by_the_c_library(time + 100001));
    }
}

TEST(Cmos, CountsExactlyOneSecondPerRateOfCycles) {
    Clock clock(1000);
    clock.wiring.advance_to(kRate - 1);
    EXPECT_EQ(clock.read(0), 0x40u);
    clock.wiring.advance_to(kRate);
    EXPECT_EQ(clock.read(0), 0x41u);
}

TEST(Cmos, CountsInBinaryAndInTwelveHours) {
    Clock clock(86400 - 3601); // 22:59:59
    clock.write(0x0B, 0x04);   // binary, twelve hours
    clock.write(0, 59);
    clock.write(2, 59);
    clock.write(4, 0x80 | 11); // 11 PM
    clock.write(7, 31);
    clock.write(8, 12);
    clock.write(9, 99);
    clock.seconds(1);
    EXPECT_EQ(clock.read(0), 0u);
    EXPECT_EQ(clock.read(2), 0u);
    EXPECT_EQ(clock.read(4), 12u); // midnight is 12 AM
    EXPECT_EQ(clock.read(7), 1u);
    EXPECT_EQ(clock.read(8), 1u);
    EXPECT_EQ(clock.read(9), 0u);
    EXPECT_EQ(clock.read(0x32), 0x20u);
    clock.seconds(12 * 3600);
    EXPECT_EQ(clock.read(4), 0x80u | 12); // noon is 12 PM
    clock.seconds(3600);
    EXPECT_EQ(clock.read(4), 0x80u | 1);
}

TEST(Cmos, AnnouncesAnUpdateAndHoldsStillWhileItIsSet) {
    Clock clock(0);
    EXPECT_EQ(clock.read(0x0A) & 0x80, 0u);
    clock.wiring.advance_to(kRate - 2229);
    EXPECT_EQ(clock.read(0x0A) & 0x80, 0u);
    clock.wiring.advance_to(kRate - 2228); // 244 + 1984 µs
    EXPECT_EQ(clock.read(0x0A) & 0x80, 0x80u);
    clock.wiring.advance_to(kRate);
    EXPECT_EQ(clock.read(0x0A) & 0x80, 0u);
    clock.write(0x0B, 0x82); // SET
    clock.seconds(10);
    EXPECT_EQ(clock.read(0), 1u);
    clock.write(0x0B, 0x02);
    clock.seconds(1);
    EXPECT_EQ(clock.read(0), 2u);
}

TEST(Cmos, StartsHalfASecondAfterTheDividerIsReleased) {
    Clock clock(0);
    clock.wiring.advance(300000);
    clock.write(0x0A, 0x76); // divider reset
    clock.seconds(5);
    EXPECT_EQ(clock.read(0), 0u);
    clock.write(0x0A, 0x26);
    clock.wiring.advance(499999);
    EXPECT_EQ(clock.read(0), 0u);
    clock.wiring.advance(1);
    EXPECT_EQ(clock.read(0), 1u);
}

TEST(Cmos, InterruptsAtEachUpdateUntilTheFlagsAreRead) {
    Clock clock(0);
    clock.write(0x0B, 0x12);
    EXPECT_FALSE(clock.irq());
    clock.seconds(1);
    EXPECT_TRUE(clock.irq());
    EXPECT_EQ(clock.read(0x0C) & 0xB0, 0x90u);
    EXPECT_FALSE(clock.irq());
    clock.seconds(2);
    EXPECT_TRUE(clock.irq());
    EXPECT_EQ(clock.wiring.rises[8], (std::vector<Cycles>{kRate, 2 * kRate}));
}

TEST(Cmos, InterruptsAtTheAlarm) {
    Clock clock(0);
    clock.write(1, 0x05);
    clock.write(3, 0xFF); // any minute
    clock.write(5, 0xC0); // any hour
    clock.write(0x0B, 0x22);
    clock.read(0x0C);
    clock.seconds(4);
    EXPECT_FALSE(clock.irq());
    clock.seconds(1);
    EXPECT_TRUE(clock.irq());
    EXPECT_EQ(clock.read(0x0C) & 0xB0, 0xB0u);
    EXPECT_FALSE(clock.irq());
    clock.seconds(59);
    EXPECT_FALSE(clock.irq());
    clock.seconds(1);
    EXPECT_TRUE(clock.irq());
}

TEST(Cmos, InterruptsPeriodicallyAtEveryRate) {
    for (u32 rate = 1; rate < 16; ++rate) {
        Clock clock(0);
        clock.write(0x0A, static_cast<u8>(0x20 | rate));
        clock.write(0x0B, 0x42);
        const u32 hertz = rate <= 2 ? 512u >> (rate + 0) : 65536u >> rate;
        u32 interrupts = 0;
        while (clock.wiring.now() < 2 * kRate) {
            clock.wiring.advance_to(std::min(clock.wiring.events.next(), 2 * kRate));
            if (clock.irq()) {
                ++interrupts;
                EXPECT_EQ(clock.read(0x0C) & 0xC0, 0xC0u);
            }
        }
        EXPECT_EQ(interrupts, 2 * hertz) << "rate " << rate;
    }
}

TEST(Cmos, SetsThePeriodicFlagWithoutItsInterrupt) {
    Clock clock(0);
    clock.read(0x0C);
    clock.wiring.advance(1000); // 1024 Hz
    EXPECT_EQ(clock.read(0x0C), 0x40u);
    EXPECT_EQ(clock.read(0x0C), 0x00u);
    EXPECT_FALSE(clock.irq());
}

TEST(Cmos, TellsTheMemorySizeAndKeepsItsRam) {
    Clock clock(0, u64{64} << 20);
    EXPECT_EQ(clock.read(0x15) | clock.read(0x16) << 8, 640u);
    EXPECT_EQ(clock.read(0x17) | clock.read(0x18) << 8, 63u * 1024);
    EXPECT_EQ(clock.read(0x30) | clock.read(0x31) << 8, 63u * 1024);
    EXPECT_EQ(clock.read(0x34) | clock.read(0x35) << 8, 48u * 16);
    EXPECT_EQ(Clock(0, u64{3} << 30).read(0x18), 0xFFu);
    EXPECT_EQ(clock.read(0x14), 0x0Eu);
    u32 sum = 0;
    for (u8 i = 0x10; i <= 0x2D; ++i)
        sum += clock.read(i);
    EXPECT_EQ(clock.read(0x2E) << 8 | clock.read(0x2F), sum);
    clock.write(0x0F, 0x0A); // shutdown byte
    clock.cmos.reset();
    EXPECT_EQ(clock.read(0x0F), 0x0Au);
    EXPECT_EQ(clock.read(0x0D), 0x80u);
    EXPECT_EQ(clock.wiring.in(0x70), 0xFFu);
}

TEST(Cmos, MasksNmiWithTheIndexesTopBit) {
    Clock clock(0);
    clock.wiring.out(0x70, 0x8F);
    EXPECT_TRUE(clock.cmos.nmi_masked());
    clock.wiring.out(0x71, 0x55);
    EXPECT_EQ(clock.read(0x0F), 0x55u);
    EXPECT_FALSE(clock.cmos.nmi_masked());
}

TEST(Cmos, SavesAndLoadsBetweenTwoPeriods) {
    Clock clock(1700000000);
    clock.write(0x0B, 0x72);
    clock.wiring.advance(1234567);
    const std::vector<u8> saved = clock.wiring.save();
    Clock copy(0);
    ASSERT_TRUE(copy.wiring.load(saved).ok());
    EXPECT_EQ(copy.wiring.hash(), clock.wiring.hash());
    for (Clock* one : {&clock, &copy}) {
        one->read(0x0C);
        one->seconds(70);
    }
    EXPECT_EQ(copy.wiring.hash(), clock.wiring.hash());
    EXPECT_EQ(copy.shown(), by_the_c_library(1700000071));
}

} // namespace
} // namespace forkscope
