#include <algorithm>
#include <cstring>
#include <initializer_list>

#include "capstone_compare.hpp"

namespace forkscope::test {

namespace {

bool is_repeat(u8 byte) { return byte == 0xF2 || byte == 0xF3; }
bool is_lock(u8 byte) { return byte == 0xF0; }

const Form& form_of(const Sides& sides) { return form_at(sides.ours.form); }

bool repeat_prefix_means_nothing(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return (form_of(sides).attributes & kString) == 0 && comparer.agrees_without(is_repeat);
}

bool prefix_of_string_is_forgotten(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return (form_of(sides).attributes & kString) != 0 && (sides.has_prefix(0x66) || sides.opcode == 0xA5) &&
           comparer.agrees_without(is_repeat);
}

bool is_named(const cs_insn* theirs, std::initializer_list<std::string_view> names) {
    return theirs != nullptr && std::find(names.begin(), names.end(), theirs->mnemonic) != names.end();
}

bool name_of_extension(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return sides.difference == "mnemonic" && ((sides.opcode == 0x98 && is_named(sides.theirs, {"cbw", "cwde"})) ||
                                              (sides.opcode == 0x99 && is_named(sides.theirs, {"cwd", "cdq"})));
}

bool lock_is_not_allowed(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return sides.status == DecodeStatus::Undefined && comparer.agrees_without(is_lock);
}

bool segment_cs_is_not_loaded(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return sides.status == DecodeStatus::Undefined && sides.opcode == 0x8E && sides.mod_rm_reg() == kCs;
}

bool control_register_does_not_exist(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    const u8 reg = sides.mod_rm_reg();
    return sides.status == DecodeStatus::Undefined && (sides.opcode == 0x120 || sides.opcode == 0x122) &&
           (reg == 1 || reg >= 5);
}

bool vector_prefix_of_later_processors(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    if (sides.status != DecodeStatus::Undefined)
        return false;
    if (sides.opcode == 0x8F)
        return sides.mod_rm_reg() != 0;
    return (sides.opcode == 0x62 || sides.opcode == 0xC4 || sides.opcode == 0xC5) && sides.mod_rm() >= 0xC0;
}

bool size_of_far_pointer(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    const Form& form = form_of(sides);
    return sides.difference == "memory size" && (form.operands[0] == Operand::Mp || form.operands[1] == Operand::Mp);
}

bool size_of_status_word(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return sides.difference == "memory size" && sides.opcode == 0xDD && sides.mod_rm_reg() == 7;
}

bool size_of_selector(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return sides.difference == "memory size" && sides.opcode == 0x103;
}

// The right register, but by the name of its other width.
bool register_differs_in_width(const Sides& sides, u32 operand, u8 number) {
    const auto theirs = sides.theirs->detail->x86.operands[operand].reg;
    return sides.difference == "register" &&
           (theirs == general_register(number, 2) || theirs == general_register(number, 4));
}

bool width_of_selector_register(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return (sides.opcode == 0x8E || sides.opcode == 0x102 || sides.opcode == 0x103) &&
           register_differs_in_width(sides, 1, sides.ours.rm);
}

bool width_of_bswap(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return sides.opcode >= 0x1C8 && sides.opcode <= 0x1CF && sides.ours.operand_size == 2 &&
           register_differs_in_width(sides, 0, sides.ours.reg);
}

// Ours and theirs lead to the same place, as far as `mask` reaches.
bool same_target(const Sides& sides, u32 mask) {
    const u32 theirs = static_cast<u32>(sides.theirs->detail->x86.operands[0].imm);
    const u32 ours = static_cast<u32>(sides.theirs->address) + sides.ours.length + sides.ours.displacement;
    return ((theirs ^ ours) & mask) == 0;
}

bool width_of_jump_target(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    const Operand operand = form_of(sides).operands[0];
    return sides.difference == "immediate" && (operand == Operand::Jz || operand == Operand::Jb) &&
           sides.ours.operand_size == 4 && (sides.ours.address_size == 2 || !sides.mode.default_32) &&
           same_target(sides, 0xFFFF);
}

bool count_register_of_jcxz(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return sides.difference == "mnemonic" && sides.opcode == 0xE3 && sides.has_prefix(0x67) && sides.prefixes > 1 &&
           is_named(sides.theirs, {"jcxz", "jecxz", "bnd jcxz", "bnd jecxz"}) && same_target(sides, 0xFFFF);
}

bool hint_space(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    const bool is_hint = (sides.opcode >= 0x118 && sides.opcode <= 0x11F) || sides.opcode == 0x10D;
    return is_hint && sides.status == DecodeStatus::Ok &&
           (sides.theirs == nullptr || sides.theirs->size == sides.ours.length);
}

bool undefined_by_name(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return (sides.opcode == 0x1B9 || sides.opcode == 0x1FF) && sides.status == DecodeStatus::Ok;
}

bool test_registers(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return (sides.opcode == 0x124 || sides.opcode == 0x126) && sides.status == DecodeStatus::Ok;
}

bool operands_of_undocumented_stores(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return sides.difference == "operand count" && sides.mod_rm() >= 0xC0 &&
           ((sides.opcode == 0xD9 && sides.mod_rm_reg() == 3) ||
            (sides.opcode == 0xDF && (sides.mod_rm_reg() == 2 || sides.mod_rm_reg() == 3)));
}

bool is_mandatory(u8 byte) { return byte == 0x66 || is_repeat(byte); }

// Appends the mandatory prefix with number `prefix`, if it is one.
void put_mandatory(std::vector<u8>& bytes, u32 prefix) {
    constexpr u8 kPrefixes[] = {0, 0x66, 0xF3, 0xF2};
    if (prefix != 0)
        bytes.push_back(kPrefixes[prefix]);
}

std::vector<u8> without_mandatory(const Sides& sides) {
    std::vector<u8> bytes;
    for (u32 i = 0; i < sides.size && i < 15; ++i) {
        if (i >= sides.prefixes || !is_mandatory(sides.bytes[i]))
            bytes.push_back(sides.bytes[i]);
    }
    return bytes;
}

// The bytes of the memory operand, as both sides see them in IMUL (0F AF), which knows no mandatory prefix. 0: they do
// not agree, or it is not what we made of it.
u32 address_bytes(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    std::vector<u8> bytes = without_mandatory(sides);
    const u32 prefixes = static_cast<u32>(bytes.size()) + sides.prefixes - (sides.size < 15 ? sides.size : 15);
    bytes[prefixes + 1] = 0xAF;
    bytes.resize(15);
    const auto [verdict, other] = comparer.compare_other(bytes.data(), 15, sides.mode);
    const Instruction& a = sides.ours;
    const Instruction& b = other.ours;
    if (verdict != Verdict::Same || a.base != b.base || a.index != b.index || a.scale != b.scale ||
        a.displacement != b.displacement || a.segment != b.segment || a.address_size != b.address_size)
        return 0;
    return b.length - prefixes - 2;
}

// The same opcode in 32-bit code with its mandatory prefix alone and the simplest memory operand; then the memory
// operand for itself.
bool prefixes_work_alone(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    const u32 prefix = sides.mandatory_prefix();
    if (!sides.has_mandatory_prefixes() || (prefix == 0 && !sides.has_prefix(0x67)))
        return false;
    const u8* opcode = sides.bytes + sides.prefixes;
    const bool memory = sides.mod_rm() < 0xC0;
    std::vector<u8> simple;
    put_mandatory(simple, prefix);
    simple.insert(simple.end(), {0x0F, opcode[1], static_cast<u8>(memory ? (sides.mod_rm() & 0x38) | 1 : opcode[2])});
    const size_t before_immediate = simple.size();
    simple.push_back(static_cast<u8>(sides.status == DecodeStatus::Ok ? sides.ours.immediate : 0));
    simple.resize(15);
    const bool alone = sides.mode.default_32 && sides.prefixes == before_immediate - 3;
    if (alone)
        return false; // nothing simpler to compare with
    const u32 address = sides.status == DecodeStatus::Ok && memory ? address_bytes(comparer) : 1;
    const auto [verdict, other] = comparer.compare_other(simple.data(), 15, CodeMode{true});
    if (sides.status != DecodeStatus::Ok)
        return other.status == sides.status;
    return (verdict == Verdict::Same || verdict == Verdict::KnownDifference) && address != 0 &&
           other.ours.form == sides.ours.form && other.ours.reg == sides.ours.reg &&
           other.ours.immediate == sides.ours.immediate && (memory || other.ours.rm == sides.ours.rm) &&
           sides.ours.length == sides.prefixes + 2 + address + other.ours.length - before_immediate;
}

bool reserved_prefix_is_forgotten(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    if (sides.status != DecodeStatus::Undefined || sides.mandatory_prefix() == 0 || !sides.has_mandatory_prefixes())
        return false;
    const u32 theirs = sides.theirs->size;
    std::vector<u8> bytes = without_mandatory(sides);
    const u32 dropped = (sides.size < 15 ? sides.size : 15) - static_cast<u32>(bytes.size());
    bytes.resize(15);
    const auto [verdict, other] = comparer.compare_other(bytes.data(), 15, sides.mode);
    return verdict != Verdict::Different && other.status == DecodeStatus::Ok && other.theirs != nullptr &&
           std::strcmp(sides.theirs->mnemonic, other.theirs->mnemonic) == 0 && theirs <= other.ours.length + dropped;
}

bool size_of_low_half(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return sides.difference == "memory size" && sides.opcode >= 0x160 && sides.opcode <= 0x162;
}

bool size_of_compared_scalar(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return sides.difference == "memory size" && sides.opcode == 0x12F;
}

bool rm_of_fences(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return sides.difference == "only we decode" && sides.opcode == 0x1AE && sides.mod_rm() >= 0xE8 &&
           (sides.mod_rm() & 7) != 0;
}

bool base_ten_is_not_written(CapstoneComparer& comparer) {
    const Sides& sides = comparer.sides();
    return sides.difference == "operand count" && (sides.opcode == 0xD4 || sides.opcode == 0xD5) &&
           sides.ours.immediate == 10 && sides.theirs->detail->x86.op_count == 0;
}

// "SDM" is Intel's Software Developer's Manual; the letter is the volume.
const KnownDifference kDifferences[] = {
    {"F2 or F3 before an instruction that does not repeat",
     "SDM 2A 2.1.1: they have a meaning only for string instructions (and as part of SSE opcodes). PAUSE, BND, "
     "XACQUIRE, XRELEASE, TZCNT and LZCNT are later than our processors, which execute them as NOP, JMP, the plain "
     "form, BSF and BSR. Capstone also takes them for mandatory prefixes and then forgets 66 or LOCK.",
     repeat_prefix_means_nothing},
    {"66 and F2 or F3 before a string instruction, F2 before MOVSD",
     "SDM 2A 2.1: prefixes of different groups do not influence each other, and F2 repeats MOVS as F3 does on all "
     "processors; Capstone forgets the one or the other.",
     prefix_of_string_is_forgotten},
    {"CBW, CWDE, CWD, CDQ in 16-bit code or with prefixes",
     "SDM 2A, CBW: operand size alone chooses; Capstone then writes the name of the other size.", name_of_extension},
    {"LOCK where it is not allowed",
     "SDM 2A, LOCK: #UD unless the instruction is one of those listed and its destination is memory.",
     lock_is_not_allowed},
    {"MOV CS", "SDM 2B, MOV: the instruction cannot load CS; attempting to is #UD.", segment_cs_is_not_loaded},
    {"MOV from and to CR1, CR5, CR6, CR7", "SDM 2B, MOV control registers: #UD if CR1, CR5, CR6 or CR7 is accessed.",
     control_register_does_not_exist},
    {"VEX, EVEX and XOP",
     "SDM 2A, BOUND, LDS, POP: on our processors BOUND, LES and LDS with a register, and 8F /1 to /7, are #UD.",
     vector_prefix_of_later_processors},
    {"size of a far pointer in memory",
     "SDM 2A, CALL, JMP, LDS: m16:16 has 4 bytes and m16:32 has 6; Capstone gives that of its neighbour.",
     size_of_far_pointer},
    {"FNSTSW to memory", "SDM 2A, FSTSW: the operand is m2byte; Capstone says 4 bytes.", size_of_status_word},
    {"LSL from memory", "SDM 2A, LSL: r32, r32/m16: a selector in memory has 2 bytes.", size_of_selector},
    {"MOV Sreg, LAR and LSL from a register",
     "SDM 2A and 2B: only the low 16 bits are used, so our table names the 16-bit register.",
     width_of_selector_register},
    {"BSWAP with operand size 16",
     "SDM 2A, BSWAP: undefined with a 16-bit register; our table knows the 32-bit form alone.", width_of_bswap},
    {"relative jump with operand size 32 in 16-bit code or with address size 16",
     "SDM 2A, Jcc and JMP: operand size decides whether EIP is cut to 16 bits; Capstone goes by address size or "
     "mode.",
     width_of_jump_target},
    {"JCXZ with 67 and another prefix",
     "SDM 2A, Jcc: address size alone chooses between CX and ECX; Capstone forgets 67.", count_register_of_jcxz},
    {"0F 0D, 0F 18 to 0F 1F",
     "SDM 2B, NOP and PREFETCHh, and opcode map A-3: hints, all of them NOP r/m on a P6 (reserved ones too); "
     "Capstone knows only some, and as other instructions.",
     hint_space},
    {"UD0 and UD1", "SDM 2B, UD: both have a ModRM byte; Capstone calls UD1 ud2b, and takes it for bare in some forms.",
     undefined_by_name},
    {"MOV from and to test registers",
     "i486 Programmer's Reference Manual, MOV: 0F 24 and 0F 26; no test registers since the Pentium, nor in Capstone.",
     test_registers},
    {"D9 /3, DF /2 and DF /3 with a register",
     "In no manual (opcode maps A-8 and A-20 leave them empty): stores of ST(0) to ST(i). Capstone writes both "
     "operands in its text and lists none.",
     operands_of_undocumented_stores},
    {"AAM and AAD with base ten", "SDM 2A, AAM: the assembler's short form; the byte 0A is there all the same.",
     base_ten_is_not_written},
};

const KnownDifference kSimdDifferences[] = {
    {"66, F2 or F3 before an MMX or SSE opcode that they are no part of",
     "SDM 2A 2.1.1 and 3.1.1.1 (NP): reserved; we raise #UD, as all processors do that do not give them a meaning. "
     "Capstone forgets the prefix.",
     reserved_prefix_is_forgotten},
    {"mandatory prefixes in 16-bit code, or together with other prefixes",
     "SDM 2A 2.1.2: F2, F3, else 66 is part of the opcode, in every mode and whatever other prefixes there are; "
     "Capstone then forgets it. We compare the opcode and the memory operand apart.",
     prefixes_work_alone},
    {"PUNPCKLBW, PUNPCKLWD, PUNPCKLDQ with an MM register and memory",
     "SDM 2B, PUNPCKL: the operand is m32; Capstone says 8 bytes.", size_of_low_half},
    {"COMISS and COMISD with memory", "SDM 2A, COMISS: the operand is m32, or m64; Capstone says 16 bytes.",
     size_of_compared_scalar},
    {"LFENCE, MFENCE, SFENCE with another r/m than 0", "SDM 2A and 2B, LFENCE: the processor ignores the r/m field.",
     rm_of_fences},
};

} // namespace

const std::vector<KnownDifference>& known_differences() {
    static const std::vector<KnownDifference> all = [] {
        std::vector<KnownDifference> list(std::begin(kDifferences), std::end(kDifferences));
        list.insert(list.end(), std::begin(kSimdDifferences), std::end(kSimdDifferences));
        return list;
    }();
    return all;
}

} // namespace forkscope::test
