// The guest's reader of its initrd and the host's reader of the same archive say the same, for every archive.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "emu/base/random.hpp"
#include "tar_reading.hpp"

using namespace forkscope;
using namespace forkscope::tar_reading;

namespace {

void expect_agreement(const std::vector<u8>& archive, const std::string& what) {
    const Reading host = read_as_host(archive);
    const Reading guest = read_as_guest(archive);
    EXPECT_EQ(host.good, guest.good) << what;
    EXPECT_EQ(host.entries, guest.entries) << what;
}

void run(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

class TarReaders : public ::testing::Test {
  protected:
    // A tree with what people's trees have: depth, long names, second names of one file.
    void SetUp() override {
        if (std::system("tar --version > /dev/null 2>&1") != 0)
            GTEST_SKIP() << "no tar here";
        std::filesystem::remove_all(folder_);
        std::filesystem::create_directories(folder_ + "/" + deep_);
        std::filesystem::create_directory(folder_ + "/empty");
        std::ofstream(folder_ + "/" + deep_ + "/at_the_end") << "deep";
        std::ofstream(folder_ + "/" + longest_) << "long";
        std::ofstream(folder_ + "/x") << "one file";
        std::filesystem::create_hard_link(folder_ + "/x", folder_ + "/hard");
        std::filesystem::create_hard_link(folder_ + "/" + deep_ + "/at_the_end", folder_ + "/zz_link_to_deep");
        std::filesystem::create_symlink("x", folder_ + "/soft");
    }

    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::vector<u8> pack(const std::string& format, const std::string& members) {
        const std::string path = folder_ + ".tar";
        run("cd " + folder_ + " && tar --format=" + format + " --sort=name -cf " + path + " " + members +
            " 2> /dev/null");
        std::ifstream file(path, std::ios::binary);
        std::vector<u8> bytes{std::istreambuf_iterator<char>(file), {}};
        std::filesystem::remove(path);
        return bytes;
    }

    const std::string folder_ = ::testing::TempDir() + std::to_string(::getpid()) + "_forkscope_tar_readers";
    const std::string deep_ = std::string(60, 'a') + "/" + std::string(50, 'b') + "/" + std::string(30, 'c');
    const std::string longest_ = std::string(99, 'n');
};

TEST_F(TarReaders, FindTheSameInEveryFormat) {
    for (const std::string format : {"v7", "oldgnu", "gnu", "ustar", "pax"}) {
        const bool long_names = format != "v7";
        const bool long_links = long_names && format != "ustar";
        const std::vector<u8> archive = pack(format, long_links   ? "."
                                                     : long_names ? "--exclude=zz_link_to_deep ."
                                                                  : "./empty ./hard ./x");
        expect_agreement(archive, format);
        const Reading reading = read_as_guest(archive);
        ASSERT_TRUE(reading.good) << format;
        std::map<std::string, std::string> files;
        for (const Entry& entry : reading.entries)
            if (!entry.directory)
                files[entry.name] = entry.data;
        EXPECT_EQ(files["x"], "one file") << format;
        EXPECT_EQ(files["hard"], "one file") << format;
        EXPECT_EQ(files.size(), long_links ? 5u : long_names ? 4u : 2u) << format;
        if (long_names) {
            EXPECT_EQ(files[longest_], "long") << format;
            EXPECT_EQ(files[deep_ + "/at_the_end"], "deep") << format;
        }
        if (long_links) {
            EXPECT_EQ(files["zz_link_to_deep"], "deep") << format;
        }
    }
}

TEST(TarNames, ArePlainWhateverIsBeforeAndBehindThem) {
    for (const char* name : {"a/b", "./a/b", "/a/b", "//a/b", "/./a/b", ".//a/b", "././/./a/b", "a/b/", "/./a/b//"})
        EXPECT_EQ(plain_tar_name(name), "a/b") << name;
    for (const char* name : {"", "/", "./", "/./", ".//"})
        EXPECT_EQ(plain_tar_name(name), "") << name;
    EXPECT_EQ(plain_tar_name("."), ".");
    EXPECT_EQ(plain_tar_name(".../a"), ".../a");
    // A name may be as long as its archive: a step for each byte, not the rest of the name.
    EXPECT_EQ(plain_tar_name(std::string(u64{8} << 20, '/')), "");
}

TEST_F(TarReaders, AgreeOnDamagedArchives) {
    for (const char* format : {"gnu", "ustar", "pax"}) {
        const std::vector<u8> archive = pack(format, "--exclude=zz_link_to_deep .");
        for (std::size_t size = 0; size < archive.size(); size += 61)
            expect_agreement({archive.begin(), archive.begin() + static_cast<std::ptrdiff_t>(size)},
                             std::string(format) + " cut to " + std::to_string(size));
        Random random(7);
        for (int round = 0; round < 2000 && !HasFailure(); ++round) {
            std::vector<u8> damaged = archive;
            const std::size_t block = random.below(archive.size() / 512) * 512;
            for (u64 left = 1 + random.below(3); left != 0; --left)
                damaged[block + random.below(512)] = random.below(2) == 0
                                                         ? static_cast<u8>(random.next())
                                                         : static_cast<u8>("01257Lx=/. "[random.below(11)]);
            // With the right sum, so that the readers look at the rest.
            unsigned sum = 0;
            for (std::size_t i = 0; i < 512; ++i)
                sum += i >= 148 && i < 156 ? ' ' : damaged[block + i];
            if (random.below(4) != 0)
                std::snprintf(reinterpret_cast<char*>(&damaged[block + 148]), 8, "%06o", sum);
            expect_agreement(damaged, std::string(format) + ", round " + std::to_string(round));
        }
    }
}

// The prefix is the directory's whole path, and the name is empty.
TEST_F(TarReaders, AgreeOnAMemberThatHasOnlyAPrefix) {
    std::vector<u8> archive = pack("ustar", "./x");
    ASSERT_TRUE(read_as_host(archive).good);
    std::fill_n(archive.begin(), 100, u8{0});
    std::copy_n("deep/er", 7, archive.begin() + 345);
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i)
        sum += i >= 148 && i < 156 ? ' ' : archive[i];
    std::snprintf(reinterpret_cast<char*>(&archive[148]), 8, "%06o", sum);
    ASSERT_TRUE(read_as_host(archive).good);
    EXPECT_EQ(read_as_host(archive).entries.size(), 1u);
    expect_agreement(archive, "a prefix alone");
}

} // namespace
