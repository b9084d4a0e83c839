#include <cstdlib>
#include <fstream>
#include <sstream>

#include <stb/stb_image.h>

#include "emu/ui/panels/panels.hpp"
#include "emu/ui/picture.hpp"
#include "guest/abi/tracepoints.h"
#include "tests/ui/ui_bench.hpp"

namespace forkscope {
namespace {

constexpr int kWidth = 1600, kHeight = 1000;

// Where the pictures go: a folder of the caller's choice, so that the README's are made by the test that checks them.
std::string picture_path(const std::string& name) {
    const char* folder = std::getenv("FORKSCOPE_PICTURES");
    return (folder != nullptr ? std::string(folder) + "/" : testing::TempDir()) + name;
}

std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

class Image {
  public:
    explicit Image(const std::string& path) {
        int channels = 0;
        unsigned char* data = stbi_load(path.c_str(), &width_, &height_, &channels, 4);
        EXPECT_NE(data, nullptr) << path;
        if (data != nullptr)
            pixels_.assign(reinterpret_cast<u32*>(data), reinterpret_cast<u32*>(data) + width_ * height_);
        stbi_image_free(data);
    }
    int width() const { return width_; }
    int height() const { return height_; }
    // Pixels of the colour in columns [left, right) of the upper half of the page tables panel.
    int count(u32 colour, int left, int right) const {
        int found = 0;
        for (int y = 110; y < 420; ++y)
            for (int x = left; x < right; ++x)
                found += pixels_[static_cast<std::size_t>(y * width_ + x)] == colour ? 1 : 0;
        return found;
    }

