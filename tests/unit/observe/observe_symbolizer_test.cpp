#include <elf.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "emu/base/random.hpp"
#include "emu/symbols/symbolizer.hpp"
#include "emu/symbols/tar.hpp"
#include "observe_space.hpp"

using namespace forkscope;
using namespace forkscope::testing;

namespace {

const char* const kSource = "int counter = 7;\n"
                            "int twice(int x) {\n"
                            "    return x * 2;\n"
                            "}\n"
                            "int shout(int x) {\n"
                            "    counter += x;\n"
                            "    return twice(x) + counter;\n"
                            "}\n"
                            "void _start(void) { shout(3); for (;;) ; }\n";

std::vector<u8> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string run(const std::string& command) {
    std::string text;
    if (FILE* pipe = popen(command.c_str(), "r"); pipe != nullptr) {
        char part[4096];
        for (std::size_t n; (n = fread(part, 1, sizeof part, pipe)) > 0;)
            text.append(part, n);
        pclose(pipe);
    }
    return text;
}

// A real program made by the host's compiler, or nothing if it cannot make 32-bit code.
struct Compiled {
    std::string folder = ::testing::TempDir() + std::to_string(::getpid()) + "_forkscope_symbolizer";
    std::string source = folder + "/victim.c";
    std::string path = folder + "/victim";
    std::vector<u8> bytes;

    explicit Compiled(const std::string& options = "-gdwarf-4") {
        run("mkdir -p " + folder);
        std::ofstream(source) << kSource;
        run("gcc -m32 -O0 " + options + " -fno-pie -no-pie -nostdlib -static -Wl,-Ttext=0x00401000 -o " + path + " " +
            source + " 2>/dev/null");
        bytes = read_file(path);
        std::remove(path.c_str());
    }
};

#define NEEDS_COMPILER(compiled)                                                                                       \
    if ((compiled).bytes.empty())                                                                                      \
    GTEST_SKIP() << "no compiler for 32-bit x86 here"

std::unique_ptr<ElfImage> image_of(const Compiled& compiled) {
    Result<std::unique_ptr<ElfImage>> image = ElfImage::from_bytes("victim", compiled.bytes);
    return image ? std::move(image).value() : nullptr;
}

// Everything that looks at an image; must survive any bytes.
void look_at(std::span<const u8> bytes) {
    Result<std::unique_ptr<ElfImage>> image = ElfImage::from_bytes("fuzz", bytes);
    if (!image)
        return;
    (*image)->symbol_at(0x00401000);
    (*image)->symbol_named("twice");
    (*image)->line_at(0x00401004);
    (*image)->covers(0x00401000);
    (*image)->lowest();
}

} // namespace

TEST(ElfImage, FindsFunctionsAndLinesOfARealProgram) {
    for (const char* options : {"-gdwarf-4", "-gdwarf-5", "-gdwarf-2 -gstrict-dwarf"}) {
        const Compiled compiled(options);
        NEEDS_COMPILER(compiled);
        const auto image = image_of(compiled);
        ASSERT_NE(image, nullptr);
        const Symbol* twice = image->symbol_named("twice");
        ASSERT_NE(twice, nullptr);
        EXPECT_TRUE(twice->function);
        EXPECT_EQ(image->symbol_at(twice->start + twice->size - 1)->name, "twice");
        EXPECT_EQ(image->symbol_at(twice->start + twice->size)->name, "shout");
        const auto line = image->line_at(twice->start + twice->size - 1);
        ASSERT_TRUE(line.has_value()) << options;
        EXPECT_EQ(line->line, 4u);
        EXPECT_EQ(line->file, compiled.source);
        ASSERT_TRUE(image->address_of_line("victim.c", 3).has_value());
        EXPECT_EQ(image->symbol_at(*image->address_of_line("victim.c", 3))->name, "twice");
        EXPECT_EQ(image->symbol_named("counter")->size, 4u);
    }
}

TEST(ElfImage, AgreesWithAddr2lineAtEveryInstruction) {
    const Compiled compiled("-gdwarf-5 -O2");
    NEEDS_COMPILER(compiled);
    if (run("addr2line --version").empty())
        GTEST_SKIP() << "no addr2line here";
    const auto image = image_of(compiled);
    ASSERT_NE(image, nullptr);
    std::ofstream(compiled.path, std::ios::binary)
        .write(reinterpret_cast<const char*>(compiled.bytes.data()),
               static_cast<std::streamsize>(compiled.bytes.size()));
    std::string addresses;
    const Symbol* start = image->symbol_named("_start");
    const Symbol* twice = image->symbol_named("twice");
    const u32 low = std::min(start->start, twice->start);
    for (u32 i = 0; i < 64; ++i)
        addresses += fmt::format(" {:#x}", low + i);
    std::istringstream oracle(run("addr2line -e " + compiled.path + addresses));
    std::string expected;
    for (u32 i = 0; i < 64 && std::getline(oracle, expected); ++i) {
        const auto line = image->line_at(low + i);
        const std::string number = expected.substr(expected.rfind(':') + 1);
        if (number[0] == '?' || number[0] == '0')
            continue;
        ASSERT_TRUE(line.has_value()) << expected;
        EXPECT_EQ(line->line, std::stoul(number)) << fmt::format("{:#x}", low + i);
    }
    std::remove(compiled.path.c_str());
}

