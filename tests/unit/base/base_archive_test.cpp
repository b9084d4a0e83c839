// The four archives over one field list, and what they make of damaged input.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "emu/base/archive.hpp"
#include "emu/base/random.hpp"

namespace forkscope {
namespace {

enum class Colour : u8 { Red, Green };

struct Part {
    u32 a = 0;
    u16 b[3] = {};
    void serialize(Archive& ar) {
        ar.field("a", a);
        ar.field("b", b);
    }
    bool operator==(const Part& o) const { return a == o.a && std::equal(b, b + 3, o.b); }
};

struct Whole {
    u8 byte = 0;
    bool flag = false;
    Colour colour = Colour::Red;
    LinearAddress address;
    std::array<u64, 2> words{};
    std::vector<u8> bytes;
    std::vector<Part> parts;
    std::vector<std::string> names;
    std::string name;
    Part part;
    void serialize(Archive& ar) {
        ar.field("byte", byte);
        ar.field("flag", flag);
        ar.field("colour", colour);
        ar.field("address", address);
        ar.field("words", words);
        ar.sequence("bytes", bytes, 1000);
        ar.sequence("parts", parts, 10);
        ar.sequence("names", names, 10);
        ar.text("name", name);
        ar.nested("part", part);
    }
    bool operator==(const Whole& o) const {
        return byte == o.byte && flag == o.flag && colour == o.colour && address == o.address && words == o.words &&
               bytes == o.bytes && parts == o.parts && names == o.names && name == o.name && part == o.part;
    }
};

Whole example() {
    Whole whole;
    whole.byte = 0x5A;
    whole.flag = true;
    whole.colour = Colour::Green;
    whole.address = LinearAddress(0xC0001000);
    whole.words = {1, ~u64{0}};
    whole.bytes = {1, 2, 3};
    whole.parts = {Part{7, {1, 2, 3}}, Part{8, {4, 5, 6}}};
    whole.names = {"", "init"};
    whole.name = "forkscope";
    whole.part = Part{9, {7, 8, 9}};
    return whole;
}

std::vector<u8> save(Whole& whole) {
    SaveArchive archive;
    whole.serialize(archive);
    return archive.take();
}

u64 hash(Whole whole) {
    HashArchive archive;
    whole.serialize(archive);
    return archive.digest();
}

std::vector<std::string> differences(Whole& whole, const std::vector<u8>& saved) {
    DiffArchive archive(saved);
    whole.serialize(archive);
    return archive.differences();
}

TEST(Archive, GivesBackWhatWasSaved) {
    Whole whole = example(), other;
    const std::vector<u8> bytes = save(whole);
    LoadArchive load(bytes);
    other.serialize(load);
    ASSERT_TRUE(load.finish().ok()) << load.finish().error().message;
    EXPECT_EQ(other, whole);
    EXPECT_EQ(save(other), bytes);
    EXPECT_EQ(hash(other), hash(whole));
}

TEST(Archive, StoresLittleEndianBytes) {
    SaveArchive archive;
    u32 value = 0x11223344;
    archive.field("v", value);
    const std::vector<u8> expected = {'v', 1, 'v', 4, 0, 0, 0, 0, 0, 0, 0, 0x44, 0x33, 0x22, 0x11};
    EXPECT_EQ(archive.take(), expected);
}

TEST(Archive, ReportsEveryTruncationAsAnError) {
    Whole whole = example();
    const std::vector<u8> bytes = save(whole);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        Whole other;
        LoadArchive load({bytes.data(), cut});
        other.serialize(load);
        EXPECT_FALSE(load.finish().ok()) << "cut at " << cut;
    }
}

TEST(Archive, ReportsLeftOverBytes) {
    Whole whole = example(), other;
    std::vector<u8> bytes = save(whole);
    bytes.push_back(0);
    LoadArchive load(bytes);
    other.serialize(load);
    EXPECT_FALSE(load.finish().ok());
}

TEST(Archive, SurvivesGarbledInput) {
    Whole whole = example();
    const std::vector<u8> good = save(whole);
    Random random(3);
    for (int round = 0; round < 20000; ++round) {
        std::vector<u8> bytes = good;
        for (u64 i = 1 + random.below(8); i != 0; --i)
            bytes[random.below(bytes.size())] = static_cast<u8>(random.next());
        Whole other;
        LoadArchive load(bytes);
        other.serialize(load);
        static_cast<void>(load.finish());
        EXPECT_LE(other.bytes.size(), 1000u);
        EXPECT_LE(other.parts.size(), 10u);
        Whole another = example();
        static_cast<void>(differences(another, bytes));
    }
}

TEST(Archive, SurvivesBytesThatWereNeverAnArchive) {
    Random random(4);
    for (int round = 0; round < 2000; ++round) {
        std::vector<u8> bytes(random.below(300));
        for (u8& byte : bytes)
            byte = static_cast<u8>(random.next());
        Whole other;
        LoadArchive load(bytes);
        other.serialize(load);
        EXPECT_FALSE(load.finish().ok());
        static_cast<void>(differences(other, bytes));
    }
}

TEST(Archive, RefusesSequencesLongerThanTheTypeAllows) {
    Whole whole = example(), other;
    whole.parts.resize(11);
    const std::vector<u8> bytes = save(whole);
    LoadArchive load(bytes);
    other.serialize(load);
    ASSERT_FALSE(load.finish().ok());
    EXPECT_NE(load.finish().error().message.find("parts"), std::string::npos) << load.finish().error().message;
}

// Large in memory, small in an archive.
struct Large {
    std::array<u8, 4096> derived{};
    u8 kept = 0;
    void serialize(Archive& ar) { ar.field("kept", kept); }
};

std::vector<u8> claiming(u64 count, std::size_t bytes) {
    SaveArchive archive;
    archive.begin("list");
    archive.field("count", count);
    std::vector<u8> rest = archive.take();
    rest.resize(rest.size() + bytes);
    return rest;
}

template <class T> std::string refusal_of_claim(u64 count, std::size_t bytes, std::vector<T>& list) {
    const std::vector<u8> lie = claiming(count, bytes);
    LoadArchive load(lie);
    load.sequence("list", list, ~u64{0});
    const auto finished = load.finish();
    return finished.ok() ? "" : finished.error().message;
}

// A count is a claim: what it costs in memory is bounded by the bytes that follow, not by what it says.
TEST(Archive, TakesNoMemoryForElementsThatAreNotThere) {
    constexpr std::size_t kBytes = 100'000;
    std::vector<Large> large;
    EXPECT_NE(refusal_of_claim(kBytes, kBytes, large).find("100000 elements of 11 bytes"), std::string::npos);
    EXPECT_EQ(large.capacity(), 0u);
    // As many as there could be, none of which is there.
    EXPECT_FALSE(refusal_of_claim(kBytes / 11, kBytes, large).empty());
    EXPECT_LE(large.capacity(), 1u);
    std::vector<std::string> texts;
    EXPECT_FALSE(refusal_of_claim(kBytes / 11, kBytes, texts).empty());
    EXPECT_LE(texts.capacity(), 1u);
    std::vector<u64> words;
    EXPECT_NE(refusal_of_claim(kBytes / 8 + 1, kBytes, words).find("12501 elements of 8 bytes"), std::string::npos);
    EXPECT_NE(refusal_of_claim(~u64{0}, kBytes, words).find("bytes are left"), std::string::npos);
    EXPECT_EQ(words.capacity(), 0u);
}

TEST(Archive, NamesThePathOfTheFieldThatDoesNotFit) {
    Whole whole = example();
    SaveArchive save_archive;
    save_archive.begin("whole");
    u8 byte = 1;
    save_archive.field("another", byte);
    save_archive.end();
    const std::vector<u8> bytes = save_archive.take();
    LoadArchive load(bytes);
    load.nested("whole", whole);
    ASSERT_FALSE(load.finish().ok());
    const std::string message = load.finish().error().message;
    EXPECT_NE(message.find("whole"), std::string::npos) << message;
    EXPECT_NE(message.find("byte"), std::string::npos) << message;
}

TEST(Archive, LeavesLaterFieldsAloneAfterAnError) {
    Whole whole = example(), other = example();
    other.part.a = 4711;
    const std::vector<u8> bytes = save(whole);
    LoadArchive load({bytes.data(), 20});
    other.serialize(load);
    EXPECT_EQ(other.part.a, 4711u);
}

TEST(HashArchive, ChangesWithEveryField) {
    const u64 base = hash(example());
    std::vector<Whole> changed(10, example());
    changed[0].byte ^= 1;
    changed[1].flag = false;
    changed[2].colour = Colour::Red;
    changed[3].address.value ^= u64{1} << 40;
    changed[4].words[1] ^= 1;
    changed[5].bytes.push_back(0);
    changed[6].parts[1].b[2] ^= 1;
    changed[7].name += "s";
    changed[8].part.a ^= 1;
    changed[9].names[0] = "x";
    for (const Whole& whole : changed)
        EXPECT_NE(hash(whole), base);
}

TEST(DiffArchive, SaysWhichFieldHasWhichBytes) {
    Whole whole = example();
    const std::vector<u8> bytes = save(whole);
    EXPECT_TRUE(differences(whole, bytes).empty());
    whole.part.a = 0x0A;
    const std::vector<std::string> lines = differences(whole, bytes);
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0], "part.a: 09000000 -> 0a000000");
}

