// Owns: the comparison of one of our decodings with Capstone's, and the list of differences that we stand by.
// Callers: the decoder's differential test. Promises: length, mnemonic with its prefixes, and every operand (registers,
// memory segment, base, index, scale, displacement and size, immediates) are looked at.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <capstone/capstone.h>

#include "cpu/decode/decoder.hpp"

namespace forkscope::test {

// What both decoders made of the same bytes.
struct Sides {
    const u8* bytes = nullptr;
    u32 size = 0;
    u32 prefixes = 0; // bytes before the opcode
    u32 opcode = 0;   // 0x100 and up: after 0F
    CodeMode mode;
    DecodeStatus status = DecodeStatus::Undefined;
    Instruction ours;
    const cs_insn* theirs = nullptr; // nullptr: Capstone found no instruction
    std::string_view difference;     // the first one; empty if both sides agree

    bool has_prefix(u8 prefix) const;
    u32 mandatory_prefix() const; // 0: none, 1: 66, 2: F3, 3: F2
    u8 mod_rm() const { return bytes[prefixes + (opcode >= 0x100 ? 2 : 1)]; }
    bool has_mandatory_prefixes() const; // there is a row of this opcode that goes by one
    u8 mod_rm_reg() const { return mod_rm() >> 3 & 7; }
};

enum class Verdict : u8 { Same, KnownDifference, FormWeLack, Different };

class CapstoneComparer {
  public:
    explicit CapstoneComparer(CodeMode mode);
    ~CapstoneComparer();
    CapstoneComparer(const CapstoneComparer&) = delete;
    CapstoneComparer& operator=(const CapstoneComparer&) = delete;

    Verdict compare(const u8* bytes, u32 size);

    // About the last comparison:
    const Sides& sides() const { return sides_; }
    u32 known_difference() const { return known_difference_; } // index into known_differences()
    u32 bytes_looked_at() const;
    std::string lacking_form() const; // "66 0F AE /3 memory": the opcode of a form that we lack
    std::string explain() const;      // bytes, both texts, what differs

    // For known_differences(): with every such prefix taken away, do both sides agree (or differ in a known way), and
    // do we make the same of it as with them? A LOCK that was taken away may have made ours undefined.
    bool agrees_without(bool (*prefix)(u8 byte));
    // Other bytes, perhaps in the other mode: what comes of them, good until the next comparison.
    struct Other {
        Verdict verdict;
        const Sides& sides;
    };
    Other compare_other(const u8* bytes, u32 size, CodeMode mode);

  private:
    struct Expected {
        enum class Kind : u8 { Register, Immediate, Memory };
        Kind kind = Kind::Register;
        u8 scale = 0;
        u8 size = 0; // bytes; of memory 0: do not compare
        u16 reg = 0; // registers by Capstone's numbers
        u16 segment = 0;
        u16 base = 0;
        u16 index = 0;
        u32 value = 0;  // immediate or displacement
        u32 mask = ~0u; // bits of an immediate that count
    };

    std::string_view first_difference();
    std::string_view first_different_operand(const Expected* operands, u32 count) const;
    bool append(Operand operand, Expected* operands, u32& count) const;
    static Expected register_operand(u16 reg);
    Expected rm_register(u16 first, u8 size) const;
    static Expected number(u32 value, u32 mask);
    Expected immediate_operand(Operand operand, u8 size, u32 position) const;
    Expected memory_operand(u8 size) const;
    Expected string_operand(u16 segment, u8 pointer, u8 size) const;
    u16 override_segment() const;
    const std::string& mnemonic();

    csh handle_ = 0;
    cs_insn* instruction_ = nullptr;
    std::vector<std::string> mnemonics_; // by form, sizes and prefixes; filled on demand
    Sides sides_;
    u32 known_difference_ = 0;
    std::unique_ptr<CapstoneComparer> inner_[2]; // by mode, for compare_other()
};

// A difference that we stand by: where it may occur, and why we are right.
struct KnownDifference {
    const char* title;
    const char* reason; // and where the manual says so
    bool (*applies)(CapstoneComparer&);
};
const std::vector<KnownDifference>& known_differences();

// Capstone's number of a general register; size in bytes.
u16 general_register(u8 number, u32 size);

} // namespace forkscope::test
