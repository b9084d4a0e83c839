// Forkscope's answer to the row x87_at_reset of docs/peers.md: a machine takes no other firmware, whose FNINIT hides
// it.
#include <gtest/gtest.h>

#include "emu/machine/machine.hpp"

namespace forkscope {

TEST(ResetState, HasAnX87ThatFninitHasNotTouched) {
    auto machine = Machine::create({});
    ASSERT_TRUE(machine.ok());
    const X87State& x87 = (*machine)->registers().x87;
    EXPECT_EQ(x87.control, 0x0040); // SDM 3A table 9-1
    EXPECT_EQ(x87.occupied, 0xFF);  // tag word 5555h: all hold zero
    for (const Float80& value : x87.registers)
        EXPECT_TRUE(value.significand == 0 && value.sign_exponent == 0);
}

} // namespace forkscope
