// Whose line a store is: helpers of headers, of the storing file, and those that are told what to store are passed
// over.
#include "emu/symbols/decider.hpp"
#include "emu/symbols/elf_lines.hpp"
#include "symbols_scene.hpp"

using namespace forkscope;
using namespace forkscope::testing;

namespace {

// What stores is a function of its own, in another file than who decides; the header has a loop around it.
constexpr const char* kHeader = "typedef struct { unsigned bits; } pte_t;\n"
                                "void set_pte(pte_t* entry, pte_t value);\n"
                                "static inline void map_all(pte_t* entry, pte_t value, int count) {\n"
                                "    for (int i = 0; i < count; i++)\n"
                                "        set_pte(entry + i, value);\n"
                                "}\n"
                                "static inline void set_here(pte_t* entry, pte_t value) {\n"
                                "    *(volatile unsigned*)&entry->bits = value.bits;\n"
                                "}\n";
constexpr const char* kTables = "#include \"tables.h\"\n"
                                "void __attribute__((noinline)) set_pte(pte_t* entry, pte_t value) {\n"
                                "    *(volatile unsigned*)&entry->bits = value.bits;\n"
                                "}\n"
                                "void __attribute__((noinline)) map_one(pte_t* table, unsigned frame) {\n"
                                "    set_pte(&table[frame & 7], (pte_t){frame | 7});\n"
                                "    table[9].bits++;\n"
                                "}\n";
constexpr const char* kFork = "#include \"tables.h\"\n"
                              "void map_one(pte_t* table, unsigned frame);\n"
                              "pte_t table[16];\n"
                              "void __attribute__((noinline)) copy_stack(int n) {\n"
                              "    map_all(table, (pte_t){7}, n);\n"
                              "    table[15].bits++;\n"
                              "}\n"
                              "void __attribute__((noinline)) protect(void) {\n"
                              "    set_here(&table[3], (pte_t){5});\n"
                              "}\n"
                              "void _start(void) {\n"
                              "    copy_stack(3);\n"
                              "    protect();\n"
                              "    map_one(table, 0x1000);\n"
                              "    for (;;) ;\n"
                              "}\n";

class SymbolsDecider : public ::testing::TestWithParam<const char*> {
  protected:
    void SetUp() override {
        const std::string folder = ::testing::TempDir() + std::to_string(::getpid()) + "_decider";
        output_of("mkdir -p " + folder);
        std::ofstream(folder + "/tables.h") << kHeader;
        std::ofstream(folder + "/tables.c") << kTables;
        std::ofstream(folder + "/fork.c") << kFork;
        output_of("cd " + folder + " && gcc -m32 -g " + std::string(GetParam()) +
                  " -fno-pie -no-pie -nostdlib -static -Wl,-Ttext=0x00401000 -o image tables.c fork.c");
        std::ifstream file(folder + "/image", std::ios::binary);
        const std::vector<u8> bytes{std::istreambuf_iterator<char>(file), {}};
        output_of("rm -r " + folder);
        if (bytes.empty())
            GTEST_SKIP() << "no compiler for 32-bit x86 here";
        symbols_.add_kernel(std::move(ElfImage::from_bytes("kernel", bytes)).value());
    }

    // Where the first call from one function to another returns to.
    u32 call(std::string_view from, std::string_view to) const {
        const ElfImage& image = *symbols_.kernel();
        const Symbol* const caller = image.symbol_named(from);
        const Symbol* const callee = image.symbol_named(to);
        for (const ElfSegment& segment : image.segments())
            for (u32 at = caller != nullptr ? caller->start : ~u32{0}; caller && at < caller->start + caller->size;
                 ++at)
                if (at >= segment.start && at + 5 <= segment.start + segment.data.size()) {
                    u32 distance = 0;
                    std::memcpy(&distance, &segment.data[at - segment.start + 1], sizeof distance);
                    if (segment.data[at - segment.start] == 0xE8 && at + 5 + distance == callee->start)
                        return at + 5;
                }
        return 0;
    }
    u32 line(std::string_view file, u32 number) const {
        return symbols_.kernel()->address_of_line(file, number).value_or(0);
    }
    std::string decider(u32 eip, const std::vector<u32>& callers) const {
        const auto found = decider_of(symbols_, 0, eip, callers);
        return found ? function_and_line(*found) : "";
    }

    Symbolizer symbols_;
};

} // namespace

TEST_P(SymbolsDecider, IsNoFunctionOfAHeader) {
    const bool inlined = symbols_.kernel()->symbol_named("map_all") == nullptr;
    std::vector<u32> callers{inlined ? call("copy_stack", "set_pte") : call("map_all", "set_pte")};
    if (!inlined)
        callers.push_back(call("copy_stack", "map_all"));
    callers.push_back(call("_start", "copy_stack"));
    ASSERT_NE(callers[0], 0u);
    EXPECT_EQ(decider(line("tables.c", 3), callers), "copy_stack (fork.c:5)");
}

TEST_P(SymbolsDecider, OfAStoreInAHeadersFunctionIsWhoeverUsesIt) {
    const bool inlined = symbols_.kernel()->symbol_named("set_here") == nullptr;
    std::vector<u32> callers{call("_start", "protect")};
    if (!inlined)
        callers.insert(callers.begin(), call("protect", "set_here"));
    EXPECT_EQ(decider(line("tables.h", 8), callers), "protect (fork.c:9)");
}

TEST_P(SymbolsDecider, IsOutsideOfTheFileThatStores) {
    const u32 start = call("_start", "map_one");
    EXPECT_EQ(decider(line("tables.c", 3), {{call("map_one", "set_pte"), start}}), "_start (fork.c:14)");
}

TEST_P(SymbolsDecider, IsNotWhoIsToldWhatToStoreWhereOneFileIsAllThatIsKnown) {
    EXPECT_EQ(decider(line("tables.c", 3), {{call("map_one", "set_pte"), 0}}), "map_one (tables.c:6)");
    EXPECT_EQ(decider(line("tables.c", 7), {}), "") << "its own";
}

INSTANTIATE_TEST_SUITE_P(Compiled, SymbolsDecider, ::testing::Values("-O0", "-O2", "-O2 -gdwarf-4"),
                         [](const auto& one) { return "As" + std::to_string(one.index); });
