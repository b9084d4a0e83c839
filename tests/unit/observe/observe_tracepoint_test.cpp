// The tables of events and tracepoints: what C, C++ and the texts take from one row each.
#include <set>

#include <gtest/gtest.h>

#include "emu/base/trace_vocabulary.hpp"
#include "emu/trace/fault_class.hpp"
#include "emu/trace/tracepoints.hpp"
#include "guest/abi/tracepoints.h"

namespace forkscope {
namespace {

TraceEvent tracepoint(u64 id, u64 arg0, u64 arg1, u64 arg2) {
    TraceEvent event;
    event.kind = TraceKind::Tracepoint;
    event.a = id;
    event.b = arg0;
    event.c = arg1;
    event.d = arg2;
    return event;
}

TEST(Tracepoints, HaveUniqueIdsNamesAndStops) {
    std::set<u32> ids;
    std::set<std::string_view> names;
    std::set<std::string_view> stops;
    for (const TracepointInfo& info : tracepoints()) {
        EXPECT_TRUE(ids.insert(info.id).second) << info.id;
        EXPECT_TRUE(names.insert(info.name()).second) << info.name();
        if (!info.stop.number.empty()) {
            EXPECT_TRUE(stops.insert(info.stop.number).second) << info.stop.number;
            EXPECT_FALSE(info.stop.name.empty()) << info.name();
            EXPECT_EQ(fork_stop_numbered(info.stop.number), &info);
        }
        EXPECT_FALSE(info.text.empty()) << info.name();
        EXPECT_EQ(tracepoint_info(info.id), &info);
        EXPECT_EQ(tracepoint_named(info.name()), &info);
    }
    for (const char* stop : {"0", "1", "1b", "2", "2b", "3", "4", "5", "F"})
        EXPECT_EQ(stops.count(stop), 1u) << stop;
    EXPECT_EQ(fork_stop_numbers().substr(0, 11), "0, 1, 1b, 2");
}

TEST(Tracepoints, KeepTheNumbersThatRecordedTracesHave) {
    EXPECT_EQ(TP_FORK_ENTER, 0x10);
    EXPECT_EQ(TP_FORK_PID, 0x1A);
    EXPECT_EQ(TP_FRAME_COPY, 0x24);
    EXPECT_EQ(TP_PANIC, 0x3F);
    EXPECT_EQ(TP_SHADOW_CHAIN, 0x4B);
    EXPECT_EQ(FAULT_RESIDENT, 9);
    EXPECT_EQ(FAULT_NO_MEMORY, 10);
    EXPECT_EQ(FRAME_HEAP, 5);
    EXPECT_EQ(tracepoint_name(TP_FORK_ENTER), "fork_enter");
    EXPECT_EQ(tracepoint_name(0x99), "tracepoint_0x99");
    EXPECT_EQ(tracepoint_name(~u64{0}), "tracepoint_0xffffffffffffffff");
    EXPECT_EQ(tracepoint_info(0), nullptr);
    EXPECT_EQ(tracepoint_named("fork"), nullptr);
    EXPECT_EQ(fork_stop_numbered(""), nullptr) << "most tracepoints begin no stop";
}

TEST(Tracepoints, OfALaterFaultBeginNoStopOfForkItself) {
    EXPECT_TRUE(is_fork_stop(TP_FORK_ENTER));
    EXPECT_TRUE(is_fork_stop(TP_FORK_PROTECT));
    EXPECT_FALSE(is_fork_stop(TP_FORK_LEAVE));
    EXPECT_FALSE(is_fork_stop(TP_FAULT_ENTER));
    EXPECT_EQ(fork_stop_name(TP_FORK_PROTECT).number, "2b");
    EXPECT_EQ(fork_stop_name(TP_FORK_PROTECT).name, "copy-on-write protection");
    EXPECT_EQ(fork_stop_name(TP_FAULT_ENTER).number, "?");
}

TEST(Tracepoints, SayWhichDirectoryIsMade) {
    EXPECT_EQ(stated_directory(tracepoint(TP_FORK_RUNNABLE, 1, 2, 0x5000)), 0x5000u);
    EXPECT_EQ(stated_directory(tracepoint(TP_PROCESS_START, 1, 2, 0x6000)), 0x6000u);
    EXPECT_EQ(stated_directory(tracepoint(TP_CONTEXT_SWITCH, 1, 2, 0x6000)), 0u) << "CR3 has it already";
    EXPECT_EQ(stated_directory(tracepoint(TP_FORK_ENTER, 1, 2, 7)), 0u) << "a number of pages";
    EXPECT_EQ(stated_directory(tracepoint(0x99, 1, 2, 7)), 0u);
}

TEST(FaultClass, IsNamedAsTheTableHasIt) {
    EXPECT_EQ(fault_class_name(FaultClass::CowReuse), "cow-reuse");
    EXPECT_EQ(fault_class_name(FaultClass::Unknown), "unknown");
    EXPECT_EQ(stated_fault_class(FAULT_KERNEL_COPY), FaultClass::KernelCopy);
    EXPECT_EQ(stated_fault_class(0), FaultClass::Unknown);
    EXPECT_EQ(stated_fault_class(11), FaultClass::Unknown);
    EXPECT_EQ(frame_use_name(FRAME_KERNEL_STACK), "kernel stack");
    EXPECT_EQ(frame_use_name(77), "other");
}

TEST(TraceValue, TakesApartWhatIsPackedIntoOneArgument) {
    TraceEvent event;
    event.kind = TraceKind::Interrupt;
    event.c = interrupt_source(InterruptCause::Software, 3);
    EXPECT_EQ(event.c, 0x301u) << "as recorded traces have it";
    EXPECT_EQ(interrupt_cause(event), InterruptCause::Software);
    EXPECT_EQ(kInterruptFromCpl(event), 3u);
    EXPECT_TRUE(is_system_call(event));
    event.kind = TraceKind::TlbFill;
    event.c = tlb_set_way(0x12, 3);
    EXPECT_EQ(event.c, 0x1203u) << "as recorded traces have it";
    EXPECT_EQ(kTlbWay(event), 3u);
    EXPECT_EQ(kTlbSet(event), 0x12u);
    EXPECT_FALSE(is_system_call(event)) << "another kind";
    event.d = ~u64{0};
    EXPECT_EQ(trace_value(TraceKind::PteWrite, "level")(event), ~u64{0});
}

TEST(TraceValue, OfAnEnumerationHasAName) {
    EXPECT_EQ(trace_value_name(TraceType::FlushReason, static_cast<u64>(TlbFlushReason::TestRegister)),
              "test_register");
    EXPECT_EQ(trace_value_name(TraceType::InterruptCause, static_cast<u64>(InterruptCause::Nmi)), "nmi");
    EXPECT_EQ(trace_value_name(TraceType::TlbArray, static_cast<u64>(TlbArray::Instruction4M)), "instruction_4m");
    EXPECT_EQ(trace_value_name(TraceType::FlushReason, 8), "");
    EXPECT_EQ(trace_value_name(TraceType::Count, 0), "") << "a number has none";
}

} // namespace
} // namespace forkscope
