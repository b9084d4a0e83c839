// The ports through which a guest speaks to Forkscope, and the DMA controllers' registers.
#include <gtest/gtest.h>

#include "devices/debug_console.hpp"
#include "devices/dma/dma.hpp"
#include "devices/exit_port.hpp"
#include "devices/firmware_config.hpp"
#include "devices/trace_port.hpp"
#include "guest/abi/ports.h"
#include "tests/unit/devices/fake_wiring.hpp"

namespace forkscope {
namespace {

struct Recorder : TraceSink {
    void on_event(const TraceEvent& event) override { events.push_back(event); }
    std::vector<TraceEvent> events;
};

TEST(DebugConsole, PassesBytesOnAndSaysThatItIsThere) {
    FakeWiring wiring;
    DebugConsole console;
    wiring.add(console);
    for (const char letter : std::string_view("hi\n"))
        wiring.out(ABI_PORT_DEBUG_CONSOLE, static_cast<u8>(letter));
    EXPECT_EQ(wiring.sent["debug"], "hi\n");
    EXPECT_EQ(wiring.in(ABI_PORT_DEBUG_CONSOLE), 0xE9u);
}

TEST(ExitPort, AsksForTheStatusWritten) {
    FakeWiring wiring;
    ExitPort port;
    wiring.add(port);
    wiring.out(ABI_PORT_EXIT, 0x00);
    wiring.out(ABI_PORT_EXIT, 0x10);
    wiring.out(ABI_PORT_EXIT, 0x01, 4);
    EXPECT_EQ(wiring.exits, (std::vector<u32>{0, 0x10, 1}));
}

TEST(ExitPort, UnderstandsTheWordShutdown) {
    FakeWiring wiring;
    ExitPort port;
    wiring.add(port);
    for (const char letter : std::string_view("ShutShutdown"))
        wiring.out(ABI_PORT_BOCHS_SHUTDOWN, static_cast<u8>(letter));
    EXPECT_EQ(wiring.exits, (std::vector<u32>{0}));
    for (const char letter : std::string_view("SShutdowN"))
        wiring.out(ABI_PORT_BOCHS_SHUTDOWN, static_cast<u8>(letter));
    EXPECT_EQ(wiring.exits.size(), 1u);
}

TEST(TracePort, EmitsATracepointWithItsArgumentsWhenTheIdIsWritten) {
    FakeWiring wiring;
    TracePort port;
    Recorder recorder;
    wiring.trace.set_sink(&recorder);
    wiring.add(port);
    wiring.out(ABI_PORT_TRACE_ARG0, 0x11223344, 4);
    wiring.out(ABI_PORT_TRACE_ARG1, 2, 4);
    wiring.out(ABI_PORT_TRACE_ARG2, 0xFFFFFFFF, 4);
    wiring.out(ABI_PORT_TRACE_ARG2 + 1, 0x00);
    EXPECT_TRUE(recorder.events.empty());
    wiring.out(ABI_PORT_TRACE_ID, 0x12, 4);
    ASSERT_EQ(recorder.events.size(), 1u);
    EXPECT_EQ(recorder.events[0].kind, TraceKind::Tracepoint);
    EXPECT_EQ(recorder.events[0].a, 0x12u);
    EXPECT_EQ(recorder.events[0].b, 0x11223344u);
    EXPECT_EQ(recorder.events[0].c, 2u);
    EXPECT_EQ(recorder.events[0].d, 0xFFFF00FFu);
}

TEST(TracePort, AnswersTheSameWhetherAnybodyListensOrNot) {
    FakeWiring wiring;
    TracePort port;
    wiring.add(port);
    EXPECT_EQ(wiring.in(ABI_PORT_TRACE_ID, 4), ABI_TRACE_MAGIC);
    wiring.out(ABI_PORT_TRACE_ID, 1, 4);
    const u64 hash = wiring.hash();
    Recorder recorder;
    wiring.trace.set_sink(&recorder);
    EXPECT_EQ(wiring.in(ABI_PORT_TRACE_ID, 4), ABI_TRACE_MAGIC);
    EXPECT_EQ(wiring.in(ABI_PORT_TRACE_ID + 3), ABI_TRACE_MAGIC >> 24);
    wiring.out(ABI_PORT_TRACE_ID, 1, 4);
    EXPECT_EQ(wiring.hash(), hash);
}

TEST(FirmwareConfig, ReadsItemsByteByByteAndZerosPastTheirEnd) {
    FakeWiring wiring;
    FirmwareConfig config;
    wiring.add(config);
    config.set_item(ABI_FIRMWARE_SIGNATURE, {'F', 'S', 'C', 'P'});
    config.set_item(0x1234, {7});
    const auto read = [&](u32 item) {
        wiring.out(ABI_PORT_FIRMWARE_SELECT, item, 2);
        std::vector<u32> bytes;
        for (int i = 0; i < 5; ++i)
            bytes.push_back(wiring.in(ABI_PORT_FIRMWARE_DATA));
        return bytes;
    };
    EXPECT_EQ(read(ABI_FIRMWARE_SIGNATURE), (std::vector<u32>{'F', 'S', 'C', 'P', 0}));
    EXPECT_EQ(read(0x1234), (std::vector<u32>{7, 0, 0, 0, 0}));
    EXPECT_EQ(read(0x4321), (std::vector<u32>{0, 0, 0, 0, 0}));
    EXPECT_EQ(read(ABI_FIRMWARE_SIGNATURE)[0], u32{'F'});
}

TEST(FirmwareConfig, ReadsItemsByWordsAndDoublewordsToo) {
    FakeWiring wiring;
    FirmwareConfig config;
    wiring.add(config);
    config.set_item(9, {1, 2, 3, 4, 5, 6, 7, 8});
    wiring.out(ABI_PORT_FIRMWARE_SELECT, 9, 2);
    EXPECT_EQ(wiring.in(ABI_PORT_FIRMWARE_DATA, 4), 0x04030201u);
    EXPECT_EQ(wiring.in(ABI_PORT_FIRMWARE_DATA, 2), 0x0605u);
    EXPECT_EQ(wiring.in(ABI_PORT_FIRMWARE_DATA, 4), 0x00000807u);
}

TEST(FirmwareConfig, ReadsAnItemOfPartsAsOne) {
    FakeWiring wiring;
    FirmwareConfig config;
    wiring.add(config);
    std::vector<SharedBytes> parts = {std::vector<u8>{}, std::vector<u8>{1, 2, 3}, std::vector<u8>{},
                                      std::vector<u8>{4}, std::vector<u8>{5, 6}};
    config.set_parts(ABI_FIRMWARE_SEGMENT_DATA, std::move(parts));
    wiring.out(ABI_PORT_FIRMWARE_SELECT, ABI_FIRMWARE_SEGMENT_DATA, 2);
    EXPECT_EQ(wiring.in(ABI_PORT_FIRMWARE_DATA, 4), 0x04030201u);
    EXPECT_EQ(wiring.in(ABI_PORT_FIRMWARE_DATA, 4), 0x00000605u);
    config.set_parts(ABI_FIRMWARE_SEGMENT_DATA, {});
    wiring.out(ABI_PORT_FIRMWARE_SELECT, ABI_FIRMWARE_SEGMENT_DATA, 2);
    EXPECT_EQ(wiring.in(ABI_PORT_FIRMWARE_DATA, 4), 0u);
}

TEST(FirmwareConfig, KeepsItsPlaceInASnapshotButNotItsItems) {
    FakeWiring wiring, other;
    FirmwareConfig config, copy;
    wiring.add(config);
    other.add(copy);
    config.set_item(5, {1, 2, 3});
    copy.set_item(5, {1, 2, 3});
    wiring.out(ABI_PORT_FIRMWARE_SELECT, 5, 2);
    wiring.in(ABI_PORT_FIRMWARE_DATA);
    ASSERT_TRUE(other.load(wiring.save()).ok());
    EXPECT_EQ(other.in(ABI_PORT_FIRMWARE_DATA), 2u);
}

TEST(Dma, ReadsAddressesAndCountsThroughTheFlipFlop) {
    FakeWiring wiring;
    Dma dma;
    wiring.add(dma);
    wiring.out(0x0C, 0);
    wiring.out(0x04, 0x34);
    wiring.out(0x04, 0x12);
    wiring.out(0xC6, 0x78);
    wiring.out(0xC6, 0x56);
    EXPECT_EQ(wiring.in(0x04), 0x34u);
    wiring.out(0x0C, 0);
    EXPECT_EQ(wiring.in(0x04), 0x34u);
    EXPECT_EQ(wiring.in(0x04), 0x12u);
    EXPECT_EQ(wiring.in(0xC6), 0x78u);
    EXPECT_EQ(wiring.in(0xC6), 0x56u);
}

TEST(Dma, MasksRequestsAndClears) {
    FakeWiring wiring;
    Dma dma;
    wiring.add(dma);
    EXPECT_EQ(wiring.in(0x0F), 0xFFu);
    wiring.out(0x0A, 0x02);
    EXPECT_EQ(wiring.in(0x0F), 0xFBu);
    wiring.out(0x09, 0x05);
    EXPECT_EQ(wiring.in(0x08), 0x20u);
    wiring.out(0x0D, 0);
    EXPECT_EQ(wiring.in(0x08), 0x00u);
    EXPECT_EQ(wiring.in(0x0F), 0xFFu);
    wiring.out(0xDC, 0);
    EXPECT_EQ(wiring.in(0xDE), 0xF0u);
}

TEST(Dma, ReadsPageRegistersBackIncludingTheDelayPort) {
    FakeWiring wiring;
    Dma dma;
    wiring.add(dma);
    for (u16 port = 0x80; port < 0x90; ++port)
        wiring.out(port, port ^ 0x55u);
    for (u16 port = 0x80; port < 0x90; ++port)
        EXPECT_EQ(wiring.in(port), port ^ 0x55u);
}

} // namespace
} // namespace forkscope
