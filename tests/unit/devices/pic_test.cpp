#include "devices/pic/pic.hpp"

#include <gtest/gtest.h>

#include "tests/unit/devices/fake_wiring.hpp"

namespace forkscope {
namespace {

// Two 8259s as a PC programs them: vectors 20h and 28h, slave on line 2.
class PicTest : public testing::Test, public InterruptInput {
  protected:
    PicTest() {
        wiring.add(pic);
        pic.set_output({this, 0});
        initialise(0x11, 0x01);
    }
    void set_line(u8, bool level) override {
        intr = level;
        ++intr_changes;
    }
    void initialise(u8 icw1, u8 master_icw4) {
        wiring.out(0x20, icw1);
        wiring.out(0x21, 0x20);
        wiring.out(0x21, 0x04);
        wiring.out(0x21, master_icw4);
        wiring.out(0xA0, icw1);
        wiring.out(0xA1, 0x28);
        wiring.out(0xA1, 0x02);
        wiring.out(0xA1, 0x01);
    }
    void raise(u8 line) { pic.set_line(line, true); }
    void lower(u8 line) { pic.set_line(line, false); }
    u32 requested(u16 port) {
        wiring.out(port, 0x0A);
        return wiring.in(port);
    }
    u32 in_service(u16 port) {
        wiring.out(port, 0x0B);
        return wiring.in(port);
    }

