// Kernels and archives that lie with everything else right: what they cost in memory and time, and what they open.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <sys/resource.h>

#include "elf_maker.hpp"
#include "emu/base/random.hpp"
#include "emu/machine/multiboot.hpp"
#include "emu/symbols/inspect/expression.hpp"
#include "emu/symbols/line_places.hpp"
#include "emu/symbols/symbolizer.hpp"
#include "emu/symbols/tar.hpp"
#include "tests/unit/files/peak_memory.hpp"

namespace forkscope::fuzz {
namespace {

constexpr u64 kRam = u64{16} << 20;
constexpr rlim_t kSeconds = 10; // of processor time

// Types, variables, frames and stacks, wherever the file has any.
void look_at_debug_information(std::unique_ptr<ElfImage> image) {
    Symbolizer symbols;
    const DebugInfo& debug = image->debug();
    for (const char* name : {"main", "current", "x", "int", "task_struct"}) {
        if (const u64 type = debug.type_named(name); type != 0)
            debug.types().at(type).text();
        debug.function_named(name);
        debug.enum_with(name);
    }
    symbols.add_kernel(std::move(image));
    for (u32 i = 0; i < 100; ++i) {
        GuestState state;
        for (u32 number = 0; number < FrameRegisters::Count; ++number)
            state.registers.values[number] = 0x100000 + i * 977;
        state.memory = [](u32 address, std::span<u8> out) {
            for (std::size_t at = 0; at < out.size(); ++at)
                out[at] = static_cast<u8>((address + at) * 37 >> 3);
            return true;
        };
        const CallStack stack(symbols, state);
        for (const char* text : {"main", "*current", "x", "sizeof(struct task_struct)", "list(current, next)"})
            static_cast<void>(print(stack, stack.rows().front(), text));
        for (std::size_t row = 0; row < stack.rows().size(); ++row)
            stack.text(row);
    }
}

// All that a session does with a kernel before it starts, and what a report asks of it.
void look_at_kernel(std::span<const u8> bytes) {
    spdlog::set_level(spdlog::level::off);
    static_cast<void>(plan_multiboot(SharedBytes::copy_of(bytes), "kernel", {}, "", kRam));
    auto image = ElfImage::from_bytes("kernel", bytes);
    if (!image.ok())
        return;
    const ElfImage& kernel = **image;
    for (u32 i = 0; i < 100; ++i) {
        kernel.symbol_at(0x100000 + i * 977);
        kernel.line_at(0x100000 + i * 977);
        kernel.inlined_calls(0x100000 + i * 977);
    }
    kernel.symbol_named("main");
    kernel.address_of_line("main.c", 7);
    places_of_line(kernel, "main.c", 7);
    ranges_of_line_at(kernel, 0x100000);
    look_at_debug_information(std::move(image).value());
}

void look_at_archive(std::span<const u8> bytes) {
    Symbolizer symbols;
    static_cast<void>(symbols.add_programs_of_initrd(bytes));
    symbols.address_of("init:main");
}

struct StrangersFile {
    std::string what;
    std::vector<u8> bytes;

    i64 most_megabytes() const { return static_cast<i64>(64 + (kRam >> 20) + (4 * bytes.size() >> 20)); }
};

// The peak of all of them, one after another, in a process of their own; negative: it died, or took all that one may.
i64 megabytes_of(std::span<const StrangersFile> files, void (*look)(std::span<const u8>)) {
    return peak_megabytes([&] {
        const rlimit time{kSeconds, kSeconds};
        ::setrlimit(RLIMIT_CPU, &time);
        for (const StrangersFile& file : files)
            look(file.bytes);
    });
}

// Peak memory of 64 MB besides guest memory and four times the file, as for every file from anybody.
void expect_bearable(const std::string& what, const std::vector<u8>& bytes, void (*look)(std::span<const u8>)) {
    const StrangersFile file{what, bytes};
    const auto start = std::chrono::steady_clock::now();
    const i64 taken = megabytes_of({&file, 1}, look);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    EXPECT_GE(taken, 0) << what << ": died after " << spent.count() << " s";
    EXPECT_LE(taken, file.most_megabytes()) << what << ", a file of " << bytes.size() << " bytes";
}

// Files that share a process, as most of the time of one goes into its beginning. If all together stay below what the
// smallest may take, in memory and time, each does; otherwise each is looked at alone.
class Batch {
  public:
    explicit Batch(void (*look)(std::span<const u8>)) : look_(look) {}
    ~Batch() { settle(); }

