// Owns: a small assembler for the rows of the opcode table: a form and its operands to bytes.
// Callers: the decoder's round-trip test. Promises: written from the manual's tables (SDM 2A, 2-1 to 2-3) the other way
// round, by meaning: base, index, scale and displacement are given, and every way to encode them is found.
#pragma once

#include <vector>

#include "cpu/decode/instruction.hpp"

namespace forkscope::test {

// A memory operand by its meaning.
struct MemoryOperand {
    u8 base = kNoRegister;
    u8 index = kNoRegister;
    u8 scale = 0;
    u32 displacement = 0;
};

// ModRM, SIB and displacement; the reg field is still zero.
using AddressBytes = std::vector<u8>;

// Every encoding of the operand with the given address size; none if there is no way to say it.
std::vector<AddressBytes> encode_address(const MemoryOperand& operand, u8 address_size);

// Every memory operand that can be said with an address size, with displacements from the corners of their ranges.
std::vector<MemoryOperand> every_memory_operand(u8 address_size);

// What an instruction consists of besides its form.
struct Choice {
    CodeMode mode;
    u8 operand_size = 4;
    u8 address_size = 4;
    u8 reg = 0;                            // ModRM.reg, unless the form fixes it
    u8 rm = 0;                             // register in ModRM.rm, unless the form fixes it
    const MemoryOperand* memory = nullptr; // nullptr: register form
    const AddressBytes* address = nullptr; // its encoding
    u8 segment = kSegmentCount;            // override, or kSegmentCount for none
    bool lock = false;
    u32 immediate = 0x89ABCDEF;
    u16 immediate2 = 0xFEDC;
};

struct Encoded {
    std::vector<u8> bytes;
    Instruction expected;
};

Encoded encode(u16 form, const Choice& choice);

// What the form says about its ModRM byte.
bool has_mod_rm(const Form& form);
bool ignores_mod(const Form& form); // always names registers
bool is_valid_reg(const Form& form, u8 reg);

} // namespace forkscope::test
