// Owns: which handler carries out a form, by operand size and kind. Callers: cpu/engine/code_reader.
// Promises: never null; the undefined opcode has one, too.
#pragma once

#include "cpu/decode/instruction.hpp"

namespace forkscope {

Handler handler_of(const Instruction& instruction);
Handler too_long_handler(); // of an instruction that is longer than 15 bytes

} // namespace forkscope
