// The general registers that the table says are read and written, against what Capstone says; its mistakes are named.
#include <capstone/capstone.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <string>

#include "capstone_compare.hpp"
#include "cpu/cost/instruction_use.hpp"
#include "cpu/decode/decoder.hpp"
#include "form_encoder.hpp"

namespace forkscope::test {
namespace {

enum class Mistake : u8 {
    Forgets, // registers that no operand names, or that a target which may stay as it was is read, too
    Adds,
    Both,
};
struct KnownMistake {
    std::string_view mnemonic;
    Mistake mistake;
};
constexpr KnownMistake kMistakes[] = {
    {"aaa", Mistake::Forgets},     {"aad", Mistake::Forgets},     {"aam", Mistake::Forgets},
    {"aas", Mistake::Forgets},     {"daa", Mistake::Forgets},     {"das", Mistake::Forgets},
    {"xlatb", Mistake::Forgets},   {"cmpxchg", Mistake::Forgets}, {"rdpmc", Mistake::Forgets},
    {"enter", Mistake::Forgets},   {"push", Mistake::Forgets}, // of segment registers
    {"pop", Mistake::Forgets},     {"int", Mistake::Forgets},     {"int1", Mistake::Forgets},
    {"int3", Mistake::Forgets},    {"into", Mistake::Forgets},    {"iret", Mistake::Forgets},
    {"lcall", Mistake::Forgets},   {"retf", Mistake::Forgets},    {"sysenter", Mistake::Forgets},
    {"sysexit", Mistake::Forgets}, {"arpl", Mistake::Forgets},    {"bsf", Mistake::Forgets},
    {"bsr", Mistake::Forgets},     {"lar", Mistake::Forgets},     {"lsl", Mistake::Forgets},
    {"cpuid", Mistake::Adds}, // ECX, which later processors ask for
    {"cwd", Mistake::Adds},   // writes EAX
    {"nop", Mistake::Adds},   // hints read their operand
    {"test", Mistake::Adds},  // with an immediate writes EAX
    {"bound", Mistake::Both}, // writes the index, and does not read it
};

struct Registers {
    u32 read = 0, written = 0;
    bool operator==(const Registers&) const = default;
};

bool within(const Registers& a, const Registers& b) { return (a.read & ~b.read) == 0 && (a.written & ~b.written) == 0; }

u32 bit_of(u16 capstone_register) {
    for (u8 number = 0; number < 8; ++number) {
        for (const u32 size : {1u, 2u, 4u}) {
            if (general_register(number, size) == capstone_register)
                return 1u << (size == 1 ? number & 3 : number);
        }
    }
    return 0;
}

Registers ours(const Instruction& in) {
    const InstructionUse use = use_of(in);
    const u32 stack = form_at(in.form).uses_stack() ? u32{kSp} : 0;
    return {use.read | stack, use.written | stack};
}

class Disassembler {
  public:
    Disassembler() {
        EXPECT_EQ(cs_open(CS_ARCH_X86, CS_MODE_32, &handle_), CS_ERR_OK);
        cs_option(handle_, CS_OPT_DETAIL, CS_OPT_ON);
        instruction_ = cs_malloc(handle_);
    }
    ~Disassembler() {
        cs_free(instruction_, 1);
        cs_close(&handle_);
    }
    Disassembler(const Disassembler&) = delete;
    Disassembler& operator=(const Disassembler&) = delete;

    // False: not in Capstone.
    bool registers_of(const std::vector<u8>& bytes, Registers& found) {
        const u8* code = bytes.data();
        std::size_t size = bytes.size();
        u64 address = 0;
        cs_regs read, written;
        u8 reads = 0, writes = 0;
        if (!cs_disasm_iter(handle_, &code, &size, &address, instruction_) ||
            cs_regs_access(handle_, instruction_, read, &reads, written, &writes) != CS_ERR_OK)
            return false;
        for (u8 i = 0; i < reads; ++i)
            found.read |= bit_of(read[i]);
        for (u8 i = 0; i < writes; ++i)
            found.written |= bit_of(written[i]);
        return true;
    }

  private:
    csh handle_ = 0;
    cs_insn* instruction_ = nullptr;
};

// EDX and EDI, or EDX and [EBX + ESI * 2 + 40h].
bool encode_one(u16 form, bool memory, Encoded& encoded, Instruction& in) {
    static const MemoryOperand kOperand{kEbx, kEsi, 1, 0x40};
    static const std::vector<AddressBytes> kAddresses = encode_address(kOperand, 4);
    Choice choice;
    choice.mode = {true};
    choice.reg = is_valid_reg(form_at(form), kEdx) ? u8{kEdx} : u8{0};
    choice.rm = kEdi;
    choice.memory = memory ? &kOperand : nullptr;
    choice.address = &kAddresses[0];
    choice.immediate = 0x11;
    encoded = encode(form, choice);
    return decode(encoded.bytes, {true}, in) == DecodeStatus::Ok && in.form == form && in.has_memory() == memory;
}

bool explains(Mistake mistake, const Registers& mine, const Registers& theirs) {
    return mistake == Mistake::Both || (mistake == Mistake::Forgets ? within(theirs, mine) : within(mine, theirs));
}

TEST(DecoderAgainstCapstone, AgreesOnRegistersReadAndWritten) {
    Disassembler capstone;
    std::set<std::string_view> seen;
    u32 compared = 0;
    for (u16 form = 1; form < form_count(); ++form) {
        const std::string_view name = form_at(form).mnemonic;
        const auto* const known = std::find_if(std::begin(kMistakes), std::end(kMistakes),
                                               [&](const KnownMistake& one) { return one.mnemonic == name; });
        for (const bool memory : {false, true}) {
            Encoded encoded;
            Instruction in;
            Registers theirs;
            if ((form_at(form).attributes & kUndefined) != 0 || !encode_one(form, memory, encoded, in) ||
                !capstone.registers_of(encoded.bytes, theirs))
                continue;
            ++compared;
            const Registers mine = ours(in);
            if (mine == theirs)
                continue;
            seen.insert(name);
            EXPECT_TRUE(known != std::end(kMistakes) && explains(known->mistake, mine, theirs))
                << name << (memory ? ", memory" : "") << std::hex << ": ours " << mine.read << ", " << mine.written
                << ", theirs " << theirs.read << ", " << theirs.written;
        }
    }
    EXPECT_GT(compared, 1000u);
    for (const KnownMistake& one : kMistakes)
        EXPECT_TRUE(seen.contains(one.mnemonic)) << one.mnemonic << " is no mistake of this Capstone";
}

} // namespace
} // namespace forkscope::test
