// Owns: LineProgram, the line table of one DWARF unit (DWARF 5 standard, 6.2; versions 2 to 5): its files and its rows.
// Callers: LineTable::read. Promises: any bytes are accepted; it takes memory and time from budgets, and ends where one
// of them is spent.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/symbols/dwarf/byte_reader.hpp"

namespace forkscope {

// Sections of an image, unpacked.
struct DebugSections {
    std::span<const u8> line, line_strings, strings;
};

class LineProgram {
  public:
    // At an offset of the line section; `memory` in bytes, `work` in bytes looked at.
    LineProgram(const DebugSections& sections, u64 offset, Budget& memory, Budget& work);
    ~LineProgram();
    LineProgram(const LineProgram&) = delete;
    LineProgram& operator=(const LineProgram&) = delete;

    // Whether there is a table that can be read.
    bool sound() const { return sound_; }
    // A file's path by its number: in its folder, or in its unit's where it has none; empty if there is no such file.
    std::string path(u64 number, std::string_view unit_folder) const;

    struct Row {
        u64 address = 0;
        u32 line = 0;
        u64 file = 0;
        bool statement = true;     // a good place to stop at
        bool prologue_end = false; // the function's frame is there
        bool end = false;
    };
    // Until the table ends, or the receiver says false.
    void for_each_row(const std::function<bool(const Row&)>& receive);

  private:
    struct File {
        std::string_view name;
        u64 folder = 0;
    };
    struct Field {
        u64 content = 0, form = 0;
    };

    void read_header();
    void read_tables_of_old();
    void read_table(bool files);
    bool read_entry(const std::vector<Field>& fields, File& file);
    void add(std::vector<File>& list, const File& file);
    bool extended(Row& row);
    void standard(u8 opcode, Row& row);

    DebugSections sections_;
    Budget& memory_;
    Budget& work_;
    ByteReader in_; // of this unit
    bool sound_ = false;
    u16 version_ = 0;
    u32 offset_bytes_ = 4;
    u64 program_ = 0;        // where the header ends
    bool statements_ = true; // what rows are at first
    u8 step_ = 1, line_range_ = 1, opcode_base_ = 1;
    i8 line_base_ = 0;
    std::span<const u8> operands_; // how many each standard opcode has
    std::vector<File> folders_, files_;
};

} // namespace forkscope
