// Owns: Interpreter, the reference engine, one instruction at a time, decoded anew from memory.
// Callers: the Cpu; other engines hand it the instructions that they cannot run themselves. Promises: keeps nothing; a
// repeated string that overwrites its own bytes stops behind that iteration.
#pragma once

#include "cpu/engine/code_reader.hpp"
#include "cpu/engine/engine.hpp"

namespace forkscope {

class Interpreter final : public Engine {
  public:
    explicit Interpreter(Context& cpu) : cpu_(cpu) {}

    void run(u64 instruction_limit) override;
    bool code_changed(PhysicalAddress address, u32 size) override;
    void forget() override {}

    // The instruction at EIP alone, with all that run() promises.
    void step(u64 instruction_limit);

  private:
    Context& cpu_;
    DecodedRun code_;
    Block block_; // the instruction, as far as others see it
};

} // namespace forkscope
