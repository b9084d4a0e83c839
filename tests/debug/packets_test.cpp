// Framing: packets come out whole, whatever arrives around them and in whatever pieces.
#include <gtest/gtest.h>

#include "emu/base/random.hpp"
#include "emu/debug/packets.hpp"

namespace forkscope::test {
namespace {

std::vector<Received> all_of(PacketReader& reader, std::string_view bytes) {
    std::vector<Received> all;
    for (const char byte : bytes)
        if (auto one = reader.take(static_cast<u8>(byte)))
            all.push_back(*std::move(one));
    return all;
}

TEST(Packets, ComeOutWithTheirAcknowledgementsAndInterrupts) {
    PacketReader reader;
    const auto all = all_of(reader, "+\x03noise" + framed("qC") + "-" + framed("?"));
    ASSERT_EQ(all.size(), 5u);
    EXPECT_EQ(all[0].kind, Received::Kind::Ack);
    EXPECT_EQ(all[1].kind, Received::Kind::Interrupt);
    EXPECT_EQ(all[2].payload, "qC");
    EXPECT_EQ(all[3].kind, Received::Kind::Nak);
    EXPECT_EQ(all[4].payload, "?");
}

TEST(Packets, AreTakenOnlyWithTheirChecksum) {
    EXPECT_EQ(framed("m0,4"), "$m0,4#fd");
    PacketReader reader;
    for (const char* wrong : {"$m0,4#fc", "$m0,4#zz", "$m0,5#fd"}) {
        const auto all = all_of(reader, wrong);
        ASSERT_EQ(all.size(), 1u) << wrong;
        EXPECT_EQ(all[0].kind, Received::Kind::Damaged) << wrong;
    }
}

TEST(Packets, KeepEveryByteThatWasEscaped) {
    std::string binary;
    for (int byte = 0; byte < 256; ++byte)
        binary += static_cast<char>(byte);
    PacketReader reader;
    const auto all = all_of(reader, framed(escaped(binary)));
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].payload, binary);
}

TEST(Packets, ThatAreCutOffGiveWayToTheNextOne) {
    PacketReader reader;
    const auto all = all_of(reader, "$m0," + framed("g"));
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].payload, "g");
}

TEST(Packets, OfAnyLengthTakeBoundedMemory) {
    PacketReader reader;
    EXPECT_TRUE(all_of(reader, "$" + std::string(1u << 20, 'a')).empty());
    auto all = all_of(reader, "#00");
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].kind, Received::Kind::Damaged);
    all = all_of(reader, framed(std::string(kMostPayload, 'a')));
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].payload.size(), kMostPayload);
}

TEST(Packets, AreFoundAgainBehindAnyNoise) {
    Random random(12);
    PacketReader reader;
    for (int round = 0; round < 2000; ++round) {
        std::string noise(random.below(40), ' ');
        for (char& byte : noise)
            byte = static_cast<char>(random.next());
        all_of(reader, noise);
        all_of(reader, "}}#00"); // whatever the noise began has ended
        const auto all = all_of(reader, framed("vCont?"));
        ASSERT_EQ(all.size(), 1u) << round;
        EXPECT_EQ(all[0].payload, "vCont?");
    }
}

} // namespace
} // namespace forkscope::test
