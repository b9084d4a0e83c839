// Owns: the Decoder: bytes to Instruction.
// Callers: cpu/engine/code_reader, disassembly checks, the fuzzer. Promises: a pure function of (bytes, CodeMode);
// reads at most 15 bytes; driven by opcodes.def alone.
#pragma once

#include <span>
#include <string>

#include "cpu/decode/instruction.hpp"

namespace forkscope {

enum class DecodeStatus : u8 {
    Ok,
    Undefined, // no such form, or LOCK where it is not allowed: #UD. `length` = bytes looked at, form = 0
    Truncated, // more bytes are needed than were given
    TooLong,   // more than 15 bytes: #GP(0)
};

DecodeStatus decode(std::span<const u8> bytes, CodeMode mode, Instruction& instruction);

// The instruction in Intel syntax as our table spells it ("mov eax, dword ptr [ebx+4]"), for logs and the checks
// against Capstone; `address` is that of the instruction, for relative targets.
std::string to_text(const Instruction& instruction, u32 address);

} // namespace forkscope
