// Line tables packed for targets without libdw: what comes out is what DWARF said.
#include <gtest/gtest.h>

#include "emu/base/archive.hpp"
#include "emu/machine/images.hpp"
#include "emu/symbols/elf_lines.hpp"

using namespace forkscope;

namespace {

LineTable table_of_a_kernel() {
    LineTable table;
    table.read(*embedded_kernel("lunaix"));
    return table;
}

std::vector<u8> packed(LineTable table) {
    SaveArchive ar;
    ar.nested("table", table);
    return ar.take();
}

} // namespace

TEST(LineTable, ComesBackFromAnArchiveAsItWas) {
    const LineTable table = table_of_a_kernel();
    LineTable back;
    const std::vector<u8> bytes = packed(table);
    LoadArchive ar(bytes);
    ar.nested("table", back);
    ASSERT_TRUE(ar.finish().ok());
    EXPECT_GT(table.rows.size(), 1000u);
    EXPECT_GT(table.sites.size(), 100u);
    EXPECT_EQ(packed(back), bytes);
    u32 lines = 0;
    u32 inlined = 0;
    for (const LineRow& row : table.rows) {
        const LineRow* const found = back.find(row.address);
        const LineRow* const expected = table.find(row.address);
        ASSERT_EQ(found == nullptr, expected == nullptr);
        if (found == nullptr)
            continue;
        ASSERT_EQ(found->line, expected->line);
        ASSERT_EQ(back.files[found->file], table.files[expected->file]);
        ++lines;
        const InlineSite* const site = back.inlined_at(row.address);
        ASSERT_EQ(site == nullptr, table.inlined_at(row.address) == nullptr);
        if (site == nullptr)
            continue;
        ASSERT_EQ(back.names[site->name], table.names[table.inlined_at(row.address)->name]);
        ASSERT_EQ(site->line, table.inlined_at(row.address)->line);
        ++inlined;
    }
    EXPECT_GT(lines, 1000u);
    EXPECT_GT(inlined, 100u);
}

TEST(LineTable, RefusesAnArchiveThatIsCutShort) {
    const std::vector<u8> bytes = packed(table_of_a_kernel());
    for (const std::size_t size : {std::size_t{0}, std::size_t{20}, bytes.size() / 2, bytes.size() - 1}) {
        LineTable table;
        LoadArchive ar({bytes.data(), size});
        ar.nested("table", table);
        EXPECT_FALSE(ar.finish().ok()) << size;
    }
}
