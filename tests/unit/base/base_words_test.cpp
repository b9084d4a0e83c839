// Words of a line, names of paths, and bytes as text.
#include <gtest/gtest.h>

#include "emu/base/text/base64.hpp"
#include "emu/base/text/words.hpp"

namespace forkscope {
namespace {

TEST(Words, BlanksAroundThemAreNoPartOfThem) {
    EXPECT_EQ(trimmed("  a b\t\r\n"), "a b");
    EXPECT_EQ(trimmed(" \t"), "");
    EXPECT_EQ(first_word(" step  back 3 "), std::pair(std::string_view("step"), std::string_view("back 3")));
    EXPECT_EQ(first_word(""), std::pair(std::string_view(), std::string_view()));
}

TEST(Words, APathsNameFollowsItsLastSlash) {
    EXPECT_EQ(base_name("guest/kernel/fork.c"), "fork.c");
    EXPECT_EQ(base_name("fork.c"), "fork.c");
    EXPECT_EQ(base_name("/bin/"), "");
    EXPECT_EQ(base_name(""), "");
}

// The vectors of RFC 4648, section 10, and the two last digits.
TEST(Base64, IsThatOfTheRfc) {
    const auto coded = [](std::string_view text) {
        return base64({reinterpret_cast<const u8*>(text.data()), text.size()});
    };
    EXPECT_EQ(coded(""), "");
    EXPECT_EQ(coded("f"), "Zg==");
    EXPECT_EQ(coded("fo"), "Zm8=");
    EXPECT_EQ(coded("foo"), "Zm9v");
    EXPECT_EQ(coded("foob"), "Zm9vYg==");
    EXPECT_EQ(coded("fooba"), "Zm9vYmE=");
    EXPECT_EQ(coded("foobar"), "Zm9vYmFy");
    EXPECT_EQ(coded("\xfb\xff\xbf"), "+/+/");
}

} // namespace
} // namespace forkscope
