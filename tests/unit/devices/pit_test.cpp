#include "devices/pit/pit.hpp"

#include <gtest/gtest.h>

#include "emu/base/random.hpp"
#include "tests/unit/devices/fake_wiring.hpp"

namespace forkscope {
namespace {

constexpr u64 kRate = 100000000;

class PitTest : public testing::Test {
  protected:
    PitTest() { wiring.add(pit); }

    void program(u32 channel, u32 mode, u32 count) {
        wiring.out(0x43, channel << 6 | 0x30 | mode << 1);
        wiring.out(static_cast<u16>(0x40 + channel), count & 0xFF);
        wiring.out(static_cast<u16>(0x40 + channel), count >> 8);
    }
    void at_tick(Tick tick) { wiring.advance_to(pit.cycle_of(tick)); }
    u32 count(u32 channel) {
        wiring.out(0x43, channel << 6);
        const u32 low = wiring.in(static_cast<u16>(0x40 + channel));
        return low | wiring.in(static_cast<u16>(0x40 + channel)) << 8;
    }
    bool out2() { return (wiring.in(0x61) & 0x20) != 0; }
    std::string levels(u32 first, u32 last) {
        std::string text;
        for (u32 tick = first; tick <= last; ++tick) {
            at_tick(tick);
            text += out2() ? '1' : '0';
        }
        return text;
    }

