// Whose an address space is, as the guest states it.
#include <gtest/gtest.h>

#include "emu/observe/processes/process_context.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {
namespace {

void state(ProcessContext& context, u64 what, u32 pid, u32 directory) {
    TraceEvent event;
    event.kind = TraceKind::Tracepoint;
    event.a = what;
    event.b = pid;
    event.d = directory;
    context.on_event(event);
}

// Whichever directory lies lower.
TEST(ProcessContext, KnowsTheSpaceThatAProcessHasSinceExec) {
    for (const auto& [before, after] : {std::pair(0x300000u, 0x400000u), std::pair(0x400000u, 0x300000u)}) {
        ProcessContext context;
        state(context, TP_PROCESS_START, 1, before);
        state(context, TP_PROCESS_START, 2, 0x500000);
        EXPECT_EQ(context.space_of(1), before);
        state(context, TP_PROCESS_EXEC, 1, after);
        EXPECT_EQ(context.space_of(1), after);
        EXPECT_EQ(context.pid_of(after), 1u);
        EXPECT_EQ(context.pid_of(before), 0u) << "its frame is free";
        EXPECT_EQ(context.space_of(2), 0x500000u);
        state(context, TP_PROCESS_START, 3, before); // which takes the frame
        EXPECT_EQ(context.space_of(3), before);
        EXPECT_EQ(context.space_of(1), after);
    }
}

} // namespace
} // namespace forkscope
