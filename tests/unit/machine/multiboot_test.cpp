// What a kernel's image asks for, what is loaded, what the kernel is told (Multiboot Specification 0.6.96).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "emu/machine/multiboot.hpp"

namespace forkscope::test {
namespace {

constexpr u64 kRam = u64{8} << 20;
constexpr u32 kMagic = 0x1BADB002;

struct Segment {
    u32 address = 0x100000;
    u32 virtual_address = 0x100000;
    u32 file_bytes = 0x2000;
    u32 memory_bytes = 0x2000;
    u32 offset = 0x1000;
};

struct Kernel {
    std::vector<Segment> segments = {{}};
    u32 entry = 0x100040;
    u32 flags = 0;
    std::vector<u32> more_header; // behind magic, flags and checksum
    u32 header_at = 0x200;
    bool elf64 = false;
};

void put(std::vector<u8>& bytes, u64 at, std::vector<u32> words) {
    std::memcpy(bytes.data() + at, words.data(), words.size() * 4);
}

// Byte i of the file is never zero but where a header says so.
std::vector<u8> make(const Kernel& kernel) {
    std::vector<u8> bytes(0x8000);
    for (std::size_t i = 0x1000; i < bytes.size(); ++i)
        bytes[i] = static_cast<u8>(i % 251 + 1);
    put(bytes, 0,
        {0x464C457F, kernel.elf64 ? 0x00010102u : 0x00010101u, 0, 0, 0x00030002, 1, kernel.entry, 52, 0, 0, 0x00200034,
         static_cast<u32>(kernel.segments.size()), 0});
    for (std::size_t i = 0; i < kernel.segments.size(); ++i) {
        const Segment& s = kernel.segments[i];
        put(bytes, 52 + i * 32, {1, s.offset, s.virtual_address, s.address, s.file_bytes, s.memory_bytes, 7, 0x1000});
    }
    std::vector<u32> header = {kMagic, kernel.flags, 0u - kMagic - kernel.flags};
    header.insert(header.end(), kernel.more_header.begin(), kernel.more_header.end());
    put(bytes, kernel.header_at, header);
    return bytes;
}

Result<BootPlan> plan(const std::vector<u8>& image, const std::vector<BootModule>& modules = {}) {
    return plan_multiboot(image, "k", modules, "words", kRam);
}

// What a loaded machine's memory holds.
class Memory {
  public:
    explicit Memory(const BootPlan& plan) : bytes_(kRam) {
        for (const BootSegment& segment : plan.segments)
            std::copy(segment.bytes.begin(), segment.bytes.end(), bytes_.begin() + segment.address);
    }
    u32 word(u32 at) const {
        u32 value = 0;
        std::memcpy(&value, bytes_.data() + at, 4);
        return value;
    }
    std::string text(u32 at) const { return reinterpret_cast<const char*>(bytes_.data() + at); }
    u8 byte(u32 at) const { return bytes_[at]; }

