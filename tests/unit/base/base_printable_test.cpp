// Text that a guest or a file wrote, as it may reach a terminal.
#include <gtest/gtest.h>

#include "emu/base/text/printable.hpp"

namespace forkscope {
namespace {

TEST(Printable, TextIsLeftAloneAndWhatSteersATerminalIsSpeltOut) {
    for (const char* plain : {"", "fork.c:12", "a\tb\nc", "tr\xc3\xa4ume \xe2\x86\x92 \xf0\x9f\x8d\xb4", "\xc2\xa0"})
        EXPECT_EQ(printable(plain), plain);
    EXPECT_EQ(printable("\x1b[31m\r\x7f"), "\\x1b[31m\\x0d\\x7f");
    EXPECT_EQ(printable("\xc2\x9b"
                        "1m"),
              "\\xc2\\x9b1m");
    EXPECT_EQ(printable(std::string_view("\0x", 2)), "\\x00x");
    EXPECT_EQ(printable_line("a\tb\nc"), "a\\x09b\\x0ac");
}

TEST(Printable, BytesThatAreNoUtf8AreSpeltOut) {
    EXPECT_EQ(printable("\x9b"), "\\x9b");
    EXPECT_EQ(printable("\xc3"), "\\xc3");
    EXPECT_EQ(printable("\xe0\x80\x9b"), "\\xe0\\x80\\x9b") << "overlong";
    EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "half of a surrogate pair";
    EXPECT_EQ(printable("\xff"
                        "a"),
              "\\xffa");
}

} // namespace
} // namespace forkscope