  private:
    int width_ = 0, height_ = 0;
    std::vector<u32> pixels_;
};

// The cells of the map are 5 pixels wide and end at the panel's right padding.
constexpr int kChildLeft = kWidth - 6 - 8 - 5 * 64;
constexpr int kParentLeft = kChildLeft - 14 - 5 * 64;
constexpr int kParentRight = kParentLeft + 5 * 64;
constexpr int kChildRight = kChildLeft + 5 * 64;

void stop_amid_protection(UiBench& bench) {
    ASSERT_TRUE(bench.run_until_in_workload(TP_FORK_PROTECT));
    int writes = 0;
    ASSERT_TRUE(bench.run_until([&](const TraceEvent& event) {
        const bool table = event.kind == TraceKind::PteWrite && event.d == 1 && (event.b & kPteWritable) != 0 &&
                           (event.c & kPteWritable) == 0;
        return table && ++writes == 9;
    }));
}

TEST(Picture, ShowsParentAndChildInsideAFork) {
    UiBench bench("");
    ASSERT_TRUE(bench.machine().type("ls\nforkdemo --pages 8\n").ok());
    stop_amid_protection(bench);
    const std::string path = picture_path("fork.png");
    ASSERT_TRUE(save_screenshot(bench.machine(), &bench.tracer(), bench.symbols(), path).ok());
    const Image image(path);
    EXPECT_EQ(image.width(), kWidth);
    EXPECT_EQ(image.height(), kHeight);
    for (const auto& [left, right] : {std::pair{kParentLeft, kParentRight}, std::pair{kChildLeft, kChildRight}}) {
        EXPECT_GT(image.count(ui::kSharedReadOnly, left, right), 4 * 10) << "from column " << left;
        EXPECT_GT(image.count(ui::kKernel, left, right), 4 * 10) << "from column " << left;
        EXPECT_GT(image.count(ui::kAbsent, left, right), 1000) << "from column " << left;
    }
    EXPECT_GT(image.count(ui::kWritten, kParentLeft, kParentRight), 8);
}

TEST(Picture, ShowsPrivatePagesWhenBothSidesHaveTheirOwn) {
    UiBench bench("");
    ASSERT_TRUE(bench.machine().type("forkdemo --pages 8\n").ok());
    ASSERT_TRUE(bench.run_until_in_workload(TP_FORK_LEAVE));
    int copies = 0;
    ASSERT_TRUE(bench.run_until([&](const TraceEvent& event) {
        return event.kind == TraceKind::Tracepoint && event.a == TP_FAULT_LEAVE && event.d == FAULT_COW_COPY &&
               ++copies == 6;
    }));
    const std::string path = picture_path("faults.png");
    ASSERT_TRUE(save_screenshot(bench.machine(), &bench.tracer(), bench.symbols(), path).ok());
    const Image image(path);
    EXPECT_GT(image.count(ui::kPrivate, kChildLeft, kChildRight), 5 * 4 * 10);
    EXPECT_GT(image.count(ui::kPrivate, kParentLeft, kParentRight), 4 * 10);
}

TEST(Picture, ShowsTheShellAfterACommand) {
    UiBench bench("");
    ASSERT_TRUE(bench.machine().type("ls -l\n").ok());
    u32 shell = 0;
    ASSERT_TRUE(bench.run_until([&](const TraceEvent& event) {
        if (event.kind == TraceKind::Tracepoint && event.a == TP_FORK_ENTER)
            shell = static_cast<u32>(event.b);
        return event.kind == TraceKind::Tracepoint && event.a == TP_PROCESS_EXIT && shell > 1;
    }));
    bench.run_cycles(20'000'000);
    const std::string path = picture_path("shell.png");
    ASSERT_TRUE(save_screenshot(bench.machine(), &bench.tracer(), bench.symbols(), path).ok());
    const Image image(path);
    EXPECT_GT(image.count(ui::kPrivate, kParentLeft, kParentRight), 4 * 10);
    EXPECT_GT(image.count(ui::kKernel, kParentLeft, kParentRight), 4 * 10);
    EXPECT_EQ(image.count(ui::kPrivate, kChildLeft, kChildRight), 0) << "the child has ended";
}

TEST(Picture, HasTheSameBytesOnASecondMachine) {
    std::array<std::string, 2> pictures;
    for (std::string& picture : pictures) {
        UiBench bench("run=forkdemo --pages 8");
        ASSERT_TRUE(bench.run_until_in_workload(TP_FORK_RUNNABLE));
        const std::string path = testing::TempDir() + "same.png";
        ASSERT_TRUE(save_screenshot(bench.machine(), &bench.tracer(), bench.symbols(), path).ok());
        picture = bytes_of(path);
    }
    EXPECT_GT(pictures[0].size(), 10000u);
    EXPECT_EQ(pictures[0], pictures[1]);
}

TEST(Picture, ChangesNothingOfTheMachine) {
    UiBench bench("run=forkdemo --pages 8");
    ASSERT_TRUE(bench.run_until_in_workload(TP_FORK_PROTECT));
    const u64 before = bench.machine().hash();
    ASSERT_TRUE(
        save_screenshot(bench.machine(), &bench.tracer(), bench.symbols(), testing::TempDir() + "hash.png").ok());
    EXPECT_EQ(bench.machine().hash(), before);
}

TEST(Picture, IsMadeOfAMachineThatHasNotStarted) {
    UiBench bench("");
    const std::string path = testing::TempDir() + "power_on.png";
    ASSERT_TRUE(save_screenshot(bench.machine(), nullptr, bench.symbols(), path).ok());
    EXPECT_EQ(Image(path).width(), kWidth);
}

TEST(Picture, NamesThePathAndTheReasonWhereItCannotBeWritten) {
    UiBench bench("");
    const auto save = [&](const std::string& path) {
        return save_screenshot(bench.machine(), nullptr, bench.symbols(), path);
    };
    const auto missing = save("/nowhere/picture.png");
    ASSERT_FALSE(missing.ok());
    EXPECT_NE(missing.error().message.find("/nowhere/picture.png"), std::string::npos);
    EXPECT_NE(missing.error().message.find("No such file or directory"), std::string::npos);
    const auto full = save("/dev/full");
    ASSERT_FALSE(full.ok());
    EXPECT_NE(full.error().message.find("No space left on device"), std::string::npos) << full.error().message;
}

} // namespace
} // namespace forkscope
