// Owns: RegisterNumber, the registers that somebody outside may write one by one.
// Callers: debuggers name one; the Machine writes it. Promises: the numbers stay as they are, for recordings hold
// them; a value that an instruction could not write there is refused and changes nothing.
#pragma once

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

class Cpu;
class PagingState;

enum class RegisterNumber : u8 {
    Eax = 0, // EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI
    Edi = 7,
    Eip = 8,
    Eflags = 9,
    Cr0 = 16, // CR0 to CR4; there is no CR1
    Cr4 = 20,
    Dr0 = 24, // the addresses of the guest's own breakpoints
    Dr3 = 27,
    Es = 32, // ES, CS, SS, DS, FS, GS
    Gs = 37,
    FloatControl = 40, // then status, tags, code's selector and offset, data's, opcode
    FloatOpcode = 47,
    Mxcsr = 48,
    St0Low = 64, // ST(0)'s significand, its sign and exponent; ST(1)'s; the tags are a register of their own
    St7High = 79,
    Xmm0Low = 80, // XMM0's lower half, its upper one; XMM1's
    Xmm7High = 95,
};

// An Error: no such register, or no such value. RF, VM, VIF and VIP stay as they are. A segment register is loaded as
// MOV loads it: base = selector * 16 in real and virtual-8086 mode, else what the descriptor says, whose accessed bit
// in memory stays as it is. CS keeps the privilege level and EIP.
Result<void> check_register(const Cpu& cpu, const PagingState& paging, RegisterNumber number, u64 value);
bool write_register(Cpu& cpu, const PagingState& paging, RegisterNumber number, u64 value);

} // namespace forkscope
