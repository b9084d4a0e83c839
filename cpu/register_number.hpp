// Owns: RegisterNumber, the registers that somebody outside may write one by one.
// Callers: debuggers name one; the Machine writes it. Promises: the numbers stay as they are, for recordings hold
// them; a value that an instruction could not write there is refused and changes nothing.
#pragma once

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
};

// False: no such register, or no such value. RF, VM, VIF and VIP stay as they are.
bool write_register(Cpu& cpu, const PagingState& paging, RegisterNumber number, u32 value);

} // namespace forkscope
