// LineTable::read from tables that another build made (line_tables_main.cpp): for targets without libdw.
#include "emu/base/archive.hpp"
#include "emu/symbols/elf_lines.hpp"

extern "C" const forkscope::u8 forkscope_line_tables_start[], forkscope_line_tables_end[];

namespace forkscope {

// Only our own images have tables, and they lie where they are linked.
void LineTable::read(std::span<const u8> elf, u64 slide) {
    const u64 wanted = checksum(elf);
    LoadArchive ar({forkscope_line_tables_start, forkscope_line_tables_end});
    u64 count = 0;
    ar.field("count", count);
    for (u64 i = 0; i < count && ar.good(); ++i) {
        u64 hash = 0;
        LineTable table;
        ar.field("hash", hash);
        ar.nested("table", table);
        if (hash == wanted && slide == 0 && ar.good()) {
            *this = std::move(table);
            return;
        }
    }
}

std::vector<u8> unpack_section(std::span<const u8>, std::size_t) { return {}; }

} // namespace forkscope
