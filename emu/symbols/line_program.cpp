#include "emu/symbols/line_program.hpp"

#include <algorithm>
#include <cstring>

namespace forkscope {

namespace {

constexpr u64 kMostPath = 4096;

// DW_LNCT, DW_FORM, DW_LNS and DW_LNE: DWARF 5, 7.22 and 7.5.6. <dwarf.h> is not on every target of the core.
enum Content : u64 { kPath = 1, kDirectory = 2 };
enum Form : u64 {
    kBlock2 = 3,
    kBlock4 = 4,
    kData2 = 5,
    kData4 = 6,
    kData8 = 7,
    kString = 8,
    kBlock = 9,
    kBlock1 = 10,
    kData1 = 11,
    kStringOffset = 14,
    kUnsigned = 15,
    kData16 = 30,
    kLineStringOffset = 31
};
enum Standard : u8 {
    kCopy = 1,
    kAdvanceAddress,
    kAdvanceLine,
    kSetFile,
    kSetColumn,
    kNegateStatement,
    kBasicBlock,
    kAddConstant,
    kAddFixed,
    kPrologueEnd,
    kEpilogueBegin,
    kSetIsa
};
enum Extended : u8 { kEndSequence = 1, kSetAddress = 2, kDefineFile = 3 };

} // namespace

LineProgram::LineProgram(const DebugSections& sections, u64 offset, Budget& memory, Budget& work)
    : sections_(sections), memory_(memory), work_(work) {
    if (offset >= sections.line.size())
        return;
    in_ = ByteReader(sections.line.subspan(offset));
    read_header();
    sound_ = !in_.broken() && work_.take(in_.at()) && program_ <= in_.bytes().size();
}

LineProgram::~LineProgram() { memory_.give_back((folders_.size() + files_.size()) * sizeof(File)); }

void LineProgram::read_header() {
    u64 length = in_.fixed(4);
    if (length == 0xFFFFFFFF) {
        offset_bytes_ = 8;
        length = in_.fixed(8);
    }
    if (in_.broken() || length > in_.left()) {
        in_.fail();
        return;
    }
    in_.end_at(in_.at() + length);
    version_ = static_cast<u16>(in_.fixed(2));
    if (version_ < 2 || version_ > 5) {
        in_.fail();
        return;
    }
    if (version_ == 5)
        in_.skip(2); // sizes of an address and of a segment selector
    const u64 header_bytes = in_.fixed(offset_bytes_);
    if (header_bytes > in_.left()) {
        in_.fail();
        return;
    }
    program_ = in_.at() + header_bytes;
    step_ = static_cast<u8>(in_.fixed(1));
    if (version_ >= 4)
        in_.skip(1); // operations of a long instruction word: one on x86
    statements_ = in_.fixed(1) != 0;
    line_base_ = static_cast<i8>(in_.fixed(1));
    line_range_ = static_cast<u8>(in_.fixed(1));
    opcode_base_ = static_cast<u8>(in_.fixed(1));
    if (line_range_ == 0 || opcode_base_ == 0)
        in_.fail();
    operands_ = in_.block(opcode_base_ - 1u);
    if (in_.broken())
        return;
    if (version_ < 5)
        return read_tables_of_old();
    read_table(false);
    read_table(true);
}

void LineProgram::add(std::vector<File>& list, const File& file) {
    if (memory_.take(sizeof(File)))
        list.push_back(file);
    else
        in_.fail();
}

// Folder 0 is the unit's own, and no file has the number 0.
void LineProgram::read_tables_of_old() {
    add(folders_, {});
    for (std::string_view name = in_.text(); !in_.broken() && !name.empty(); name = in_.text())
        add(folders_, {name, 0});
    add(files_, {});
    for (std::string_view name = in_.text(); !in_.broken() && !name.empty(); name = in_.text()) {
        const u64 folder = in_.unsigned_leb();
        in_.unsigned_leb(); // time and size
        in_.unsigned_leb();
        add(files_, {name, folder});
    }
}

void LineProgram::read_table(bool files) {
    std::vector<Field> fields(in_.broken() ? 0 : in_.fixed(1));
    for (Field& field : fields)
        field = {in_.unsigned_leb(), in_.unsigned_leb()};
    const u64 count = in_.unsigned_leb();
    // An entry without fields takes no bytes: there could be any number.
    if ((count != 0 && fields.empty()) || count > in_.left())
        in_.fail();
    for (u64 i = 0; i < count && !in_.broken(); ++i) {
        File file;
        if (!read_entry(fields, file))
            in_.fail();
        add(files ? files_ : folders_, file);
    }
}

bool LineProgram::read_entry(const std::vector<Field>& fields, File& file) {
    for (const Field& field : fields) {
        u64 number = 0;
        std::string_view name;
        switch (field.form) {
        case kString:
            name = in_.text();
            break;
        case kLineStringOffset:
            name = text_in(sections_.line_strings, in_.fixed(offset_bytes_));
            break;
        case kStringOffset:
            name = text_in(sections_.strings, in_.fixed(offset_bytes_));
            break;
        case kUnsigned:
            number = in_.unsigned_leb();
            break;
        case kData1:
            number = in_.fixed(1);
            break;
        case kData2:
            number = in_.fixed(2);
            break;
        case kData4:
            number = in_.fixed(4);
            break;
        case kData8:
            number = in_.fixed(8);
            break;
        case kData16:
            in_.skip(16);
            break;
        case kBlock:
            in_.skip(in_.unsigned_leb());
            break;
        case kBlock1:
            in_.skip(in_.fixed(1));
            break;
        case kBlock2:
            in_.skip(in_.fixed(2));
            break;
        case kBlock4:
            in_.skip(in_.fixed(4));
            break;
        default:
            return false;
        }
        if (field.content == kPath)
            file.name = name;
        else if (field.content == kDirectory)
            file.folder = number;
    }
    return !in_.broken();
}

std::string LineProgram::path(u64 number, std::string_view unit_folder) const {
    if (number >= files_.size() || files_[number].name.empty())
        return {};
    const File& file = files_[number];
    if (file.folder >= folders_.size())
        return {};
    const std::string_view folder =
        version_ < 5 && file.folder == 0 ? unit_folder : std::string_view(folders_[file.folder].name);
    const std::string name(file.name.substr(0, kMostPath));
    return name[0] == '/' || folder.empty() ? name : std::string(folder.substr(0, kMostPath)) + "/" + name;
}

// An extended opcode says its own length. True if it ends a sequence.
bool LineProgram::extended(Row& row) {
    const u64 length = in_.unsigned_leb();
    const u64 start = in_.at();
    if (in_.broken() || length == 0 || length > in_.left()) {
        in_.fail();
        return false;
    }
    const u8 opcode = static_cast<u8>(in_.fixed(1));
    if (opcode == kSetAddress)
        row.address = in_.fixed(static_cast<u32>(std::min<u64>(length - 1, 8)));
    if (opcode == kDefineFile) {
        File file{in_.text(), in_.unsigned_leb()};
        add(files_, file);
    }
    in_.go_to(start + length);
    return opcode == kEndSequence;
}

// A standard opcode; what rows say of themselves is in flags that a row consumes.
void LineProgram::standard(u8 opcode, Row& row) {
    switch (opcode) {
    case kAdvanceAddress:
        row.address += in_.unsigned_leb() * step_;
        return;
    case kAdvanceLine:
        row.line += static_cast<u32>(in_.signed_leb());
        return;
    case kSetFile:
        row.file = in_.unsigned_leb();
        return;
    case kNegateStatement:
        row.statement = !row.statement;
        break;
    case kAddConstant:
        row.address += (255u - opcode_base_) / line_range_ * step_;
        break;
    case kAddFixed:
        row.address += in_.fixed(2);
        return;
    case kPrologueEnd:
        row.prologue_end = true;
        break;
    default:
        break;
    }
    for (u8 i = operands_[opcode - 1u]; i != 0; --i)
        in_.unsigned_leb();
}

void LineProgram::for_each_row(const std::function<bool(const Row&)>& receive) {
    const Row first{0, 1, 1, statements_, false, false};
    Row row = first;
    if (!sound_)
        return;
    in_.go_to(program_);
    while (in_.left() != 0) {
        const u64 start = in_.at();
        const u8 opcode = static_cast<u8>(in_.fixed(1));
        const bool complete = opcode >= opcode_base_ || opcode == kCopy;
        if (opcode >= opcode_base_) {
            const u32 special = opcode - u32{opcode_base_};
            row.address += special / line_range_ * step_;
            row.line += static_cast<u32>(line_base_ + static_cast<i32>(special % line_range_));
        } else if (opcode == 0) {
            row.end = extended(row);
        } else if (opcode != kCopy) {
            standard(opcode, row);
        }
        const bool whole = complete || row.end;
        if (in_.broken() || !work_.take(in_.at() - start) || (whole && !receive(row)))
            return;
        if (whole)
            row.prologue_end = false;
        if (row.end)
            row = first;
    }
}

} // namespace forkscope
