// What the guest touched where nothing answers: once an access, bounded, and as it was when the machine goes back.
#include <gtest/gtest.h>

#include "emu/observe/faults/unmapped_touches.hpp"
#include "emu/report/counter_report.hpp"
#include "emu/report/text_writer.hpp"

namespace forkscope {
namespace {

class Silent : public IoHandler {
    u32 io_read(u32, u32) override { return 0; }
    void io_write(u32, u32, u32) override {}
};

class Unmapped : public testing::Test {
  protected:
    Unmapped() { bus.set_listener(&touches); }
    std::string text() const {
        return document_text(unmapped_document(
            touches.state(), [](u32 space, u32 address) { return fmt::format("{:x}:{:x}", space, address); }));
    }

    Moment now{.instructions = 7, .eip = 0x1000, .address_space = 0x2000};
    UnmappedTouches touches{[this] { return now; }};
    Bus bus;
};

TEST_F(Unmapped, CountsAnAccessOnceByItsFirstAddressThatNothingAnswersAt) {
    Silent device;
    bus.map_ports(0x300, 2, device);
    bus.read_port(0x300, 2);
    EXPECT_TRUE(touches.state().places.empty());
    bus.read_port(0x2FE, 4); // two bytes of nobody, two of the device
    bus.write_port(0x300, 4, 0);
    bus.write_port(0x302, 1, 0);
    const auto places = touches.state().places;
    ASSERT_EQ(places.size(), 2u);
    EXPECT_EQ(places[0].address, 0x2FEu);
    EXPECT_EQ(places[0].reads, 1u);
    EXPECT_EQ(places[0].writes, 0u);
    EXPECT_EQ(places[1].address, 0x302u);
    EXPECT_EQ(places[1].writes, 2u);
}

TEST_F(Unmapped, KeepsThePlaceOfTheFirstTouchOfAPage) {
    bus.read_memory(PhysicalAddress(0xE0000010), 4);
    now = {.instructions = 9, .eip = 0x1111};
    bus.write_memory(PhysicalAddress(0xE0000000), 4, 1);
    bus.read_port(0, 1); // no page 0, and no port E0000h
    const auto places = touches.state().places;
    ASSERT_EQ(places.size(), 2u);
    EXPECT_EQ(places[0].address, 0xE0000010u);
    EXPECT_EQ(places[0].eip, 0x1000u);
    EXPECT_EQ(places[0].instructions, 7u);
    EXPECT_EQ(places[0].reads + places[0].writes, 2u);
    EXPECT_NE(text().find("2000:1000"), std::string::npos) << text();
}

TEST_F(Unmapped, HoldsSoManyPlacesAndCountsTheRest) {
    for (u32 page = 0; page < UnmappedTouches::kMostPlaces + 3; ++page)
        bus.read_memory(PhysicalAddress(u64{page} << kPageShift), 1);
    EXPECT_EQ(touches.state().places.size(), UnmappedTouches::kMostPlaces);
    EXPECT_EQ(touches.state().further, 3u);
    EXPECT_NE(text().find("3 accesses to further ones"), std::string::npos);
}

TEST_F(Unmapped, ForgetsWhatIsTakenBack) {
    bus.read_port(0x1F0, 1);
    const UnmappedTouches::State before = touches.state();
    bus.read_port(0x1F0, 1);
    bus.read_port(0x1F1, 1);
    touches.restore(&before);
    bus.read_port(0x1F0, 1);
    ASSERT_EQ(touches.state().places.size(), 1u);
    EXPECT_EQ(touches.state().places[0].reads, 2u);
    touches.restore(nullptr);
    EXPECT_TRUE(touches.state().places.empty());
}

} // namespace
} // namespace forkscope
