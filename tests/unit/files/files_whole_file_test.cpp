// What stands under a name before, while and after a file is written there, and what a failure leaves.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emu/files/whole_file.hpp"

namespace forkscope {
namespace {

namespace fs = std::filesystem;

std::vector<u8> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

class WholeFileTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = ::testing::TempDir() + "whole_file_XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::string path(const std::string& name) const { return folder_ + "/" + name; }
    std::string make(const std::string& name, const std::string& text) const {
        std::ofstream(path(name), std::ios::binary) << text;
        return path(name);
    }
    static std::string text_of(const std::string& name) {
        std::ifstream file(name, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::size_t files() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
    }
    WholeFile started(const std::string& name, const std::string& text) const {
        auto file = WholeFile::create(name, "the test");
        EXPECT_TRUE(file.ok()) << (file.ok() ? "" : file.error().message);
        EXPECT_TRUE(file->write(bytes_of(text)).ok());
        return std::move(file).value();
    }
    // The message of a refusal by create() and by check().
    static std::string refusal(const std::string& name) {
        const auto file = WholeFile::create(name, "the test");
        const auto checked = WholeFile::check(name, "the test");
        EXPECT_FALSE(file.ok());
        EXPECT_FALSE(checked.ok());
        if (file.ok() || checked.ok())
            return "";
        EXPECT_EQ(file.error().message, checked.error().message);
        return file.error().message;
    }

    std::string folder_;
};

} // namespace

TEST_F(WholeFileTest, AppearsWholeAndAlone) {
    const std::string name = path("new");
    ASSERT_TRUE(WholeFile::check(name, "the test").ok());
    EXPECT_EQ(files(), 0u);
    WholeFile file = started(name, "one ");
    EXPECT_FALSE(fs::exists(name));
    EXPECT_TRUE(file.write(bytes_of("two")).ok());
    EXPECT_EQ(file.bytes_written(), 7u);
    ASSERT_TRUE(file.commit().ok());
    EXPECT_EQ(text_of(name), "one two");
    EXPECT_EQ(files(), 1u);
    EXPECT_TRUE(write_whole_file(name, "the test", {}).ok());
    EXPECT_EQ(text_of(name), "");
}

TEST_F(WholeFileTest, LeavesTheOlderFileUntilItIsWhole) {
    const std::string name = make("old", "good");
    {
        WholeFile file = started(name, "never to be seen");
        EXPECT_EQ(text_of(name), "good");
    }
    EXPECT_EQ(text_of(name), "good");
    EXPECT_EQ(files(), 1u);
    WholeFile moved = started(name, "a");
    moved = started(name, "better");
    ASSERT_TRUE(moved.commit().ok());
    EXPECT_EQ(text_of(name), "better");
    EXPECT_EQ(files(), 1u);
}

TEST_F(WholeFileTest, LeavesTheOlderFileWhenTheDiskIsFull) {
    std::signal(SIGXFSZ, SIG_IGN);
    const std::string name = make("old", "good");
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{1000, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    const auto written = write_whole_file(name, "the test", std::vector<u8>(5000, 1));
    ::setrlimit(RLIMIT_FSIZE, &before);
    ASSERT_FALSE(written.ok());
    EXPECT_NE(written.error().message.find(name), std::string::npos);
    EXPECT_NE(written.error().message.find("File too large"), std::string::npos) << written.error().message;
    EXPECT_EQ(text_of(name), "good");
    EXPECT_EQ(files(), 1u);
}

TEST_F(WholeFileTest, IsSeenAsItGrowsOnceItHasTakenItsName) {
    const std::string name = make("old", "good");
    WholeFile file = started(name, "head");
    EXPECT_EQ(text_of(name), "good");
    ASSERT_TRUE(file.take_name().ok());
    EXPECT_EQ(text_of(name), "head");
    ASSERT_TRUE(file.write(bytes_of(" and half")).ok());
    EXPECT_EQ(text_of(name), "head and half");
    ASSERT_TRUE(file.truncate(4));
    ASSERT_TRUE(file.write(bytes_of("s")).ok());
    EXPECT_EQ(file.bytes_written(), 5u);
    ASSERT_TRUE(file.take_name().ok());
    ASSERT_TRUE(file.commit().ok());
    EXPECT_EQ(text_of(name), "heads");
    EXPECT_EQ(files(), 1u);
}

TEST_F(WholeFileTest, KeepsPermissionsAndSymbolicLinks) {
    const std::string target = make("target", "old");
    fs::permissions(target, fs::perms::owner_read | fs::perms::owner_write);
    fs::create_directory(path("links"));
    fs::create_symlink("../target", path("links/first"));
    fs::create_symlink("first", path("links/second"));
    ASSERT_TRUE(write_whole_file(path("links/second"), "the test", bytes_of("new")).ok());
    EXPECT_TRUE(fs::is_symlink(path("links/first")));
    EXPECT_TRUE(fs::is_symlink(path("links/second")));
    EXPECT_EQ(text_of(target), "new");
    EXPECT_EQ(fs::status(target).permissions(), fs::perms::owner_read | fs::perms::owner_write);

    fs::create_symlink("absent", path("dangling"));
    ASSERT_TRUE(write_whole_file(path("dangling"), "the test", bytes_of("made")).ok());
    EXPECT_EQ(text_of(path("absent")), "made");

    const mode_t before = ::umask(027);
    ASSERT_TRUE(write_whole_file(path("fresh"), "the test", {}).ok());
    ::umask(before);
    EXPECT_EQ(static_cast<unsigned>(fs::status(path("fresh")).permissions()), 0640u);
}

TEST_F(WholeFileTest, WritesDevicesAndDescriptorsDirectly) {
    EXPECT_TRUE(write_whole_file("/dev/null", "the test", bytes_of("gone")).ok());
    EXPECT_TRUE(fs::is_character_file("/dev/null"));
    const auto full = write_whole_file("/dev/full", "the test", bytes_of("x"));
    ASSERT_FALSE(full.ok());
    EXPECT_NE(full.error().message.find("/dev/full"), std::string::npos);

    // As in `(echo first; forkscope --save /dev/stdout) > file`: what is there stays.
    const std::string name = path("redirected");
    const int descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT, 0666);
    ASSERT_EQ(::write(descriptor, "first ", 6), 6);
    for (const std::string form : {"/dev/fd/{}", "/proc/self/fd/{}"}) {
        const std::string named = fmt::format(fmt::runtime(form), descriptor);
        EXPECT_TRUE(write_whole_file(named, "the test", bytes_of("then ")).ok());
    }
    fs::create_symlink(fmt::format("/dev/fd/{}", descriptor), path("link"));
    EXPECT_TRUE(write_whole_file(path("link"), "the test", bytes_of("last")).ok());
    ::close(descriptor);
    EXPECT_EQ(text_of(name), "first then then last");
    EXPECT_FALSE(write_whole_file(fmt::format("/dev/fd/{}", descriptor), "the test", {}).ok());
    EXPECT_EQ(files(), 2u);
}

TEST_F(WholeFileTest, WritesAFifoThatIsReadAndNeverWaitsForEver) {
    const std::string name = path("fifo");
    ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0);
    std::string heard;
    std::thread reader([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50)); // the writer comes first
        heard = text_of(name);
    });
    const std::string much(300'000, 'x'); // more than a pipe holds
    const auto written = write_whole_file(name, "the test", bytes_of(much));
    reader.join();
    EXPECT_TRUE(written.ok());
    EXPECT_EQ(heard, much);
    EXPECT_TRUE(fs::is_fifo(name));

    const auto start = std::chrono::steady_clock::now();
    const auto alone = WholeFile::create(name, "the test");
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
    ASSERT_FALSE(alone.ok());
    EXPECT_NE(alone.error().message.find("start its reader first"), std::string::npos) << alone.error().message;
}

