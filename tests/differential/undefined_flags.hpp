// Owns: which flags an instruction leaves undefined, finer than opcodes.def (by shift count), and a tracker of them.
// Callers: the generator (never lets one be read), the comparison (does not compare them).
// Promises: follows SDM 2 instruction by instruction; knows nothing of what any processor really does.
#pragma once

#include "cpu/decode/decoder.hpp"
#include "cpu/state.hpp"

namespace forkscope::test {

// Letters of opcodes.def ("odiszapc") to EFLAGS bits.
u32 flags_of(std::string_view letters);

struct FlagEffect {
    u32 written = 0;   // defined afterwards
    u32 undefined = 0; // anything afterwards
};
// `before`: the registers as the instruction finds them.
FlagEffect flag_effect(const Instruction& in, const CpuState& before);

// Does the manual leave more than flags to the processor here?
bool has_undefined_result(const Instruction& in, const CpuState& before);

class UndefinedFlags {
  public:
    u32 flags() const { return undefined_; }
    bool would_be_read(const Instruction& in) const;
    void note(const Instruction& in, const CpuState& before);
    void clear() { undefined_ = 0; }

  private:
    u32 undefined_ = 0;
};

} // namespace forkscope::test
