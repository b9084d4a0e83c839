// --initrd as QEMU writes it.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "emu/session/boot_modules.hpp"

namespace forkscope::test {
namespace {

using Lines = std::vector<std::string>;

Lines paths_and_lines(const std::string& value) {
    Lines lines;
    for (const ModuleRequest& module : parse_modules(value))
        lines.push_back(module.path + "|" + module.command_line);
    return lines;
}

TEST(Modules, AreFilesWithWords) {
    EXPECT_EQ(paths_and_lines("a.tar"), (Lines{"a.tar|a.tar"}));
    EXPECT_EQ(paths_and_lines("a x y,b z"), (Lines{"a|a x y", "b|b z"}));
    EXPECT_EQ(paths_and_lines("a, b"), (Lines{"a|a", "b|b"}));
    EXPECT_EQ(paths_and_lines("a,,b x,,y,c"), (Lines{"a,b|a,b x,y", "c|c"})) << "a doubled comma is one";
    EXPECT_EQ(paths_and_lines("a,"), (Lines{"a|a"}));
    EXPECT_EQ(paths_and_lines(" ,"), Lines{});
}

TEST(Modules, ComeFromEachUseOfTheOptionInOrder) {
    const std::string first = testing::TempDir() + "forkscope-module-1";
    const std::string second = testing::TempDir() + "forkscope-module-2";
    std::ofstream(first) << "one";
    std::ofstream(second).flush(); // empty
    const auto modules = read_modules({first + " x," + second, first}, u64{8} << 20);
    ASSERT_TRUE(modules.ok());
    ASSERT_EQ(modules->size(), 3u);
    EXPECT_EQ((*modules)[0].command_line, first + " x");
    EXPECT_EQ((*modules)[0].bytes, (std::vector<u8>{'o', 'n', 'e'}));
    EXPECT_EQ((*modules)[1].command_line, second);
    EXPECT_TRUE((*modules)[1].bytes.empty());
    EXPECT_EQ((*modules)[2].command_line, first);
    EXPECT_FALSE(read_modules({" "}, u64{8} << 20).ok());
    EXPECT_FALSE(read_modules({first + "," + first + "-absent"}, u64{8} << 20).ok());
    std::remove(first.c_str());
    std::remove(second.c_str());
}

} // namespace
} // namespace forkscope::test
