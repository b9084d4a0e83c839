// Owns: which general registers an instruction reads and writes, and the parts that it is made of, for the cost
// model. Callers: cost_model.cpp, form_facts_test. Promises: a pure function of the decoded instruction and its row; a
// register counts whole, whatever part of it is used.
#pragma once

#include "cpu/decode/instruction.hpp"

namespace forkscope {

struct InstructionUse {
    u16 read = 0;              // by bit: 1 << kEax …; registers that address memory included
    u16 written = 0;           // but not what the stack engine does to ESP
    u16 address = 0;           // base and index, and the implied ones of string instructions
    bool stack = false;        // reads and moves ESP implicitly: PUSH, POP, CALL, RET…
    bool immediate = false;    // immediate data, or a branch's distance
    bool displacement = false; // of the memory operand
    u8 components = 0;         // the manual's m for a jump to here (386 PRM, 17.2.2.3)
};
InstructionUse use_of(const Instruction& in);

} // namespace forkscope
