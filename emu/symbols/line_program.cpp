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
    bytes_ = sections.line.subspan(offset);
    read_header();
    sound_ = !broken_ && work_.take(at_) && program_ <= bytes_.size();
}

LineProgram::~LineProgram() { memory_.give_back((folders_.size() + files_.size()) * sizeof(File)); }

u64 LineProgram::fixed(u32 bytes) {
    u64 value = 0;
    if (bytes > bytes_.size() - at_) {
        broken_ = true;
        at_ = bytes_.size();
        return 0;
    }
    std::memcpy(&value, bytes_.data() + at_, bytes);
    at_ += bytes;
    return value;
}

u64 LineProgram::unsigned_leb() {
    u64 value = 0;
    for (u32 shift = 0; at_ < bytes_.size(); shift += 7) {
        const u8 byte = bytes_[at_++];
        value |= shift < 64 ? u64{byte & 0x7Fu} << shift : 0;
        if ((byte & 0x80) == 0)
            return value;
    }
    broken_ = true;
    return 0;
}

i64 LineProgram::signed_leb() {
    const u64 start = at_;
    u64 value = unsigned_leb();
    const u64 bits = 7 * (at_ - start);
    if (!broken_ && bits < 64 && (bytes_[at_ - 1] & 0x40) != 0)
        value |= ~u64{0} << bits;
    return static_cast<i64>(value);
}

std::string_view LineProgram::text() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + at_, bytes_.size() - at_);
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos) {
        broken_ = true;
        return {};
    }
    at_ += end + 1;
    return rest.substr(0, end);
}

std::string_view LineProgram::text_at(std::span<const u8> section, u64 offset) const {
    if (offset >= section.size())
        return {};
    const auto* start = reinterpret_cast<const char*>(section.data()) + offset;
    return {start, ::strnlen(start, std::min<u64>(section.size() - offset, kMostPath))};
}

void LineProgram::skip(u64 bytes) {
    broken_ = broken_ || bytes > bytes_.size() - at_;
    at_ += std::min<u64>(bytes, bytes_.size() - at_);
}

void LineProgram::read_header() {
    u64 length = fixed(4);
    if (length == 0xFFFFFFFF) {
        offset_bytes_ = 8;
        length = fixed(8);
    }
    if (broken_ || length > bytes_.size() - at_) {
        broken_ = true;
        return;
    }
    bytes_ = bytes_.first(at_ + length);
    version_ = static_cast<u16>(fixed(2));
    if (version_ < 2 || version_ > 5) {
        broken_ = true;
        return;
    }
    if (version_ == 5)
        skip(2); // sizes of an address and of a segment selector
    const u64 header_bytes = fixed(offset_bytes_);
    if (header_bytes > bytes_.size() - at_) {
        broken_ = true;
        return;
    }
    program_ = at_ + header_bytes;
    step_ = static_cast<u8>(fixed(1));
    if (version_ >= 4)
        skip(1); // operations of a long instruction word: one on x86
    skip(1);     // whether rows are statements
    line_base_ = static_cast<i8>(fixed(1));
    line_range_ = static_cast<u8>(fixed(1));
    opcode_base_ = static_cast<u8>(fixed(1));
    broken_ = broken_ || line_range_ == 0 || opcode_base_ == 0;
    const u64 operands = at_;
    skip(opcode_base_ - 1u);
    if (broken_)
        return;
    operands_ = bytes_.subspan(operands, opcode_base_ - 1u);
    if (version_ < 5)
        return read_tables_of_old();
    read_table(false);
    read_table(true);
}

void LineProgram::add(std::vector<File>& list, const File& file) {
    if (memory_.take(sizeof(File)))
        list.push_back(file);
    else
        broken_ = true;
}

// Folder 0 is the unit's own, and no file has the number 0.
void LineProgram::read_tables_of_old() {
    add(folders_, {});
    for (std::string_view name = text(); !broken_ && !name.empty(); name = text())
        add(folders_, {name, 0});
    add(files_, {});
    for (std::string_view name = text(); !broken_ && !name.empty(); name = text()) {
        const u64 folder = unsigned_leb();
        unsigned_leb(); // time and size
        unsigned_leb();
        add(files_, {name, folder});
    }
}