    FakeWiring wiring{kRate};
    Pit pit;
};

TEST_F(PitTest, CountsDownInModeTwoAndReloads) {
    wiring.out(0x61, 1);
    program(2, 2, 3);
    // Loaded at tick 1 with 3; low while it is 1; again 3 at tick 4.
    at_tick(1);
    EXPECT_EQ(count(2), 3u);
    at_tick(2);
    EXPECT_EQ(count(2), 2u);
    at_tick(3);
    EXPECT_EQ(count(2), 1u);
    EXPECT_FALSE(out2());
    at_tick(4);
    EXPECT_EQ(count(2), 3u);
    EXPECT_EQ(levels(5, 12), "10110110");
}

// The wave forms of the data sheet's figures, one character a CLK from the first after the count.
TEST_F(PitTest, DrawsTheDataSheetsWaveForms) {
    wiring.out(0x61, 1);
    program(2, 0, 4); // OUT rises N + 1 clocks after the count was written
    EXPECT_EQ(levels(1, 8), "00001111");
    program(2, 4, 3); // the strobe comes N + 1 clocks after
    EXPECT_EQ(levels(9, 15), "1110111");
    program(2, 3, 4);
    EXPECT_EQ(levels(16, 24), "110011001");
    program(2, 3, 5);
    EXPECT_EQ(levels(25, 35), "11100111001");
}

TEST_F(PitTest, StartsTheOneShotAndTheStrobeWithTheGate) {
    program(2, 1, 3);
    EXPECT_EQ(levels(1, 3), "111");
    wiring.out(0x61, 1);
    EXPECT_EQ(levels(4, 8), "00011");
    wiring.out(0x61, 0);
    wiring.out(0x61, 1);
    EXPECT_EQ(levels(9, 10), "00");
    wiring.out(0x61, 0);
    wiring.out(0x61, 1); // retriggered: three more clocks
    EXPECT_EQ(levels(11, 14), "0001");
    program(2, 5, 2);
    wiring.out(0x61, 0);
    wiring.out(0x61, 1);
    EXPECT_EQ(levels(15, 19), "11011");
}

TEST_F(PitTest, StopsWhileTheGateIsLow) {
    wiring.out(0x61, 1);
    program(2, 0, 10);
    at_tick(4);
    EXPECT_EQ(count(2), 7u);
    wiring.out(0x61, 0);
    at_tick(50);
    EXPECT_EQ(count(2), 7u);
    wiring.out(0x61, 1);
    at_tick(51);
    EXPECT_EQ(count(2), 6u);
    EXPECT_EQ(levels(55, 58), "0011");
}

TEST_F(PitTest, RaisesIrq0AtTheExactCycleForAMillionTicksWithoutDrift) {
    program(0, 2, 1193);
    const Tick last = 1000000;
    at_tick(last);
    const std::vector<Cycles>& rises = wiring.rises[0];
    ASSERT_EQ(rises.size(), 1 + (last - 1) / 1193);
    for (std::size_t n = 1; n < rises.size(); ++n) {
        // Tick t is at ceil(t * rate / 1193182): worked out here with other arithmetic, a quotient and a remainder.
        const u64 tick = 1 + 1193 * n;
        const u64 whole = tick * (kRate / 1193182), rest = tick * (kRate % 1193182);
        ASSERT_EQ(rises[n], whole + (rest + 1193181) / 1193182) << "period " << n;
    }
}

TEST_F(PitTest, StaysExactAfterAYear) {
    wiring.be_late(kRate * 86400 * 365);
    const Tick tick = pit.tick_of(wiring.now());
    EXPECT_EQ(tick, u64{1193182} * 86400 * 365);
    EXPECT_EQ(pit.tick_of(pit.cycle_of(tick + 1)), tick + 1);
    EXPECT_EQ(pit.tick_of(pit.cycle_of(tick + 1) - 1), tick);
}

TEST_F(PitTest, UsesFewEventsHoweverFastTheClock) {
    program(0, 3, 0);
    int events = 0;
    while (wiring.events.next() < kRate) {
        wiring.advance_to(wiring.events.next());
        ++events;
    }
    EXPECT_LE(events, 40); // 18.2 Hz, two edges each, and the load
}

TEST_F(PitTest, FiresOnceInModeZeroAndAgainAfterEachCount) {
    program(0, 0, 100);
    at_tick(100);
    EXPECT_FALSE(wiring.lines[0]);
    at_tick(101);
    EXPECT_TRUE(wiring.lines[0]);
    at_tick(70000);
    EXPECT_EQ(wiring.rises[0].size(), 1u);
    wiring.out(0x40, 50);
    EXPECT_FALSE(wiring.lines[0]);
    wiring.out(0x40, 0);
    at_tick(70050);
    EXPECT_FALSE(wiring.lines[0]);
    at_tick(70051);
    EXPECT_TRUE(wiring.lines[0]);
}

TEST_F(PitTest, LosesNoEdgeWhenServedLate) {
    program(0, 2, 100);
    wiring.be_late(pit.cycle_of(1000) + 5);
    wiring.advance(0);
    EXPECT_EQ(wiring.rises[0].size(), 10u); // OUT is high at first, then rises at ticks 101, 201, … 901
}

TEST_F(PitTest, LatchesCountAndStatusUntilTheyAreRead) {
    wiring.out(0x61, 1);
    program(2, 2, 1000);
    wiring.out(0x43, 0xE8);            // read-back: status of channel 2
    EXPECT_EQ(wiring.in(0x42), 0xF4u); // OUT high, null count, both bytes, mode 2
    at_tick(101);
    wiring.out(0x43, 0xC8); // read-back: count and status of channel 2
    at_tick(201);
    wiring.out(0x43, 0x80); // ignored: a count is latched
    EXPECT_EQ(wiring.in(0x42), 0xB4u);
    EXPECT_EQ(wiring.in(0x42) | wiring.in(0x42) << 8, 900u);
    EXPECT_EQ(count(2), 800u);
}

// 82C54, read-back: the programmed mode "exactly as written", though modes 6 and 7 count as 2 and 3.
TEST_F(PitTest, ReadsModesBackAsTheyWereWritten) {
    wiring.out(0x61, 1);
    for (u32 mode = 0; mode < 8; ++mode) {
        program(2, mode, 1000);
        wiring.out(0x43, 0xE8);
        EXPECT_EQ(wiring.in(0x42) & 0x0Fu, mode << 1);
    }
    program(2, 6, 3);
    at_tick(1);
    EXPECT_EQ(levels(5, 12), "10110110");
}

TEST_F(PitTest, CountsInBcd) {
    wiring.out(0x61, 1);
    wiring.out(0x43, 0xB1); // mode 0, BCD
    wiring.out(0x42, 0x00);
    wiring.out(0x42, 0x10); // 1000
    at_tick(2);
    EXPECT_EQ(count(2), 0x0999u);
    at_tick(1002);
    EXPECT_EQ(count(2), 0x9999u); // past zero
}

TEST_F(PitTest, ReadsAndWritesSingleBytes) {
    wiring.out(0x61, 1);
    wiring.out(0x43, 0x94); // channel 2, low byte only, mode 2
    wiring.out(0x42, 200);
    at_tick(1);
    EXPECT_EQ(wiring.in(0x42), 200u);
    at_tick(2);
    EXPECT_EQ(wiring.in(0x42), 199u);
    wiring.out(0x43, 0xA4); // high byte only
    wiring.out(0x42, 2);
    at_tick(4);
    EXPECT_EQ(wiring.in(0x42), 1u); // 511
}

TEST_F(PitTest, TogglesTheRefreshBitEvery15Microseconds) {
    int changes = 0;
    u32 last = wiring.in(0x61) & 0x10;
    for (int i = 0; i < 10000; ++i) {
        wiring.advance(100); // 1 µs
        const u32 now = wiring.in(0x61) & 0x10;
        changes += now != last;
        last = now;
    }
    EXPECT_NEAR(changes, 10000 / 15.085, 1);
}

TEST_F(PitTest, ReadsBackPortB) {
    wiring.out(0x61, 0xFF);
    EXPECT_EQ(wiring.in(0x61) & 0x0F, 0x0Fu);
    program(2, 3, 100);
    at_tick(10);
    EXPECT_TRUE(pit.speaker());
    wiring.out(0x61, 1);
    EXPECT_FALSE(pit.speaker());
}

// The data sheet's counter, one CLK pulse at a time.
struct PlainCounter {
    u32 mode = 0, written_count = 0, reload = 0, element = 0, wrap = 0x10000;
    bool gate = false, out = true, load = false, loaded = false, written = false, armed = false, null_count = true;

