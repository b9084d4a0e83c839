// Owns: which forms no microbenchmark can run, and why. Callers: the clock tests, and the page docs/clocks.md, which
// counts the others. Promises: every form that is not named here is run by test_cost, register and memory form.
#pragma once

#include <string_view>

#include "cpu/decode/instruction.hpp"
#include "cpu/models/model.hpp"

namespace forkscope::test {

enum class NotRun : u8 {
    No,
    Faults, // raises #UD by design: what it costs is delivery
};

inline NotRun not_run(const Form& form, CpuModel model) {
    const bool undefined = (form.attributes & kUndefined) != 0;
    const bool test_register = form.map == 2 && (form.opcode == 0x24 || form.opcode == 0x26);
    return undefined || (test_register && model_of(model).test_registers == 0) ? NotRun::Faults : NotRun::No;
}

// #UD, or #GP, in real mode.
inline bool needs_protected_mode(const Form& form) {
    return (form.map == 2 && form.opcode == 0 && form.group >= 0) || // SLDT … VERW
           (form.map == 2 && (form.opcode == 2 || form.opcode == 3 || form.opcode == 0x34 || form.opcode == 0x35)) ||
           form.mnemonic == "arpl";
}

// Its cost in protected mode is not the row's but that of a path (paths.def); the tests of the paths have it.
inline bool has_path_in_protected_mode(const Form& form) {
    const bool segment = form.operands[0] == Operand::Sw || // MOV, POP
                         (form.mnemonic == "pop" && form.operands[0] >= Operand::Es && form.operands[0] <= Operand::Gs);
    const bool far_pointer = form.operands[1] == Operand::Mp;
    const std::string_view name = form.mnemonic;
    return segment || far_pointer || form.port != Port::None || name.substr(0, 3) == "int" || name == "iret" ||
           name == "lcall" || name == "ljmp" || name == "retf" || name == "pushf" || name == "popf";
}

} // namespace forkscope::test
