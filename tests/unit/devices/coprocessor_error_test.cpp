// The latch between FERR# and IRQ 13.
#include <gtest/gtest.h>

#include "devices/coprocessor_error.hpp"
#include "tests/unit/devices/fake_wiring.hpp"

namespace forkscope {
namespace {

struct IgnorePin : InterruptInput {
    void set_line(u8 line, bool level) override {
        EXPECT_EQ(line, 2);
        high = level;
    }
    bool high = false;
};

struct CoprocessorErrorTest : testing::Test {
    CoprocessorErrorTest() {
        wiring.add(latch);
        latch.set_ignore_line({&ignore, 2});
    }
    FakeWiring wiring;
    IgnorePin ignore;
    CoprocessorError latch;
};

TEST_F(CoprocessorErrorTest, HoldsInterrupt13UntilPortF0IsWritten) {
    latch.set_line(0, true);
    EXPECT_TRUE(wiring.lines[13]);
    latch.set_line(0, false); // the handler cleared the exception first
    EXPECT_TRUE(wiring.lines[13]);
    wiring.out(0xF0, 0);
    EXPECT_FALSE(wiring.lines[13]);
    EXPECT_FALSE(ignore.high);
}

TEST_F(CoprocessorErrorTest, LetsTheHandlerIgnoreTheErrorUntilItIsCleared) {
    latch.set_line(0, true);
    wiring.out(0xF0, 0);
    EXPECT_FALSE(wiring.lines[13]);
    EXPECT_TRUE(ignore.high);
    latch.set_line(0, false);
    EXPECT_FALSE(ignore.high);
    latch.set_line(0, true);
    EXPECT_TRUE(wiring.lines[13]);
    EXPECT_FALSE(ignore.high);
}

TEST_F(CoprocessorErrorTest, RaisesOneInterruptAnError) {
    latch.set_line(0, true);
    latch.set_line(0, true);
    EXPECT_EQ(wiring.rises[13].size(), 1u);
}

} // namespace
} // namespace forkscope