    void control(u32 new_mode, bool bcd) {
        *this = {.mode = new_mode, .wrap = bcd ? 10000u : 0x10000u, .gate = gate, .out = new_mode != 0};
    }
    void write(u32 value) {
        written_count = value == 0 ? wrap : value;
        written = null_count = true;
        if (mode == 0)
            out = false;
        if (mode == 0 || mode == 4 || ((mode == 2 || mode == 3) && !loaded))
            load = true;
    }
    void set_gate(bool level) {
        if (level && !gate && written && mode != 0 && mode != 4)
            load = true;
        if (!level && (mode == 2 || mode == 3))
            out = true;
        gate = level;
    }
    void take_count() {
        reload = written_count;
        element = mode == 3 ? reload & ~1u : reload;
        null_count = false;
    }
    void clock() {
        if (load) {
            take_count();
            load = false;
            loaded = armed = true;
            if (mode == 1)
                out = false;
            if (mode >= 2)
                out = true; // a strobe lasts one CLK
            return;
        }
        if (!loaded || (!gate && mode != 1 && mode != 5))
            return;
        if (mode == 3)
            return clock_square_wave();
        element = (element + wrap - 1) % wrap;
        if (mode == 2 && element == 1)
            out = false;
        if (mode == 2 && element == 0) {
            take_count();
            out = true;
        }
        if (mode >= 4)
            out = true;
        if (mode != 2 && element == 0 && armed) {
            out = mode < 4;
            armed = false;
        }
    }
    void clock_square_wave() {
        const bool wait_one_more = (reload & 1) != 0 && out;
        const bool expired = wait_one_more ? element == 0 : element == 2;
        if (expired) {
            out = !out;
            take_count();
        } else {
            element -= 2;
        }
    }
};

u32 from_bcd(u32 value) {
    return (value & 15) + (value >> 4 & 15) * 10 + (value >> 8 & 15) * 100 + (value >> 12) * 1000;
}
u32 to_bcd(u32 value) { return value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 | value / 1000 % 10 << 12; }

TEST_F(PitTest, AgreesWithAPlainCounterAtEveryClockUnderRandomUse) {
    Random random(8254);
    PlainCounter plain;
    bool bcd = false;
    program(2, 0, 5);
    plain.control(0, false);
    plain.write(5);
    for (Tick tick = 1; tick <= 400000; ++tick) {
        at_tick(tick);
        plain.clock();
        if (random.chance(300)) {
            const u32 mode = static_cast<u32>(random.below(6));
            bcd = random.chance(3);
            wiring.out(0x43, 0xB0 | mode << 1 | (bcd ? 1 : 0));
            plain.control(mode, bcd);
        }
        if (random.chance(60)) {
            const bool gate = random.chance(2);
            wiring.out(0x61, gate ? 1 : 0);
            plain.set_gate(gate);
        }
        if (random.chance(50)) {
            const u32 value = random.chance(20) ? 0 : 2 + static_cast<u32>(random.below(40));
            const u32 coded = bcd ? to_bcd(value) : value;
            wiring.out(0x42, coded & 0xFF);
            wiring.out(0x42, coded >> 8);
            plain.write(value);
        }
        ASSERT_EQ(out2(), plain.out) << "tick " << tick << ", mode " << plain.mode;
        if (!plain.loaded)
            continue; // the count before the first load is undefined
        const u32 shown = bcd ? from_bcd(count(2)) : count(2);
        ASSERT_EQ(shown, plain.element % plain.wrap) << "tick " << tick << ", mode " << plain.mode;
        wiring.out(0x43, 0xE8);
        ASSERT_EQ((wiring.in(0x42) & 0x40) != 0, plain.null_count) << "tick " << tick << ", mode " << plain.mode;
    }
}

TEST_F(PitTest, SavesAndLoadsInTheMiddleOfACount) {
    program(0, 3, 5000);
    wiring.out(0x40, 0x11); // half of the next count
    at_tick(7000);
    wiring.out(0x43, 0x00);
    wiring.in(0x40);
    const std::vector<u8> saved = wiring.save();
    wiring.advance(12345678);
    const u64 later = wiring.hash();
    FakeWiring other{kRate};
    Pit copy;
    other.add(copy);
    ASSERT_TRUE(other.load(saved).ok());
    EXPECT_TRUE(other.rises[0].empty());
    other.advance(12345678);
    EXPECT_EQ(other.hash(), later);
    EXPECT_EQ(other.rises[0].back(), wiring.rises[0].back());
}

} // namespace
} // namespace forkscope