TEST(DiffArchive, SaysWhenTheStructureDiffers) {
    Whole whole = example();
    const std::vector<u8> bytes = save(whole);
    whole.parts.pop_back();
    const std::vector<std::string> lines = differences(whole, bytes);
    ASSERT_GE(lines.size(), 2u);
    EXPECT_NE(lines[0].find("parts.count"), std::string::npos) << lines[0];
    EXPECT_NE(lines.back().find("structure"), std::string::npos) << lines.back();
}

struct Expecting {
    u32 memory = 64;
    Colour colour = Colour::Red;
    std::string line;
    Part part;
    void serialize(Archive& ar) {
        ar.expect("memory", memory, [](u32 m) { return fmt::format("-m {}M", m); });
        ar.expect("colour", colour, [](Colour c) { return c == Colour::Red ? "red" : "green"; });
        ar.expect("line", line, [](const std::string& text) { return "'" + text + "'"; });
        ar.expect("part", part, [](const Part& p) { return fmt::format("part {}", p.a); });
    }
};

TEST(Archive, NamesAllThatDiffersFromWhatIsExpected) {
    Expecting here{64, Colour::Green, "quiet", Part{9, {}}};
    SaveArchive save;
    here.serialize(save);
    const std::vector<u8> bytes = save.take();
    LoadArchive same(bytes);
    here.serialize(same);
    EXPECT_TRUE(same.finish().ok());

    Expecting other{32, Colour::Green, "", Part{8, {}}};
    LoadArchive load(bytes);
    other.serialize(load);
    ASSERT_FALSE(load.finish().ok());
    EXPECT_EQ(load.finish().error().message,
              "the saved machine has -m 64M, 'quiet', part 9, this one has -m 32M, '', part 8: give it the same");
    EXPECT_EQ(other.memory, 32u) << "what is expected is never loaded";

    HashArchive expected;
    here.serialize(expected);
    HashArchive plain;
    plain.field("memory", here.memory);
    plain.field("colour", here.colour);
    plain.text("line", here.line);
    plain.nested("part", here.part);
    EXPECT_EQ(expected.digest(), plain.digest());
}

TEST(Archive, TakesNoMemoryForElementsThatCannotBeThere) {
    std::vector<u64> words(3, 7);
    SaveArchive save;
    save.sequence("words", words, 100);
    std::vector<u8> bytes = save.take();
    const std::string count = "v\5count";
    const auto field = std::search(bytes.begin(), bytes.end(), count.begin(), count.end()) +
                       static_cast<std::ptrdiff_t>(count.size() + sizeof(u64));
    for (const u64 lie : {u64{4}, u64{1} << 27, ~u64{0}}) {
        std::memcpy(&*field, &lie, sizeof lie);
        std::vector<u64> loaded;
        LoadArchive load(bytes);
        load.sequence("words", loaded, u64{1} << 28);
        EXPECT_FALSE(load.finish().ok());
        EXPECT_LE(loaded.capacity(), 4u);
        std::vector<Part> parts;
        LoadArchive objects(bytes);
        objects.sequence("words", parts, u64{1} << 28);
        EXPECT_FALSE(objects.finish().ok());
        EXPECT_LE(parts.capacity(), 100u);
    }
}

} // namespace
} // namespace forkscope