TEST(ElfImage, NamesTheFunctionThatTheCompilerInlined) {
    const Compiled compiled("-gdwarf-4 -O2");
    NEEDS_COMPILER(compiled);
    const auto image = image_of(compiled);
    const Symbol* start = image->symbol_named("_start");
    ASSERT_NE(start, nullptr);
    bool inlined = false;
    for (u32 at = start->start; at < start->start + start->size; ++at) {
        const std::string& name = image->inlined_at(at);
        EXPECT_TRUE(name.empty() || name == "shout" || name == "twice") << name;
        inlined = inlined || name == "shout";
    }
    EXPECT_TRUE(inlined);
    EXPECT_EQ(image->inlined_at(0x10), "");
}

TEST(Symbolizer, NamesEveryInlinedCallAsAddr2lineDoes) {
    const Compiled compiled("-gdwarf-4 -O2");
    NEEDS_COMPILER(compiled);
    if (run("addr2line --version").empty())
        GTEST_SKIP() << "no addr2line here";
    std::ofstream(compiled.path, std::ios::binary)
        .write(reinterpret_cast<const char*>(compiled.bytes.data()),
               static_cast<std::streamsize>(compiled.bytes.size()));
    Symbolizer symbols;
    symbols.add_program("victim", image_of(compiled));
    const Symbol* start = symbols.program("victim")->symbol_named("_start");
    ASSERT_NE(start, nullptr);
    std::size_t deepest = 0;
    for (u32 at = start->start; at < start->start + start->size; ++at) {
        std::istringstream oracle(run(fmt::format("addr2line -f -i -e {} {:#x}", compiled.path, at)));
        std::string function;
        std::string place;
        const std::vector<Location> chain = symbols.inline_chain("victim", at);
        std::size_t i = 0;
        for (; std::getline(oracle, function) && std::getline(oracle, place); ++i) {
            ASSERT_LT(i, chain.size()) << function;
            EXPECT_EQ(chain[i].symbol, function) << fmt::format("{:#x}", at);
            const std::string number = place.substr(place.rfind(':') + 1);
            if (number[0] != '?' && number[0] != '0') {
                EXPECT_EQ(chain[i].line, std::stoul(number)) << fmt::format("{:#x}", at);
            }
        }
        EXPECT_EQ(i, chain.size());
        deepest = std::max(deepest, i);
    }
    EXPECT_GE(deepest, 2u);
    EXPECT_TRUE(symbols.inline_chain("victim", 0x10).empty());
    EXPECT_TRUE(symbols.inline_chain("nobody", start->start).empty());
    std::remove(compiled.path.c_str());
}

TEST(ElfImage, SaysWhyItRefusesAFile) {
    std::vector<u8> text = {'h', 'e', 'l', 'l', 'o'};
    EXPECT_NE(ElfImage::from_bytes("a.txt", text).error().message.find("not an ELF file"), std::string::npos);
    std::vector<u8> wide(64, 0);
    std::memcpy(wide.data(), "\177ELF\2\1\1", 7);
    EXPECT_NE(ElfImage::from_bytes("wide", wide).error().message.find("64-bit"), std::string::npos);
    wide[4] = 1;
    EXPECT_NE(ElfImage::from_bytes("sparc", wide).error().message.find("another processor"), std::string::npos);
    const Compiled compiled;
    NEEDS_COMPILER(compiled);
    EXPECT_FALSE(ElfImage::from_bytes("cut", std::span(compiled.bytes).first(60)).ok());
}

TEST(ElfImage, SurvivesTruncationAtEveryLength) {
    const Compiled compiled;
    NEEDS_COMPILER(compiled);
    for (std::size_t size = 0; size < compiled.bytes.size(); size += size < 512 ? 1 : 37) {
        const std::vector<u8> cut(compiled.bytes.begin(), compiled.bytes.begin() + static_cast<std::ptrdiff_t>(size));
        look_at(cut);
    }
}

TEST(ElfImage, SurvivesRandomDamage) {
    Random random(20);
    for (const char* options : {"-gdwarf-4", "-gdwarf-5"}) {
        const Compiled compiled(options);
        NEEDS_COMPILER(compiled);
        for (int round = 0; round < 3000; ++round) {
            std::vector<u8> bytes = compiled.bytes;
            for (u64 flips = 1 + random.below(12); flips > 0; --flips)
                bytes[random.below(bytes.size())] = static_cast<u8>(random.next());
            look_at(bytes);
        }
    }
    for (int round = 0; round < 2000; ++round) {
        std::vector<u8> bytes(52 + random.below(400));
        for (u8& byte : bytes)
            byte = static_cast<u8>(random.next());
        const u8 head[] = {0x7F, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0};
        std::memcpy(bytes.data(), head, sizeof head);
        look_at(bytes);
    }
}

