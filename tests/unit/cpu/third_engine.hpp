// Owns: ThirdEngine, an engine from outside: a few instructions by blocks of its own, then one by the interpreter, in
// turns that a seed decides. Callers: tests that compare engines. Promises: what cpu/engine/README.md asks of an
// engine; so whoever writes another finds here the least that it takes.
#pragma once

#include <algorithm>

#include "cpu/cpu.hpp"
#include "cpu/engine/block_engine.hpp"
#include "emu/base/random.hpp"

namespace forkscope::test {

class ThirdEngine final : public Engine {
  public:
    ThirdEngine(Context& cpu, Interpreter& interpreter, u64 seed)
        : cpu_(cpu), interpreter_(interpreter), blocks_(cpu), random_(seed) {}
    static EngineFactory factory(u64 seed) {
        return [seed](Context& cpu, Interpreter& interpreter) {
            return std::make_unique<ThirdEngine>(cpu, interpreter, seed);
        };
    }

    void run(u64 instruction_limit) override {
        do {
            const u64 soon = cpu_.progress().instructions + 1 + random_.below(12);
            if (random_.below(3) == 0)
                interpreter_.step(instruction_limit);
            else
                blocks_.run(std::min(instruction_limit, soon));
        } while (goes_on(cpu_, instruction_limit));
    }
    bool code_changed(PhysicalAddress address, u32 size) override {
        const bool interpreted = interpreter_.code_changed(address, size);
        return blocks_.code_changed(address, size) || interpreted;
    }
    void forget() override { blocks_.forget(); }

  private:
    Context& cpu_;
    Interpreter& interpreter_;
    BlockEngine blocks_;
    Random random_;
};

} // namespace forkscope::test
