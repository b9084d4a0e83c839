// What --until leaves behind on the machine.
#include <gtest/gtest.h>

#include "emu/session/until.hpp"

namespace forkscope::test {
namespace {

TEST(Until, AnAddressTakesItsBreakpointAwayOnceItIsReached) {
    const std::unique_ptr<Machine> machine = std::move(Machine::create({}).value());
    const auto until = std::move(UntilCondition::parse("address:FFFFFFF0", Symbolizer()).value());
    until->arm(*machine);
    ASSERT_EQ(machine->breakpoints().all().size(), 1u);
    EXPECT_EQ(machine->run({kNever, 10}).kind, StopKind::Breakpoint);
    until->on_stop(*machine);
    EXPECT_TRUE(until->met());
    EXPECT_TRUE(machine->breakpoints().all().empty());
    EXPECT_EQ(machine->run({kNever, 10}).kind, StopKind::Limit);
}

} // namespace
} // namespace forkscope::test
