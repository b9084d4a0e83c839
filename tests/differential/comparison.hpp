// Owns: the comparison of one program's outcomes, the table of explained differences, and the report of a mismatch.
// Callers: host_cpu_test.cpp. Promises: every difference is either in the table, with its reason, or reported.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bare_machine.hpp"
#include "undefined_flags.hpp"
#include "undefined_forms.hpp"

namespace forkscope::test {

// The last instruction of a program and the flags that the manual leaves open behind it.
struct Reference {
    Outcome outcome;
    u32 undefined_flags = 0;
    bool reads_undefined = false;  // went by a flag that the manual leaves open
    bool undefined_result = false; // an instruction left more than flags open
    bool not_for_hosts = false;    // came to what may mean something else to the host, or calls its kernel
    bool endless = false;          // did not end within reason, and has no outcome
    u16 refused_opcode = 0;        // ended by LOCK before this: 0Fxx
    u8 refused_reg = 0;
    u32 instructions = 0;
    Instruction last;       // executed, or faulting; form 0: no instruction of the program
    u16 last_completed = 0; // its form; 0 = none

    bool is_comparable() const { return !reads_undefined && !not_for_hosts && !endless; }
};

// An instruction that a program came by; the last one need not have been completed.
struct Executed {
    u32 at; // offset in the test's code
    u32 eip;
    CodeMode mode;
    Instruction in; // form 0: no instruction
};

// Runs the program an instruction at a time. `path` may be null.
Reference run_reference(BareMachine& machine, const TestCase& test, std::vector<Executed>* path = nullptr);

// Empty if equal but for `undefined_flags`.
std::string difference(const Outcome& theirs, const Outcome& ours, u32 undefined_flags);

// A difference between this project and a processor that is neither's fault.
struct ExplainedDifference {
    const char* name;
    const char* reason; // with the manual's section
    bool (*applies)(const Reference& ours, const Outcome& theirs);
};
std::span<const ExplainedDifference> explained_differences(); // explained_differences.cpp
inline constexpr const char* kEitherOperandFirst = "two memory operands that both fault";

std::string flag_names(u32 flags);
std::string disassembly(const TestCase& test, const std::vector<Executed>& path);
std::string registers_text(const Registers& registers);
std::string outcome_text(const Outcome& outcome);

} // namespace forkscope::test
