// Paths of anybody's image against the folders that source text may be read from.
#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emu/files/source_folders.hpp"

namespace forkscope {

namespace fs = std::filesystem;

TEST(SourceFolders, OpenNothingOutside) {
    const fs::path top = fs::path(testing::TempDir()) / fmt::format("forkscope-sources-{}", ::getpid());
    fs::create_directories(top / "sources/kernel");
    const auto write = [](const fs::path& path, std::string_view text) { std::ofstream(path) << text; };
    write(top / "secret.c", "secret");
    write(top / "sources/main.c", "outer");
    write(top / "sources/kernel/main.c", "inner");
    fs::create_symlink(top / "secret.c", top / "sources/link.c");
    fs::create_symlink("kernel/main.c", top / "sources/alias.c");
    fs::create_directory_symlink(top, top / "sources/up");
    ASSERT_EQ(::mkfifo((top / "sources/pipe.c").c_str(), 0600), 0);

    EXPECT_EQ(SourceFolders().read((top / "sources/main.c").string()), std::nullopt);
    SourceFolders folders;
    EXPECT_FALSE(folders.add(top / "absent"));
    EXPECT_FALSE(folders.add(top / "secret.c"));
    EXPECT_TRUE(folders.add(top / "sources"));
    for (const std::string& path :
         {(top / "secret.c").string(), (top / "sources/../secret.c").string(), (top / "sources/link.c").string(),
          std::string("../secret.c"), std::string("a/../../secret.c"), std::string("up/secret.c"),
          std::string("link.c"), std::string("pipe.c"), std::string(""), std::string("/"), std::string("kernel"),
          std::string("/etc/hostname"), std::string("/proc/self/environ"), std::string(100'000, '/'),
          std::string(5'000, 'x')})
        EXPECT_EQ(folders.read(path), std::nullopt) << path.substr(0, 100);
    EXPECT_EQ(folders.read((top / "sources/main.c").string()), "outer");
    EXPECT_EQ(folders.read("/build/kernel/main.c"), "inner"); // the most that fits
    EXPECT_EQ(folders.read("../boot/main.c"), "outer");
    EXPECT_EQ(folders.read("alias.c"), "inner");
    fs::remove_all(top);
}

} // namespace forkscope