TEST_F(WholeFileTest, RefusesWhereNothingMayBeWritten) {
    EXPECT_NE(refusal(folder_).find("directory"), std::string::npos);
    EXPECT_NE(refusal(path("new/")).find("directory"), std::string::npos);
    EXPECT_NE(refusal(path("no/such/file")).find("make its folder"), std::string::npos);
    EXPECT_NE(refusal(make("file", "") + "/x").find("Not a directory"), std::string::npos);
    EXPECT_FALSE(refusal("").empty());
    fs::create_symlink("loop", path("loop"));
    EXPECT_NE(refusal(path("loop")).find("symbolic links"), std::string::npos);
    EXPECT_EQ(files(), 2u);
}

TEST_F(WholeFileTest, DoesNotReplaceAWriteProtectedFile) {
    const std::string name = make("protected", "good");
    fs::permissions(name, fs::perms::owner_read);
    fs::create_directory(path("closed"));
    fs::permissions(path("closed"), fs::perms::owner_read | fs::perms::owner_exec);
    // Root may write to any file, so the test becomes user nobody for this.
    constexpr uid_t kNobody = 65534;
    const bool root = ::geteuid() == 0;
    if (root) {
        for (const std::string& owned : {folder_, name, path("closed")})
            ASSERT_EQ(::chown(owned.c_str(), kNobody, static_cast<gid_t>(-1)), 0);
        ASSERT_EQ(::seteuid(kNobody), 0);
    }
    EXPECT_NE(refusal(name).find("Permission denied"), std::string::npos);
    EXPECT_NE(refusal(path("closed/new")).find("folder that you may write to"), std::string::npos);
    if (root) {
        ASSERT_EQ(::seteuid(0), 0);
    }
    EXPECT_EQ(text_of(name), "good");
    EXPECT_EQ(files(), 2u);
}

} // namespace forkscope
