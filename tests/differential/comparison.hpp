// Owns: the comparison of one program's outcomes, the table of explained differences, and the report of a mismatch.
// Callers: host_cpu_test.cpp. Promises: every difference is either in the table, with its reason, or reported.
#pragma once

#include <string>
#include <vector>

#include "bare_machine.hpp"
#include "undefined_flags.hpp"

namespace forkscope::test {

// The last instruction of a program and the flags that the manual leaves open behind it.
struct Reference {
    Outcome outcome;
    u32 undefined_flags = 0;
    bool reads_undefined = false;  // went by a flag that the manual leaves open
    bool undefined_result = false; // an instruction left more than flags open
    bool beyond_the_table = false; // ended by bytes that mean something only to later processors
    bool endless = false;          // did not end within reason, and has no outcome
    u16 refused_opcode = 0;        // ended by LOCK before this: 0Fxx
    u8 refused_reg = 0;
    u32 instructions = 0;
    Instruction last;       // executed, or faulting
    u16 last_completed = 0; // its form; 0 = none

    bool is_comparable() const { return !reads_undefined && !beyond_the_table && !endless; }
};

CodeMode mode_of(const TestCase& test);

// Runs the program an instruction at a time. `executed` (may be null) counts completed instructions by form.
Reference run_reference(BareMachine& machine, const TestCase& test, std::vector<u64>* executed = nullptr);

// Empty if equal but for `undefined_flags`.
std::string difference(const Outcome& theirs, const Outcome& ours, u32 undefined_flags);

// A difference between this project and a processor that is neither's fault.
struct ExplainedDifference {
    const char* name;
    const char* reason; // with the manual's section
    bool (*applies)(const Reference& ours, const Outcome& theirs);
};
const std::vector<ExplainedDifference>& explained_differences();

std::string flag_names(u32 flags);
std::string disassembly(const TestCase& test);
std::string registers_text(const Registers& registers);
std::string outcome_text(const Outcome& outcome);

} // namespace forkscope::test