void LineProgram::read_table(bool files) {
    std::vector<Field> fields(broken_ ? 0 : fixed(1));
    for (Field& field : fields)
        field = {unsigned_leb(), unsigned_leb()};
    const u64 count = unsigned_leb();
    // An entry without fields takes no bytes: there could be any number.
    broken_ = broken_ || (count != 0 && fields.empty()) || count > bytes_.size() - at_;
    for (u64 i = 0; i < count && !broken_; ++i) {
        File file;
        if (!read_entry(fields, file))
            broken_ = true;
        add(files ? files_ : folders_, file);
    }
}

bool LineProgram::read_entry(const std::vector<Field>& fields, File& file) {
    for (const Field& field : fields) {
        u64 number = 0;
        std::string_view name;
        switch (field.form) {
        case kString:
            name = text();
            break;
        case kLineStringOffset:
            name = text_at(sections_.line_strings, fixed(offset_bytes_));
            break;
        case kStringOffset:
            name = text_at(sections_.strings, fixed(offset_bytes_));
            break;
        case kUnsigned:
            number = unsigned_leb();
            break;
        case kData1:
            number = fixed(1);
            break;
        case kData2:
            number = fixed(2);
            break;
        case kData4:
            number = fixed(4);
            break;
        case kData8:
            number = fixed(8);
            break;
        case kData16:
            skip(16);
            break;
        case kBlock:
            skip(unsigned_leb());
            break;
        case kBlock1:
            skip(fixed(1));
            break;
        case kBlock2:
            skip(fixed(2));
            break;
        case kBlock4:
            skip(fixed(4));
            break;
        default:
            return false;
        }
        if (field.content == kPath)
            file.name = name;
        else if (field.content == kDirectory)
            file.folder = number;
    }
    return !broken_;
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
    const u64 length = unsigned_leb();
    const u64 start = at_;
    if (broken_ || length == 0 || length > bytes_.size() - at_) {
        broken_ = true;
        return false;
    }
    const u8 opcode = static_cast<u8>(fixed(1));
    if (opcode == kSetAddress)
        row.address = static_cast<u32>(fixed(static_cast<u32>(std::min<u64>(length - 1, 8))));
    if (opcode == kDefineFile) {
        File file{text(), unsigned_leb()};
        add(files_, file);
    }
    at_ = start + length;
    return opcode == kEndSequence;
}

void LineProgram::for_each_row(const std::function<bool(const Row&)>& receive) {
    const Row first{0, 1, 1, false};
    Row row = first;
    if (!sound_)
        return;
    at_ = program_;
    while (at_ < bytes_.size()) {
        const u64 start = at_;
        const u8 opcode = static_cast<u8>(fixed(1));
        bool complete = opcode >= opcode_base_ || opcode == kCopy;
        if (opcode >= opcode_base_) {
            const u32 special = opcode - u32{opcode_base_};
            row.address += special / line_range_ * step_;
            row.line += static_cast<u32>(line_base_ + static_cast<i32>(special % line_range_));
        } else if (opcode == 0) {
            row.end = complete = extended(row);
        } else if (opcode == kAdvanceAddress) {
            row.address += static_cast<u32>(unsigned_leb()) * step_;
        } else if (opcode == kAdvanceLine) {
            row.line += static_cast<u32>(signed_leb());
        } else if (opcode == kSetFile) {
            row.file = unsigned_leb();
        } else if (opcode == kAddConstant) {
            row.address += (255u - opcode_base_) / line_range_ * step_;
        } else if (opcode == kAddFixed) {
            row.address += static_cast<u32>(fixed(2));
        } else if (opcode != kCopy) {
            for (u8 i = operands_[opcode - 1u]; i != 0; --i)
                unsigned_leb();
        }
        if (broken_ || !work_.take(at_ - start) || (complete && !receive(row)))
            return;
        if (row.end)
            row = first;
    }
}

} // namespace forkscope