    FakeWiring wiring;
    Pic pic;
    bool intr = false;
    int intr_changes = 0;
};

TEST_F(PicTest, DeliversTheMostUrgentLineFirstAndTheOthersAfterEachEnd) {
    raise(6);
    raise(1);
    raise(3);
    EXPECT_TRUE(intr);
    EXPECT_EQ(pic.acknowledge(), 0x21);
    EXPECT_FALSE(intr);
    EXPECT_EQ(in_service(0x20), 0x02u);
    EXPECT_EQ(requested(0x20), 0x48u);
    wiring.out(0x20, 0x20);
    EXPECT_TRUE(intr);
    EXPECT_EQ(pic.acknowledge(), 0x23);
    wiring.out(0x20, 0x20);
    EXPECT_EQ(pic.acknowledge(), 0x26);
    wiring.out(0x20, 0x20);
    EXPECT_FALSE(intr);
}

TEST_F(PicTest, LetsAMoreUrgentLineInterruptALessUrgentOneInService) {
    raise(5);
    EXPECT_EQ(pic.acknowledge(), 0x25);
    raise(7);
    EXPECT_FALSE(intr);
    raise(0);
    EXPECT_TRUE(intr);
    EXPECT_EQ(pic.acknowledge(), 0x20);
    wiring.out(0x20, 0x20); // a non-specific end is for the most urgent in service: line 0
    EXPECT_EQ(in_service(0x20), 0x20u);
    EXPECT_FALSE(intr);
    wiring.out(0x20, 0x20);
    EXPECT_TRUE(intr);
}

TEST_F(PicTest, TakesSlaveLinesThroughTheCascadeBetweenLines1And3) {
    raise(3);
    raise(12);
    raise(8);
    EXPECT_EQ(pic.acknowledge(), 0x28);
    EXPECT_EQ(in_service(0x20), 0x04u);
    EXPECT_EQ(in_service(0xA0), 0x01u);
    EXPECT_FALSE(intr); // 12 waits behind 8 in the slave, 3 behind 2 in the master
    wiring.out(0xA0, 0x20);
    EXPECT_FALSE(intr); // the master still has line 2 in service
    wiring.out(0x20, 0x20);
    EXPECT_TRUE(intr);
    EXPECT_EQ(pic.acknowledge(), 0x2C);
    wiring.out(0xA0, 0x20);
    wiring.out(0x20, 0x20);
    EXPECT_EQ(pic.acknowledge(), 0x23);
}

TEST_F(PicTest, NestsAMoreUrgentSlaveLineOnlyWhenSpecialFullyNested) {
    raise(12);
    EXPECT_EQ(pic.acknowledge(), 0x2C);
    raise(8);
    EXPECT_FALSE(intr);
    lower(8);
    lower(12);
    initialise(0x11, 0x11); // SFNM
    raise(12);
    EXPECT_EQ(pic.acknowledge(), 0x2C);
    raise(8);
    EXPECT_TRUE(intr);
    EXPECT_EQ(pic.acknowledge(), 0x28);
}

TEST_F(PicTest, GivesVector7WhenTheRequestDroppedBeforeItsAcknowledge) {
    raise(4);
    lower(4);
    EXPECT_FALSE(intr);
    EXPECT_EQ(pic.acknowledge(), 0x27);
    EXPECT_EQ(in_service(0x20), 0x00u);
}

TEST_F(PicTest, TakesAPolledSlaveLineOutOfTheMastersSight) {
    raise(10);
    wiring.out(0xA0, 0x0C);
    EXPECT_EQ(wiring.in(0xA0), 0x82u); // now in service in the slave alone
    EXPECT_FALSE(intr);
    EXPECT_EQ(pic.acknowledge(), 0x27);
    wiring.out(0xA0, 0x62); // specific end
    lower(10);
    raise(10);
    EXPECT_TRUE(intr);
    EXPECT_EQ(pic.acknowledge(), 0x2A);
}

TEST(InterruptControllerTest, GivesVector15FromASlaveWhoseRequestDroppedAndTakesNothingIntoService) {
    InterruptController slave;
    slave.write(0, 0x11);
    slave.write(1, 0x70);
    slave.write(1, 0x02);
    slave.write(1, 0x01);
    slave.set_input(3, true);
    EXPECT_TRUE(slave.requests());
    slave.set_input(3, false);
    EXPECT_EQ(slave.accept(), InterruptController::kNone);
    EXPECT_EQ(slave.vector(7), 0x77);
    slave.write(0, 0x0B);
    EXPECT_EQ(slave.read(0), 0);
}

TEST_F(PicTest, NeedsANewEdgeAfterTheAcknowledgeUnlessTheLineIsLevelTriggered) {
    raise(5);
    EXPECT_EQ(pic.acknowledge(), 0x25);
    wiring.out(0x20, 0x20);
    EXPECT_FALSE(intr);
    lower(5);
    wiring.out(0x4D0, 0xFF);
    wiring.out(0x4D1, 0xFF);
    EXPECT_EQ(wiring.in(0x4D0), 0xF8u); // timer, keyboard and cascade stay edges
    EXPECT_EQ(wiring.in(0x4D1), 0xDEu); // so do clock and coprocessor
    raise(5);
    EXPECT_EQ(pic.acknowledge(), 0x25);
    wiring.out(0x20, 0x20);
    EXPECT_TRUE(intr);
    EXPECT_EQ(requested(0x20), 0x20u);
    lower(5);
    EXPECT_FALSE(intr);
}

TEST_F(PicTest, RotatesOnEndAndOnAcknowledge) {
    raise(4);
    EXPECT_EQ(pic.acknowledge(), 0x24);
    wiring.out(0x20, 0xA0); // rotate on non-specific end: 4 is last now
    lower(4);
    raise(4);
    raise(5);
    raise(0);
    EXPECT_EQ(pic.acknowledge(), 0x25);
    wiring.out(0x20, 0x65);
    EXPECT_EQ(pic.acknowledge(), 0x20);
    wiring.out(0x20, 0x20);
    EXPECT_EQ(pic.acknowledge(), 0x24);
    wiring.out(0x20, 0xE4); // rotate on specific end
    wiring.out(0x20, 0xC1); // set priority: 1 is last, 2 first
    lower(0);
    lower(3);
    raise(0);
    raise(3);
    EXPECT_EQ(pic.acknowledge(), 0x23);
}

TEST_F(PicTest, EndsByItselfInAutomaticModeAndRotatesThenIfTold) {
    initialise(0x11, 0x03);
    raise(1);
    EXPECT_EQ(pic.acknowledge(), 0x21);
    EXPECT_EQ(in_service(0x20), 0u);
    wiring.out(0x20, 0x80); // rotate in automatic end mode
    lower(1);
    raise(1);
    EXPECT_EQ(pic.acknowledge(), 0x21); // and 1 is last from here on
    lower(1);
    raise(1);
    raise(7);
    EXPECT_EQ(pic.acknowledge(), 0x27);
    EXPECT_EQ(pic.acknowledge(), 0x21);
}

TEST_F(PicTest, LetsLessUrgentLinesThroughInSpecialMaskMode) {
    raise(3);
    EXPECT_EQ(pic.acknowledge(), 0x23);
    raise(6);
    wiring.out(0x21, 0x08);
    EXPECT_FALSE(intr);
    wiring.out(0x20, 0x68);
    EXPECT_TRUE(intr);
    EXPECT_EQ(pic.acknowledge(), 0x26);
    wiring.out(0x20, 0x20); // ends 6: a masked line is not ended by a non-specific command
    EXPECT_EQ(in_service(0x20), 0x08u);
    wiring.out(0x20, 0x48);
    raise(7);
    EXPECT_FALSE(intr);
}

TEST_F(PicTest, AnswersAPollAsAnAcknowledge) {
    wiring.out(0x20, 0x0C);
    EXPECT_EQ(wiring.in(0x20), 0u);
    raise(6);
    wiring.out(0x20, 0x0C);
    EXPECT_EQ(wiring.in(0x20), 0x86u);
    EXPECT_FALSE(intr);
    EXPECT_EQ(in_service(0x20), 0x40u);
}

TEST_F(PicTest, MasksAndReadsTheMaskBack) {
    wiring.out(0x21, 0xFE);
    raise(1);
    EXPECT_FALSE(intr);
    EXPECT_EQ(wiring.in(0x21), 0xFEu);
    EXPECT_EQ(requested(0x20), 0x02u);
    wiring.out(0x21, 0xFC);
    EXPECT_TRUE(intr);
}

TEST_F(PicTest, ForgetsEdgesAndServiceOnInitialisation) {
    raise(3);
    raise(5);
    pic.acknowledge();
    initialise(0x11, 0x01);
    EXPECT_EQ(in_service(0x20), 0u);
    EXPECT_EQ(requested(0x20), 0u);
    EXPECT_FALSE(intr);
    lower(5);
    raise(5);
    EXPECT_TRUE(intr);
}

TEST_F(PicTest, SavesAndLoadsWithoutDrivingIntrAgain) {
    raise(10);
    raise(1);
    pic.acknowledge();
    const std::vector<u8> saved = wiring.save();
    const u64 hash = wiring.hash();
    wiring.out(0x20, 0x20);
    pic.acknowledge();
    EXPECT_NE(wiring.hash(), hash);
    const int changes = intr_changes;
    ASSERT_TRUE(wiring.load(saved).ok());
    EXPECT_EQ(wiring.hash(), hash);
    EXPECT_EQ(intr_changes, changes);
    wiring.out(0x20, 0x20);
    EXPECT_EQ(pic.acknowledge(), 0x2A);
}

} // namespace
} // namespace forkscope
