// line_tables OUT INITRD KERNEL...: packs the line tables of kernels and of an initrd's programs into one file, for
// builds of the core on targets without libdw (elf_lines_packed.cpp).
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>

#include <fmt/format.h>

#include "emu/base/archive.hpp"
#include "emu/symbols/elf_image.hpp"
#include "emu/symbols/elf_lines.hpp"
#include "emu/symbols/tar.hpp"

namespace forkscope {
namespace {

int fail(const std::string& why) {
    std::fprintf(stderr, "line_tables: %s\n", why.c_str());
    return 1;
}

std::vector<u8> file_bytes(const char* path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int run(const char* out, const std::vector<std::vector<u8>>& files) {
    std::map<u64, LineTable> tables; // by the hash of the file
    const auto add = [&](std::span<const u8> bytes) {
        auto image = ElfImage::from_bytes("image", bytes);
        if (image.ok())
            tables[(*image)->hash()].read(bytes);
        return image.ok();
    };
    auto programs = read_tar(files.front());
    if (!programs.ok())
        return fail(programs.error().message);
    for (const TarEntry& entry : *programs)
        if (!entry.directory)
            add(entry.data); // scripts and texts are no ELF files
    for (std::size_t i = 1; i < files.size(); ++i)
        if (!add(files[i]))
            return fail(fmt::format("kernel {} is no 32-bit ELF file", i));
    SaveArchive ar;
    u64 count = tables.size();
    ar.field("count", count);
    for (auto& [hash, table] : tables) {
        u64 key = hash;
        ar.field("hash", key);
        ar.nested("table", table);
    }
    const std::vector<u8> bytes = ar.take();
    std::ofstream file(out, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    file.flush();
    return file ? 0 : fail(fmt::format("cannot write {}", out));
}

} // namespace
} // namespace forkscope

int main(int count, char** arguments) {
    if (count < 4)
        return forkscope::fail("usage: line_tables OUT INITRD KERNEL...");
    std::vector<std::vector<forkscope::u8>> files;
    for (int i = 2; i < count; ++i)
        files.push_back(forkscope::file_bytes(arguments[i]));
    return forkscope::run(arguments[1], files);
}