  private:
    std::vector<u8> bytes_;
};

std::string refusal(const std::vector<u8>& image) {
    const auto planned = plan(image);
    return planned.ok() ? "" : planned.error().message;
}

void expect_in_ram(const BootPlan& plan) {
    for (const BootSegment& segment : plan.segments) {
        const u64 end = u64{segment.address} + segment.memory_bytes;
        EXPECT_TRUE(end <= 0xA0000 || (segment.address >= 0x100000 && end <= kRam)) << std::hex << segment.address;
    }
}

// What `ld -Ttext=0x100000` makes: the first segment begins with the file's headers, a page below.
TEST(Multiboot, LoadsAnImageWhoseHeadersLieInRom) {
    Kernel kernel;
    kernel.segments = {{0xFF000, 0xFF000, 0x3000, 0x4000, 0}};
    kernel.header_at = 0x1000;
    const std::vector<u8> image = make(kernel);
    const auto planned = plan(image);
    ASSERT_TRUE(planned.ok()) << refusal(image);
    expect_in_ram(*planned);
    EXPECT_EQ(planned->segments[0].address, 0x100000u);
    EXPECT_EQ(planned->segments[0].memory_bytes, 0x3000u);
    EXPECT_TRUE(std::equal(planned->segments[0].bytes.begin(), planned->segments[0].bytes.end(), image.begin() + 0x1000,
                           image.begin() + 0x3000));
    EXPECT_TRUE(planned->warnings.empty()) << "nobody misses the ELF headers";
}

TEST(Multiboot, LeavesOutWhatLiesWhereNoRamIs) {
    Kernel kernel;
    kernel.segments = {{}, {0x9F000, 0x9F000, 0x3000, 0x3000, 0x2000}};
    const std::vector<u8> image = make(kernel);
    const auto planned = plan(image);
    ASSERT_TRUE(planned.ok());
    expect_in_ram(*planned);
    const Memory memory(*planned);
    EXPECT_EQ(memory.byte(0x9FFFF), image[0x2FFF]);
    EXPECT_EQ(memory.byte(0xA0000), 0);
    ASSERT_EQ(planned->warnings.size(), 1u);
    EXPECT_NE(planned->warnings[0].find("8192 bytes between 0xa0000 and 0xa2000"), std::string::npos)
        << planned->warnings[0];
    kernel.segments[1] = {0x9F000, 0x9F000, 0, 0x61800, 0x2000}; // zeroes on both sides: nothing is lost
    const auto around = plan(make(kernel));
    ASSERT_TRUE(around.ok());
    expect_in_ram(*around);
    EXPECT_TRUE(around->warnings.empty());
    EXPECT_EQ(around->segments[2].address, 0x100000u);
    EXPECT_EQ(around->segments[2].memory_bytes, 0x800u);
}

TEST(Multiboot, RefusesWhatCannotRun) {
    Kernel kernel;
    kernel.segments = {{0xF0000, 0xF0000}};
    kernel.entry = 0xF0010;
    EXPECT_NE(refusal(make(kernel)).find("outside everything it loads"), std::string::npos);
    kernel = {};
    kernel.segments = {{0x7FF000, 0x7FF000}};
    kernel.entry = 0x7FF000;
    EXPECT_NE(refusal(make(kernel)).find("give it more with -m"), std::string::npos);
    kernel = {};
    kernel.segments = std::vector<Segment>(5, {0x100000, 0x100000, 0x10, 0x200000});
    EXPECT_NE(refusal(make(kernel)).find("overlap"), std::string::npos);
}

TEST(Multiboot, GoesByTheAddressesOfTheHeaderWhereItHasThem) {
    Kernel kernel;
    kernel.elf64 = true;
    EXPECT_NE(refusal(make(kernel)).find("64-bit ELF"), std::string::npos);
    kernel.flags = 1u << 16;
    kernel.more_header = {0x300200, 0x300000, 0x301000, 0x302000, 0x300400};
    const std::vector<u8> image = make(kernel);
    const auto planned = plan(image);
    ASSERT_TRUE(planned.ok()) << refusal(image);
    EXPECT_EQ(planned->entry, 0x300400u);
    EXPECT_EQ(planned->segments[0].address, 0x300000u);
    EXPECT_EQ(planned->segments[0].memory_bytes, 0x2000u);
    EXPECT_TRUE(std::equal(image.begin(), image.begin() + 0x1000, planned->segments[0].bytes.begin()));
}

TEST(Multiboot, NamesMultiboot2) {
    std::vector<u8> image = make({});
    put(image, 0x200, {0, 0, 0});
    EXPECT_EQ(refusal(image).find("multiboot 2"), std::string::npos);
    put(image, 0x4000, {0xE85250D6, 0, 24, 0u - 0xE85250D6 - 24, 0, 8});
    EXPECT_NE(refusal(image).find("multiboot 2"), std::string::npos) << refusal(image);
    image[4] = 2; // most of them are 64-bit files
    EXPECT_NE(refusal(image).find("multiboot 2"), std::string::npos) << refusal(image);
}

TEST(Multiboot, HandsOverModulesInOrderWithTheirWords) {
    using Bytes = std::vector<u8>;
    const auto planned = plan(make({}), {{"a x y", Bytes{1, 2, 3}}, {"empty", {}}, {"b", Bytes{4}}});
    ASSERT_TRUE(planned.ok());
    expect_in_ram(*planned);
    const Memory memory(*planned);
    const u32 info = planned->info_address;
    EXPECT_NE(memory.word(info) & 8, 0u);
    ASSERT_EQ(memory.word(info + 20), 3u);
    const u32 list = memory.word(info + 24);
    const char* lines[] = {"a x y", "empty", "b"};
    const u32 sizes[] = {3, 0, 1};
    u32 free = 0x102000;
    for (u32 i = 0; i < 3; ++i) {
        const u32 start = memory.word(list + i * 16);
        EXPECT_EQ(start % 0x1000, 0u);
        EXPECT_GE(start, free);
        EXPECT_EQ(memory.word(list + i * 16 + 4), start + sizes[i]);
        EXPECT_EQ(memory.text(memory.word(list + i * 16 + 8)), lines[i]);
        free = start + sizes[i];
    }
    EXPECT_EQ(memory.byte(memory.word(list) + 2), 3);
    EXPECT_EQ(memory.byte(memory.word(list + 32)), 4);
    EXPECT_EQ(memory.text(memory.word(info + 16)), "k words");
}

TEST(Multiboot, AnswersARequestForADisplayWithTheTextThatThereIs) {
    Kernel kernel;
    const auto without = plan(make(kernel));
    ASSERT_TRUE(without.ok());
    EXPECT_EQ(Memory(*without).word(without->info_address) & 0x1000, 0u);
    kernel.flags = 4;
    for (const u32 mode : {1u, 0u}) {
        kernel.more_header = {0, 0, 0, 0, 0, mode, 1024, 768, 32};
        const auto planned = plan(make(kernel));
        ASSERT_TRUE(planned.ok());
        const Memory memory(*planned);
        const u32 info = planned->info_address;
        EXPECT_NE(memory.word(info) & 0x1000, 0u);
        EXPECT_EQ(memory.word(info + 88), 0xB8000u);
        EXPECT_EQ(memory.word(info + 96), 160u);
        EXPECT_EQ(memory.word(info + 100), 80u);
        EXPECT_EQ(memory.word(info + 104), 25u);
        EXPECT_EQ(memory.byte(info + 108), 16);
        EXPECT_EQ(memory.byte(info + 109), 2) << "text";
        ASSERT_EQ(planned->warnings.size(), mode == 0 ? 1u : 0u);
        if (mode == 0) {
            EXPECT_NE(planned->warnings[0].find("1024 x 768"), std::string::npos);
        }
    }
}

TEST(Multiboot, WarnsOfAPhysicalEntryThatGrubRefuses) {
    Kernel kernel;
    kernel.segments = {{0x100000, 0xC0100000}};
    const auto physical = plan(make(kernel));
    ASSERT_TRUE(physical.ok());
    EXPECT_EQ(physical->entry, 0x100040u);
    ASSERT_EQ(physical->warnings.size(), 1u);
    EXPECT_NE(physical->warnings[0].find("GRUB"), std::string::npos);
    kernel.entry = 0xC0100040;
    const auto linear = plan(make(kernel));
    ASSERT_TRUE(linear.ok());
    EXPECT_EQ(linear->entry, 0x100040u);
    EXPECT_TRUE(linear->warnings.empty());
}

// As GRUB and QEMU do: kernels take their first free memory behind themselves.
TEST(Multiboot, PutsInformationAndStackBelow640K) {
    const auto usual = plan(make({}));
    ASSERT_TRUE(usual.ok());
    EXPECT_EQ(usual->info_address, 0x9000u);
    EXPECT_EQ(usual->stack_top, 0x7000u);
    Kernel kernel;
    const auto disjoint = [](const BootPlan& plan) {
        const u32 stack = plan.stack_top - 0x1000;
        for (const BootSegment& segment : plan.segments) {
            EXPECT_TRUE(segment.address + segment.memory_bytes <= stack || plan.stack_top <= segment.address);
            for (const BootSegment& other : plan.segments)
                EXPECT_TRUE(&segment == &other || segment.address + segment.memory_bytes <= other.address ||
                            other.address + other.memory_bytes <= segment.address);
        }
    };
    kernel.segments = {{0x1000, 0x1000, 0x2000, 0x40000}}; // up to 41000h
    kernel.entry = 0x1000;
    const auto low = plan(make(kernel));
    ASSERT_TRUE(low.ok());
    EXPECT_EQ(low->info_address, 0x41000u);
    EXPECT_EQ(low->stack_top, 0x43000u);
    disjoint(*low);
    kernel.segments = {{0x1000, 0x1000, 0x2000, 0x9E000}}; // only the page before 640 KB is left, and half of that
    const auto full = plan(make(kernel));
    ASSERT_TRUE(full.ok());
    EXPECT_EQ(full->info_address, 0x9F000u);
    EXPECT_GT(full->stack_top, 0x100000u);
    disjoint(*full);
    kernel.segments = {{0, 0, 0x2000, 0xA0000}};
    const auto all = plan(make(kernel));
    ASSERT_TRUE(all.ok());
    EXPECT_GE(all->info_address, 0x100000u);
    disjoint(*all);
    EXPECT_EQ(Memory(*all).word(all->info_address + 4), 639u);
}

} // namespace
} // namespace forkscope::test
