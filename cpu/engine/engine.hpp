// Owns: Engine, the door to what runs the guest's code, and the names of those that lie in cpu.
// Callers: the Cpu runs one at a time; engine/README.md says how a further one plugs in. Promises: every engine retires
// the same instructions at the same cycles with the same state and events; what it keeps is derived and may be dropped.
#pragma once

#include <vector>

#include "cpu/execute/context.hpp"

namespace forkscope {

enum class EngineKind : u8 {
    Interpreter, // the reference: decodes each instruction anew, and keeps nothing
    Block,       // keeps decoded runs
    Translator,  // runs those that run often as host code, by a factory from outside
    Automatic,   // the translator where there is one, else the block engine
};

// What an engine has made of a block of the guest's code, for whoever looks at it.
struct HostCode {
    struct Part { // from `at` on, up to the next part: what was made of the instruction at `guest`
        u32 guest = 0;
        u32 at = 0;
    };
    u32 eip = 0;             // of the block; what lies before the first part is the way in
    u64 address = 0;         // where the host runs it
    std::vector<u8> bytes;   // as they are now, links followed
    std::vector<Part> parts; // in order; not every instruction has one
    u32 aside = 0;           // from this byte on: what is seldom gone to, slow ways and exits
};

class Engine {
  public:
    virtual ~Engine() = default;

    // Runs code from the present EIP until attention is wanted, the deadline is reached or `instruction_limit`
    // instructions have retired since power-on. None of that is so yet when it is called: at least one instruction
    // runs, or a fault is delivered in its place. A block is entered only if all of it fits before both limits.
    virtual void run(u64 instruction_limit) = 0;
    // Bytes that code was decoded from have changed: what was made of them is never entered again, and left behind the
    // present instruction if it is running (Progress::leave). Does the frame still hold code that is kept?
    virtual bool code_changed(PhysicalAddress address, u32 size) = 0;
    // Drops everything derived, between two instructions.
    virtual void forget() = 0;
    // Of each block that has an instruction at this linear address; none where the engine makes no host code.
    virtual std::vector<HostCode> host_code(u32) { return {}; }
};

// Has the run loop to be asked before the next instruction?
inline bool run_loop_wanted(const Context& cpu) {
    const Attention& attention = cpu.attention();
    if (!attention.wanted()) [[likely]]
        return false;
    return attention.wanted_beside_breakpoints() || cpu.breakpoints().any_within(cpu.state().linear_eip(), 1);
}

// Whether an engine may go on to the next block.
inline bool goes_on(const Context& cpu, u64 instruction_limit) {
    const Progress& p = cpu.progress();
    return !run_loop_wanted(cpu) && p.cycle < p.deadline && p.instructions < instruction_limit;
}

} // namespace forkscope
