// --symbols: names of a kernel that has none itself, where it lies and elsewhere, and files that are no help.
#include <unistd.h>

#include <cstring>
#include <fstream>

#include <elf.h>
#include <gtest/gtest.h>

#include "emu/machine/images.hpp"
#include "emu/session/session.hpp"
#include "emu/session/symbol_files.hpp"

namespace forkscope {
namespace {

class SessionSymbols : public ::testing::Test {
  protected:
    SessionSymbols() {
        const auto kernel = *embedded_kernel("lunaix");
        whole_ = write("whole", {kernel.begin(), kernel.end()});
        std::vector<u8> bytes(kernel.begin(), kernel.end());
        // Without section headers there are no symbols and no lines.
        Elf32_Ehdr head;
        std::memcpy(&head, bytes.data(), sizeof head);
        head.e_shoff = 0;
        head.e_shnum = head.e_shstrndx = 0;
        std::memcpy(bytes.data(), &head, sizeof head);
        stripped_ = write("stripped", bytes);
        const auto initrd = embedded_initrd();
        initrd_ = write("initrd", {initrd.begin(), initrd.end()});
    }
    ~SessionSymbols() override {
        for (const std::string& path : written_)
            std::remove(path.c_str());
    }

    std::string write(const std::string& name, const std::vector<u8>& bytes) {
        const std::string path = ::testing::TempDir() + std::to_string(::getpid()) + "_symbols_" + name;
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        written_.push_back(path);
        return path;
    }

    Result<std::unique_ptr<Session>> session(std::vector<std::string> symbols, const std::string& until) const {
        Options options;
        options.command = Command::Run;
        options.display = Display::None;
        options.serial = "none";
        options.kernel_path = stripped_;
        options.initrds = {initrd_};
        options.machine.command_line = "run=forkdemo --pages 2";
        options.symbol_files = std::move(symbols);
        options.until = until;
        options.trace_forks = true;
        return Session::create(options);
    }

    std::string whole_, stripped_, initrd_;
    std::vector<std::string> written_;
};

} // namespace

TEST_F(SessionSymbols, NameAKernelThatHasNone) {
    EXPECT_FALSE(session({}, "symbol:fork_process").ok());
    auto named = session({whole_}, "symbol:fork_process");
    ASSERT_TRUE(named.ok()) << named.error().message;
    EXPECT_EQ((*named)->run_to_end().code, ExitCode::Ok);
    EXPECT_EQ((*named)->place().find("fork_process (fork.c:"), 0u) << (*named)->place();
    // Places of functions that are inlined, and lines.
    for (const char* until : {"symbol:dup_proc", "stop:2"}) {
        auto there = session({whole_}, until);
        ASSERT_TRUE(there.ok()) << there.error().message;
        EXPECT_EQ((*there)->run_to_end().code, ExitCode::Ok);
        EXPECT_NE((*there)->place().find("fork_process+"), std::string::npos) << until << ": " << (*there)->place();
    }
    const ForkRecord* fork = nullptr;
    auto traced = session({whole_}, "stop:5");
    ASSERT_TRUE(traced.ok());
    (*traced)->run_to_end();
    fork = (*traced)->tracer()->current();
    ASSERT_NE(fork, nullptr);
    EXPECT_EQ((*traced)->symbols().lookup_in("", fork->stops.front().eip).file.substr(0, 6), "guest/");
}

TEST_F(SessionSymbols, AreMovedToTheirBase) {
    Symbolizer plain;
    Symbolizer moved;
    ASSERT_TRUE(add_symbol_files(plain, {whole_}).ok());
    ASSERT_TRUE(add_symbol_files(moved, {whole_ + "@0x200000"}).ok());
    const u32 from = *plain.address_of("fork_process");
    const u32 to = *moved.address_of("fork_process");
    EXPECT_EQ(to - from, 0x200000u - 0x100000u); // the boot code is linked at 1 MB
    for (u32 i = 0; i < 64; ++i) {
        EXPECT_EQ(moved.lookup(0, to + i).source(), plain.lookup(0, from + i).source());
        EXPECT_EQ(moved.lookup(0, to + i).inlined, plain.lookup(0, from + i).inlined);
    }
    EXPECT_FALSE(moved.lookup(0, from).name().starts_with("fork_process+"));
    EXPECT_EQ(moved.places_of("dup_proc").size(), plain.places_of("dup_proc").size());
}

// A 64-bit program: its addresses below 4 GB, and those of one that lies beyond, at a base.
TEST_F(SessionSymbols, OfA64BitFileAreTaken) {
    const std::string source = ::testing::TempDir() + std::to_string(::getpid()) + "_wide.c";
    std::ofstream(source) << "int counter;\nint twice(int x) {\n    counter += x;\n    return 2 * x;\n}\nvoid "
                             "_start(void) { twice(1); }\n";
    written_.push_back(source);
    for (const auto& [options, base] :
         {std::pair{"-Wl,-Ttext=0x401000", ""},
          std::pair{"-Wl,-Ttext-segment=0xffffffff81000000 -mcmodel=kernel", "@0x400000"}}) {
        const std::string path = write("wide", {});
        std::remove(path.c_str());
        const std::string compile = fmt::format(
            "gcc -m64 -g -O0 -fno-pie -no-pie -nostdlib -static {} -o {} {} 2>/dev/null", options, path, source);
        if (std::system(compile.c_str()) != 0)
            GTEST_SKIP() << "no compiler for 64-bit x86 here";
        Symbolizer symbols;
        const Result<void> added = add_symbol_files(symbols, {path + base});
        ASSERT_TRUE(added.ok()) << added.error().message;
        const std::optional<u32> twice = symbols.address_of("twice");
        ASSERT_TRUE(twice);
        EXPECT_EQ(symbols.lookup(0, *twice).line, 2u);
        EXPECT_EQ(symbols.lookup(0, *twice).name(), "twice");
        if (*base != '\0') {
            Symbolizer nowhere;
            const Result<void> beyond = add_symbol_files(nowhere, {path});
            ASSERT_FALSE(beyond.ok());
            EXPECT_NE(beyond.error().message.find("4 GB"), std::string::npos) << beyond.error().message;
        }
    }
}

TEST_F(SessionSymbols, ThatAreNoHelpAreRefused) {
    const std::string text = write("text", {'h', 'e', 'l', 'l', 'o'});
    for (const auto& [given, why] : {std::pair{stripped_, "no symbols"},
                                     {text, "not an ELF file"},
                                     {whole_ + "x", "whole"},
                                     {whole_ + "@", "BASE"},
                                     {whole_ + "@12z", "BASE"},
                                     {whole_ + "@0x100000000", "BASE"},
                                     {std::string("@0x100"), "BASE"}}) {
        const auto refused = session({given}, "");
        ASSERT_FALSE(refused.ok()) << given;
        EXPECT_NE(refused.error().message.find(why), std::string::npos) << given << ": " << refused.error().message;
    }
}

} // namespace forkscope
