// Owns: LineProgram, the line table of one DWARF unit (DWARF 5 standard, 6.2; versions 2 to 5): its files and its rows.
// Callers: LineTable::read. Promises: any bytes are accepted; it takes memory and time from budgets, and ends where one
// of them is spent.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

// What may still be spent on an image of nobody's making: bytes, or steps.
class Budget {
  public:
    explicit Budget(u64 left) : left_(left) {}
    // False if there is not so much left; then nothing is left.
    bool take(u64 amount) {
        const bool enough = amount <= left_;
        left_ -= enough ? amount : left_;
        return enough;
    }
    void give_back(u64 amount) { left_ += amount; }
    bool spent() const { return left_ == 0; }

  private:
    u64 left_;
};

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
        u32 address = 0, line = 0;
        u64 file = 0;
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

    // Reading moves the cursor; beyond the end zeros come, and the cursor is broken.
    u64 fixed(u32 bytes);
    u64 unsigned_leb();
    i64 signed_leb();
    std::string_view text();
    std::string_view text_at(std::span<const u8> section, u64 offset) const;
    void skip(u64 bytes);

    void read_header();
    void read_tables_of_old();
    void read_table(bool files);
    bool read_entry(const std::vector<Field>& fields, File& file);
    void add(std::vector<File>& list, const File& file);
    bool extended(Row& row);

    DebugSections sections_;
    Budget& memory_;
    Budget& work_;
    std::span<const u8> bytes_; // of this unit
    u64 at_ = 0;
    bool broken_ = false;
    bool sound_ = false;
    u16 version_ = 0;
    u32 offset_bytes_ = 4;
    u64 program_ = 0; // where the header ends
    u8 step_ = 1, line_range_ = 1, opcode_base_ = 1;
    i8 line_base_ = 0;
    std::span<const u8> operands_; // how many each standard opcode has
    std::vector<File> folders_, files_;
};

} // namespace forkscope