    void add(std::string what, std::vector<u8> bytes) {
        files_.push_back({std::move(what), std::move(bytes)});
        if (files_.size() == 50)
            settle();
    }

  private:
    void settle() {
        const auto smaller = [](const auto& a, const auto& b) { return a.most_megabytes() < b.most_megabytes(); };
        if (files_.empty())
            return;
        const auto smallest = std::min_element(files_.begin(), files_.end(), smaller);
        const i64 taken = megabytes_of(files_, look_);
        if (taken < 0 || taken > smallest->most_megabytes())
            for (const StrangersFile& file : files_)
                expect_bearable(file.what, file.bytes, look_);
        files_.clear();
    }

    void (*look_)(std::span<const u8>);
    std::vector<StrangersFile> files_;
};

ElfMaker small_kernel() {
    ElfMaker elf;
    Elf32_Phdr segment{};
    segment.p_vaddr = 0x100000;
    elf.add_segment(multiboot_code(), segment);
    elf.head().e_entry = 0x10000C;
    return elf;
}

void add_lines(ElfMaker& elf, const std::vector<u32>& tables, std::vector<u8> lines, Elf32_Shdr line_fields = {},
               const std::string& line_section = ".debug_line") {
    const Dwarf dwarf = units_naming(tables);
    elf.add_section(".debug_info", SHT_PROGBITS, dwarf.info);
    elf.add_section(".debug_abbrev", SHT_PROGBITS, dwarf.abbreviations);
    elf.add_section(line_section, SHT_PROGBITS, std::move(lines), line_fields);
}

std::vector<u8> with_compression_head(u64 claimed, const std::vector<u8>& packed) {
    const Elf32_Chdr head{ELFCOMPRESS_ZLIB, static_cast<u32>(claimed), 1};
    std::vector<u8> bytes(sizeof head + packed.size());
    std::memcpy(bytes.data(), &head, sizeof head);
    std::copy(packed.begin(), packed.end(), bytes.begin() + sizeof head);
    return bytes;
}

} // namespace

TEST(StrangersKernel, WithGoodTablesIsUnderstood) {
    ElfMaker elf = small_kernel();
    Elf32_Shdr symbols{};
    symbols.sh_link = elf.add_section(".strtab", SHT_STRTAB, {0, 'm', 'a', 'i', 'n', 0});
    elf.add_section(".symtab", SHT_SYMTAB, symbol_table(1, 0), symbols);
    // Set the address, line 7, a row; 12 bytes on the end.
    const std::vector<u8> lines = line_table({"folder"}, 1, {0, 5, 2, 0, 0, 0x10, 0, 3, 6, 1, 2, 12, 0, 1, 1});
    const std::vector<u8> file = [&] {
        add_lines(elf, {0}, lines);
        return elf.take();
    }();
    auto image = ElfImage::from_bytes("kernel", file);
    ASSERT_TRUE(image.ok());
    const auto line = (*image)->line_at(0x100004);
    ASSERT_TRUE(line.has_value());
    EXPECT_EQ(line->file, "folder/0");
    EXPECT_EQ(line->line, 7u);
    EXPECT_FALSE((*image)->line_at(0x10000C).has_value());
    ASSERT_NE((*image)->symbol_named("main"), nullptr);
    EXPECT_TRUE(plan_multiboot(file, "kernel", {}, "", kRam).ok());
}

TEST(StrangersKernel, WithSegmentsOverEachOtherTakesNoMemory) {
    ElfMaker elf = small_kernel();
    Elf32_Phdr segment{};
    segment.p_vaddr = 0x200000;
    const u32 large = elf.add_segment(std::vector<u8>(1 << 20, 0x90), segment);
    for (u32 i = 0; i < 4000; ++i)
        elf.repeat_segment(large, 0x200000 + i);
    expect_bearable("4000 segments over each other", elf.take(), look_at_kernel);
}

TEST(StrangersKernel, WithManyHeadsOfOneSymbolTableTakesNoMemory) {
    ElfMaker elf = small_kernel();
    Elf32_Shdr fields{};
    fields.sh_link = elf.add_section(".strtab", SHT_STRTAB, std::vector<u8>(1000, 'x'));
    const u32 table = elf.add_section(".symtab", SHT_SYMTAB, symbol_table(20'000, 0), fields);
    for (u32 i = 0; i < 500; ++i)
        elf.repeat_section(table);
    expect_bearable("500 heads of one symbol table", elf.take(), look_at_kernel);
}

TEST(StrangersKernel, WithSymbolsThatShareOneLongNameTakesNoMemory) {
    ElfMaker elf = small_kernel();
    Elf32_Shdr fields{};
    fields.sh_link = elf.add_section(".strtab", SHT_STRTAB, std::vector<u8>(1 << 20, 'x'));
    elf.add_section(".symtab", SHT_SYMTAB, symbol_table(200'000, 1), fields);
    expect_bearable("names within names", elf.take(), look_at_kernel);
}

TEST(StrangersKernel, WithPackedSectionsTakesNoMemory) {
    constexpr u32 kPlain = 200u << 20;
    const std::vector<u8> packed = packed_zeros(kPlain);
    Elf32_Shdr compressed{};
    compressed.sh_flags = SHF_COMPRESSED;
    {
        ElfMaker elf = small_kernel();
        add_lines(elf, {0}, with_compression_head(kPlain, packed), compressed);
        expect_bearable("a section of 200 MB zeros", elf.take(), look_at_kernel);
    }
    {
        ElfMaker elf = small_kernel();
        std::vector<u8> old(12); // "ZLIB" and the size, its highest byte first
        std::memcpy(old.data(), "ZLIB\0\0\0\0\x0C\x80", 10);
        old.reserve(old.size() + packed.size());
        std::copy(packed.begin(), packed.end(), std::back_inserter(old));
        add_lines(elf, {0}, old, {}, ".zdebug_line");
        expect_bearable("the same in GNU's older way", elf.take(), look_at_kernel);
    }
    {
        ElfMaker elf = small_kernel();
        const auto piece = with_compression_head(8u << 20, packed_zeros(8u << 20));
        for (u32 i = 0; i < 200; ++i)
            elf.add_section(".debug_" + std::to_string(i), SHT_PROGBITS, piece, compressed);
        add_lines(elf, {0}, line_table({}, 1, {}));
        expect_bearable("many packed sections", elf.take(), look_at_kernel);
    }
}

TEST(StrangersKernel, WithEndlessLineTablesTakesNeitherMemoryNorTime) {
    const std::vector<u8> rows(4 << 20, 0xFF);
    {
        ElfMaker elf = small_kernel();
        add_lines(elf, {0}, line_table({}, 1, rows));
        expect_bearable("a row a byte", elf.take(), look_at_kernel);
    }
    {
        ElfMaker elf = small_kernel();
        add_lines(elf, std::vector<u32>(100'000, 0), line_table({}, 1, std::vector<u8>(1 << 20, 6)));
        expect_bearable("100000 units that share a table", elf.take(), look_at_kernel);
    }
    {
        // A table every four bytes: each runs to the end of the same program.
        ElfMaker elf = small_kernel();
        std::vector<u8> nested;
        std::vector<u32> offsets;
        for (u32 i = 0; i < 20'000; ++i) {
            offsets.push_back(static_cast<u32>(nested.size()));
            const std::vector<u8> table = line_table({}, 0, {});
            nested.insert(nested.end(), table.begin(), table.end());
        }
        const auto end = static_cast<u32>(nested.size()) + (1u << 20);
        for (const u32 offset : offsets) {
            const u32 length = end - offset - 4;
            std::memcpy(&nested[offset], &length, sizeof length);
        }
        nested.resize(end, 0xFF);
        add_lines(elf, offsets, nested);
        expect_bearable("tables within tables", elf.take(), look_at_kernel);
    }
    {
        ElfMaker elf = small_kernel();
        std::vector<u8> program;
        for (u32 file = 1; file <= 100'000; ++file) // each file's number, and a row
            program.insert(program.end(), {4, static_cast<u8>(file | 0x80), static_cast<u8>(file >> 7 | 0x80),
                                           static_cast<u8>(file >> 14), 1});
        add_lines(elf, {0}, line_table({std::string(100'000, 'd')}, 100'000, program));
        expect_bearable("100000 files in a folder of a long name", elf.take(), look_at_kernel);
    }
}

// Every field a lie now and then, or what stands in another; checksums there are none.
TEST(StrangersKernel, OfAnyFieldsIsBearable) {
    const u32 rounds = std::getenv("FORKSCOPE_LONG") != nullptr ? 20'000 : 150;
    Random random(2026);
    Batch batch(look_at_kernel);
    for (u32 round = 0; round < rounds && !::testing::Test::HasFailure(); ++round) {
        ElfMaker elf = small_kernel();
        const auto some = [&](u64 most) {
            return std::vector<u8>(1 + random.below(most), static_cast<u8>(random.next()));
        };
        Elf32_Shdr symbols{};
        symbols.sh_link = elf.add_section(".strtab", SHT_STRTAB, some(100'000));
        elf.add_section(".symtab", SHT_SYMTAB, symbol_table(static_cast<u32>(random.below(20'000)), 1), symbols);
        std::vector<u8> lines =
            line_table({std::string(random.below(5000), 'd')}, static_cast<u32>(random.below(5000)), some(1 << 20));
        if (random.below(4) == 0)
            lines[random.below(40) % lines.size()] = static_cast<u8>(random.next());
        add_lines(elf, std::vector<u32>(1 + random.below(1000), random.below(3) == 0 ? 7 : 0), lines);
        elf.add_segment(some(1 << 20));
        for (u64 more = random.below(3) == 0 ? random.below(2000) : 0; more != 0; --more)
            if (random.below(2) == 0)
                elf.repeat_section(static_cast<u32>(random.below(elf.sections().size())));
            else
                elf.repeat_segment(static_cast<u32>(random.below(elf.segments().size())),
                                   static_cast<u32>(random.next()));
        const auto lie = [&](u32& field) {
            const u32 lies[] = {0,         1,          field - 1,  field + 1,
                                field * 2, 0x7FFFFFFF, 0xFFFFFFFF, static_cast<u32>(random.next())};
            field = lies[random.below(std::size(lies))];
        };
        for (u64 lies = random.below(4); lies != 0; --lies) {
            Elf32_Shdr& section = elf.sections()[random.below(elf.sections().size())];
            u32* const fields[] = {&section.sh_type, &section.sh_flags, &section.sh_offset, &section.sh_size,
                                   &section.sh_link, &section.sh_name,  &section.sh_addr,   &section.sh_entsize};
            lie(*fields[random.below(std::size(fields))]);
            Elf32_Phdr& segment = elf.segments()[random.below(elf.segments().size())];
            u32* const parts[] = {&segment.p_offset, &segment.p_filesz, &segment.p_memsz, &segment.p_vaddr,
                                  &segment.p_paddr};
            lie(*parts[random.below(std::size(parts))]);
        }
        batch.add("round " + std::to_string(round), elf.take());
    }
}

TEST(StrangersArchive, OfAnySizesIsBearable) {
    const u32 rounds = std::getenv("FORKSCOPE_LONG") != nullptr ? 20'000 : 150;
    Random random(2027);
    Batch batch(look_at_archive);
    for (u32 round = 0; round < rounds && !::testing::Test::HasFailure(); ++round) {
        std::vector<u8> archive;
        for (u64 entries = random.below(2000); entries != 0; --entries) {
            std::vector<u8> bytes(random.below(3) == 0 ? random.below(5000) : 0, 'x');
            if (random.below(20) == 0) {
                ElfMaker elf = small_kernel();
                bytes = elf.take();
            }
            const u64 sizes[] = {0, bytes.size() + 1, u64{1} << 32, u64{1} << 62, ~u64{0}, random.next()};
            const u64 size = random.below(500) == 0 ? sizes[random.below(std::size(sizes))] : bytes.size();
            const std::string kinds = "000057LxgK12";
            const std::vector<u8> entry =
                tar_entry(std::string(random.below(120), 'n'), kinds[random.below(kinds.size())], size, bytes);
            archive.insert(archive.end(), entry.begin(), entry.end());
        }
        batch.add("round " + std::to_string(round), std::move(archive));
    }
    // What the generator makes is otherwise a good archive.
    std::vector<u8> good = tar_entry("a", '0', 3, {1, 2, 3});
    good.resize(good.size() + 1024);
    const auto entries = read_tar(good);
    ASSERT_TRUE(entries.ok());
    ASSERT_EQ(entries->size(), 1u);
    EXPECT_EQ(entries->front().data.size(), 3u);
}

// libdw follows the names of other files that an image gives: a shared part, a split unit, a stripped half.
TEST(StrangersKernel, OpensNoOtherFile) {
    namespace fs = std::filesystem;
    const fs::path folder = fs::path(::testing::TempDir()) / ("forkscope-other-" + std::to_string(::getpid()));
    fs::create_directories(folder);
    const std::string other = (folder / "other").string();
    std::ofstream(other) << "\177ELF";
    ElfMaker elf = small_kernel();
    std::vector<u8> link(other.begin(), other.end());
    link.resize(link.size() + 1 + 20, 0); // the build id
    elf.add_section(".gnu_debugaltlink", SHT_PROGBITS, link);
    elf.add_section(".gnu_debuglink", SHT_PROGBITS, link);
    // A split unit's skeleton with DW_AT_GNU_dwo_name and DW_AT_GNU_dwo_id, and a name in the shared part.
    std::string unit("\0\0\0\0\4\0\0\0\0\0\4\1", 12);
    unit += other + std::string("\0\1\2\3\4\5\6\7\x08\0\0\0\0\0\0\0\0", 17);
    std::vector<u8> info(unit.begin(), unit.end());
    info[0] = static_cast<u8>(info.size() - 4);
    elf.add_section(".debug_info", SHT_PROGBITS, info);
    elf.add_section(".debug_abbrev", SHT_PROGBITS,
                    {1, 0x11, 0, 0xB0, 0x42, 0x08, 0xB1, 0x42, 0x07, 0x03, 0xA1, 0x3E, 0x10, 0x17, 0, 0, 0});
    elf.add_section(".debug_line", SHT_PROGBITS, line_table({folder.string()}, 1, {1}));
    const std::vector<u8> with_links = elf.take();
    const int watch = ::inotify_init1(IN_NONBLOCK);
    ASSERT_GE(watch, 0);
    ASSERT_GE(::inotify_add_watch(watch, folder.c_str(), IN_OPEN), 0);
    look_at_kernel(with_links);
    pollfd opened{watch, POLLIN, 0};
    EXPECT_EQ(::poll(&opened, 1, 0), 0) << "a file that the image names was opened";
    std::ifstream(other).get(); // the watch sees what there is to see
    EXPECT_EQ(::poll(&opened, 1, 0), 1);
    ::close(watch);
    fs::remove_all(folder);
}

} // namespace forkscope::fuzz
