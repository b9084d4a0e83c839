// Owns: LockStep, one random program on several engines side by side, cut at random cycles and counts; and the device
// in memory space that disturbs them. Callers: tests of the engines. Promises: all that differs at a cut is said, and
// what observers of most programs hear and see between cuts; the reference is the interpreter without a fast table.
#pragma once

#include <memory>
#include <string>

#include "tests/unit/cpu/engines/random_code.hpp"

namespace forkscope::test {

// What a device may do in the middle of an instruction: read the clock, raise INTR, have something due soon. Answers
// with what the clock says.
class TroubleDevice final : public IoHandler {
  public:
    explicit TroubleDevice(Cpu& cpu) : cpu_(cpu) {}
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;

    struct Heard {
        Cycles now;
        u64 instructions;
        u32 address, size, value;
        bool operator==(const Heard&) const = default;
    };
    std::vector<Heard> heard;

  private:
    void disturb(u32 address, u32 size, u32 value);

    Cpu& cpu_;
};

struct Contender {
    const char* name;
    EngineKind engine;
    bool fast_table = true;
    u64 code_bytes = u64{4} << 20; // of the translator
    bool links = true;
    bool forgetful = false; // drops what is derived at random cuts, and is saved and loaded at others
};
// The reference, then every engine; the translator with little memory, without links, forgetful.
std::vector<Contender> every_contender();

class LockStep {
  public:
    LockStep(u64 seed, const std::vector<Contender>& contenders);
    ~LockStep();

    // Empty: equal at all cuts.
    std::string run();
    bool ended() const { return ended_; } // the program came to its end
    u64 entries() const;                  // of translated code, in all machines
    u64 instructions() const;             // of one machine
    u64 events() const;                   // that a listener heard of it

  private:
    struct Machine;
    std::string cut(Cycles cycles, u64 instructions);
    void disturb();
    void change_breakpoints();

    Random random_, breakpoint_random_;
    u64 seed_;
    u32 cuts_ = 0;
    u32 breakpoints_ = 0; // how many are set
    bool ended_ = false;
    std::vector<std::unique_ptr<Machine>> machines_;
};

} // namespace forkscope::test
