// Lines for a stepper: a line's addresses, places of a line, bounds of functions, ends of prologues.
#include <set>

#include "emu/symbols/elf_lines.hpp"
#include "emu/symbols/line_places.hpp"
#include "symbols_scene.hpp"

using namespace forkscope;
using namespace forkscope::testing;

namespace {

std::unique_ptr<ElfImage> kernel(const std::string& os) {
    return std::move(ElfImage::from_bytes(os, *embedded_kernel(os))).value();
}

const char* const kSource = "int counter;\n"
                            "int __attribute__((regparm(2))) sum(int a, int b) {\n"
                            "    int c = a;\n"
                            "    return c + b;\n"
                            "}\n"
                            "static inline __attribute__((always_inline)) void twice(int x) {\n"
                            "    counter += x;\n"
                            "    counter += x;\n"
                            "}\n"
                            "void _start(void) {\n"
                            "    twice(1);\n"
                            "    twice(sum(2, 3));\n"
                            "    for (;;) ;\n"
                            "}\n"
                            "void __attribute__((cold, noinline)) bad(int x) { counter -= x; }\n"
                            "int __attribute__((noinline)) rare(int x) {\n"
                            "    if (x == 7) {\n"
                            "        bad(x);\n"
                            "        bad(x + 1);\n"
                            "    }\n"
                            "    return x + counter;\n"
                            "}\n";

std::vector<u8> compiled(const std::string& options) {
    const std::string path = ::testing::TempDir() + std::to_string(::getpid()) + "_lines";
    std::ofstream(path + ".c") << kSource;
    output_of("gcc -m32 " + options + " -fno-pie -no-pie -nostdlib -static -Wl,-Ttext=0x00401000 -o " + path + " " +
              path + ".c 2>/dev/null");
    std::ifstream file(path, std::ios::binary);
    std::vector<u8> bytes{std::istreambuf_iterator<char>(file), {}};
    std::remove(path.c_str());
    std::remove((path + ".c").c_str());
    return bytes;
}

} // namespace

TEST(SymbolsLines, RangesOfALineHoldItsAddressAndNoOtherLine) {
    const auto image = kernel("freebsd");
    u32 several = 0;
    u32 looked = 0;
    for (const LineRow& row : image->line_table().rows) {
        if (row.end || !row.statement || row.line == 0 || ++looked % 16 != 0)
            continue;
        const LineRow* const line = image->line_table().find_statement(row.address);
        const std::vector<AddressRange> ranges = ranges_of_line_at(*image, row.address);
        EXPECT_TRUE(std::any_of(ranges.begin(), ranges.end(),
                                [&](const AddressRange& range) { return range.holds(row.address); }));
        several += ranges.size() > 1;
        const std::vector<AddressRange> function = function_ranges(*image, row.address);
        for (const AddressRange& range : ranges) {
            for (u32 address = range.start; address < range.end; ++address)
                ASSERT_EQ(image->line_table().find_statement(address)->line, line->line);
            EXPECT_TRUE(function.empty() ||
                        std::any_of(function.begin(), function.end(), [&](const AddressRange& bound) {
                            return range.start >= bound.start && range.end <= bound.end;
                        }));
        }
    }
    EXPECT_GT(several, 100u);
}

// Addresses as `break` has them. Of several lines at one address gdb keeps one, and takes the others to the next line;
// we stop where the table says that they begin.
TEST(SymbolsLines, PlacesOfALineAreGdbs) {
    if (!have_gdb())
        GTEST_SKIP() << "no gdb here";
    StoppedGuest guest("freebsd", "stop:2");
    const ElfImage& image = *guest.session().symbols().kernel();
    std::vector<std::string> commands;
    for (u32 line = 20; line < 170; line += 2)
        commands.push_back(
            fmt::format("python print(sorted(set(l.pc for l in gdb.decode_line('kern_fork.c:{}')[1])))", line));
    const std::vector<std::string> answers = guest.gdb(commands);
    u32 agreed = 0;
    for (u32 line = 20, i = 0; line < 170; line += 2, ++i) {
        LinePlaces places = places_of_line(image, "kern_fork.c", line);
        std::sort(places.addresses.begin(), places.addresses.end());
        std::string ours;
        for (const u32 address : places.addresses)
            ours += (ours.empty() ? "" : ", ") + std::to_string(address);
        agreed += "[" + ours + "]" == answers[i];
    }
    EXPECT_GE(agreed, 65u) << "of " << answers.size();
    EXPECT_TRUE(places_of_line(image, "kern_fork.c", 100'000).addresses.empty());
    EXPECT_TRUE(places_of_line(image, "nobody.c", 1).addresses.empty());
    EXPECT_TRUE(places_of_line(image, "fork.c", 100).addresses.empty()) << "the end of a name is no name";
}

TEST(SymbolsLines, ALineInlinedTwiceHasTwoPlaces) {
    for (const char* options : {"-O0 -gdwarf-4", "-O0 -gdwarf-5"}) {
        const std::vector<u8> bytes = compiled(options);
        if (bytes.empty())
            GTEST_SKIP() << "no compiler for 32-bit x86 here";
        const auto image = std::move(ElfImage::from_bytes("lines", bytes)).value();
        EXPECT_EQ(places_of_line(*image, "_lines.c", 7).addresses.size(), 0u);
        const std::string name = std::to_string(::getpid()) + "_lines.c";
        EXPECT_EQ(places_of_line(*image, name, 7).addresses.size(), 2u) << options;
    }
}

// At the first address the arguments are still in eax and edx, and gdb shows what lies in the frame.
TEST(SymbolsLines, PrologueEndsWhereArgumentsAreInTheirPlaces) {
    const std::vector<u8> plain = compiled("-O0 -gdwarf-4");
    if (plain.empty())
        GTEST_SKIP() << "no compiler for 32-bit x86 here";
    const auto image = std::move(ElfImage::from_bytes("lines", plain)).value();
    const u32 sum = image->symbol_named("sum")->start;
    const u32 behind = behind_prologue(*image, sum);
    EXPECT_GT(behind, sum);
    EXPECT_EQ(image->line_at(behind)->line, 3u);
    EXPECT_TRUE(statement_begins(*image, behind));
    EXPECT_FALSE(statement_begins(*image, behind + 1));
    // Optimized code says where its arguments are from the first instruction on.
    const std::vector<u8> optimized = compiled("-O2 -fno-inline -gdwarf-4");
    const auto fast = std::move(ElfImage::from_bytes("lines", optimized)).value();
    EXPECT_EQ(behind_prologue(*fast, fast->symbol_named("sum")->start), fast->symbol_named("sum")->start);
}

TEST(SymbolsLines, AFunctionHasItsColdPart) {
    const std::vector<u8> bytes = compiled("-O2 -gdwarf-4 -freorder-blocks-and-partition");
    if (bytes.empty())
        GTEST_SKIP() << "no compiler for 32-bit x86 here";
    const auto image = std::move(ElfImage::from_bytes("lines", bytes)).value();
    const Symbol* cold = image->symbol_named("rare.cold");
    const Symbol* whole = image->symbol_named("rare");
    ASSERT_NE(cold, nullptr);
    ASSERT_NE(whole, nullptr);
    const std::vector<AddressRange> ranges = function_ranges(*image, whole->start);
    EXPECT_EQ(ranges.size(), 2u);
    EXPECT_EQ(function_ranges(*image, cold->start), ranges);
    EXPECT_TRUE(std::any_of(ranges.begin(), ranges.end(),
                            [&](const AddressRange& range) { return range.start == cold->start; }));
}
