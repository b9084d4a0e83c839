// Owns: the target description that gdb asks for: target.xml with every register, flag and bit field.
// Callers: GdbStub. Promises: of the registers given, in their order; `i8086`, so that both `set architecture i8086`
// and `i386` change what gdb disassembles.
#pragma once

#include <span>
#include <string>

#include "emu/debug/gdb_registers.hpp"

namespace forkscope {

std::string target_description(std::span<const GdbRegister> registers);

} // namespace forkscope
