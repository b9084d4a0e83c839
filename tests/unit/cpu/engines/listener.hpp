// Owns: Listener, an observer of one machine in LockStep: the events it hears, each with the registers, flags and EIP
// that it sees at that moment; at some of them it asks for a stop. Callers: lock_step. Promises: two that stand beside
// machines in the same states, and want the same kinds, hear and do the same.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "cpu/cpu.hpp"

namespace forkscope::test {

class Listener final : public TraceSink {
  public:
    struct Wishes {
        TraceKinds kinds = 0;
        TraceKinds looks_at = 0; // at registers and flags
    };
    Listener(Cpu& cpu, const Wishes& wishes) : cpu_(cpu), wishes_(wishes) {
        if (wishes.kinds != 0)
            cpu.tracer().set_sink(this);
    }
    ~Listener() override { cpu_.tracer().set_sink(nullptr); }
    // What the listeners of a program want: nothing, all, or some; with a look at the registers or without, as
    // translated code asks the page tables itself only where nobody looks.
    static Wishes wishes_of(u64 seed);

    TraceKinds kinds() const override { return wishes_.kinds; }
    TraceKinds looks_at() const override { return wishes_.looks_at; }
    void on_event(const TraceEvent& event) override;
    void forget() { heard_.clear(); }
    // A stop that was asked for, and that a run has not ended by, is no part of what is saved: it is asked for again.
    void run_ended(CpuStop stop) { asked_ = asked_ && stop != CpuStop::Requested; }
    void loaded() {
        if (asked_)
            cpu_.request_stop();
    }

    // Empty: both have heard and seen the same.
    static std::string difference(const Listener& own, const Listener& reference);
    u64 count() const { return count_; } // of events, ever

  private:
    struct Heard {
        TraceEvent event;
        std::array<u64, 8> registers{};
        u32 flags = 0;
        bool operator==(const Heard& other) const;
        std::string text() const;
    };

    Cpu& cpu_;
    Wishes wishes_;
    std::vector<Heard> heard_;
    u64 count_ = 0;
    bool asked_ = false;
};

} // namespace forkscope::test