TEST(Symbolizer, AnswersByAddressSpaceAndName) {
    const Compiled compiled;
    NEEDS_COMPILER(compiled);
    Symbolizer symbols;
    symbols.add_program("bin/victim", image_of(compiled));
    const u32 shout = *symbols.address_of("victim:shout");
    EXPECT_FALSE(symbols.lookup(0x5000, shout).known());
    EXPECT_FALSE(symbols.bind(0x5000, "nobody"));
    ASSERT_TRUE(symbols.bind(0x5000, "victim"));
    const Location location = symbols.lookup(0x5000, shout + 1);
    EXPECT_EQ(location.name(), "shout+0x1");
    EXPECT_EQ(location.text(), "shout+0x1 (victim.c:5)");
    EXPECT_EQ(*symbols.address_of("shout", 0x5000), shout);
    EXPECT_FALSE(symbols.lookup(0x6000, shout).known());
    symbols.bind_like(0x6000, 0x5000);
    EXPECT_EQ(symbols.program_of(0x6000), "victim");
    symbols.unbind(0x5000);
    EXPECT_EQ(symbols.lookup(0x5000, shout).text(), fmt::format("0x{:08x}", shout));
}

TEST(Symbolizer, RecognisesAProgramByItsBytesInMemory) {
    const Compiled compiled;
    NEEDS_COMPILER(compiled);
    Symbolizer symbols;
    symbols.add_program("victim", image_of(compiled));
    SyntheticMachine machine;
    const u32 directory = machine.frame();
    const u32 page = machine.frame();
    machine.map(directory, 0x00401000, page, kUser);
    EXPECT_FALSE(symbols.identify(AddressSpaceReader(machine.memory).memory_reader(), directory, 0x00401010));
    for (const ElfSegment& segment : symbols.program("victim")->segments())
        if (segment.executable)
            std::memcpy(machine.memory.host(PhysicalAddress(page)), segment.data.data(),
                        std::min<std::size_t>(segment.data.size(), kPageSize));
    EXPECT_TRUE(symbols.identify(AddressSpaceReader(machine.memory).memory_reader(), directory, 0x00401010));
    EXPECT_EQ(symbols.program_of(directory), "victim");
}

TEST(Symbolizer, ReadsSourceThroughItsReaderAlone) {
    const Compiled compiled;
    Symbolizer symbols;
    // An image names any path of the host.
    EXPECT_EQ(symbols.source_text(compiled.source), nullptr);
    Symbolizer reading;
    u32 calls = 0;
    reading.set_source_reader([&calls](const std::string& path) -> std::optional<std::string> {
        ++calls;
        return path == "/nowhere/fork.c" ? std::optional<std::string>("one\ntwo") : std::nullopt;
    });
    EXPECT_EQ(reading.source_line("/nowhere/fork.c", 2), "two");
    EXPECT_EQ(reading.source_line("/nowhere/fork.c", 3), std::nullopt);
    EXPECT_EQ(calls, 1u);
    EXPECT_EQ(reading.source_text("/nowhere/exec.c"), nullptr);
}

TEST(Tar, ReadsWhatTarWrites) {
    const std::string folder = ::testing::TempDir() + std::to_string(::getpid()) + "_forkscope_tar";
    const std::string deep = std::string(80, 'd');
    const std::string longest = deep + "/" + std::string(70, 'n');
    run("rm -rf " + folder + "; mkdir -p " + folder + "/bin/" + deep + "; printf hello > " + folder +
        "/bin/greet; printf x > " + folder + "/bin/" + longest + "; : > " + folder + "/empty");
    for (const char* format : {"ustar", "gnu", "pax"}) {
        run(std::string("tar --format=") + format + " -C " + folder + " -cf " + folder + ".tar ./bin ./empty");
        const std::vector<u8> bytes = read_file(folder + ".tar");
        if (bytes.empty())
            GTEST_SKIP() << "no tar here";
        Result<std::vector<TarEntry>> entries = read_tar(bytes);
        ASSERT_TRUE(entries.ok()) << entries.error().message;
        ASSERT_EQ(entries->size(), 5u) << format;
        int found = 0;
        for (const TarEntry& entry : *entries) {
            found += entry.name == "bin/greet" && entry.data.size() == 5 && entry.data[0] == 'h' ? 1 : 0;
            found += entry.name == "bin/" + longest ? 1 : 0;
            found += entry.name == "bin" && entry.directory ? 1 : 0;
            found += entry.name == "empty" && entry.data.empty() ? 1 : 0;
        }
        EXPECT_EQ(found, 4) << format;
        for (std::size_t size = 0; size < bytes.size(); size += 61)
            (void)read_tar(std::span(bytes).first(size));
        Random random(7);
        for (int round = 0; round < 2000; ++round) {
            std::vector<u8> damaged = bytes;
            damaged[random.below(4096)] = static_cast<u8>(random.next());
            (void)read_tar(damaged);
        }
    }
}
