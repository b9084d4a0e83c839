// Owns: the guest's processes and threads as a debugger lists them, and what is known of those that do not run.
// Callers: the session's events feed it, GdbStub asks. Promises: listens only; a guest that states no processes has a
// thread for each address space; registers of a thread that does not run are those at which it gave up the processor,
// or none; memory is bounded.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "emu/base/checkpoint_part.hpp"
#include "emu/base/trace.hpp"
#include "emu/machine/machine.hpp"

namespace forkscope {

struct GuestThread {
    u32 id = 0;     // what the debugger calls it: the pid, and the process's further threads beside it
    u32 pid = 0;    // 0: the kernel, or nobody has said
    u32 number = 0; // the guest's own number; 0: not known, it has not run yet
    u32 root = 0;   // of its address space; 0: not known
    // EAX to EDI, EIP (linear), EFLAGS and the six selectors when it last gave up the processor.
    bool kept = false;
    std::array<u32, 16> registers{};

    void serialize(Archive& ar);
};

class GuestThreads : public TraceSink {
  public:
    static constexpr u32 kKernel = 0xFFFF; // pid 0's first thread: a debugger's 0 means "any"
    static constexpr std::size_t kMost = 1024;

    explicit GuestThreads(const Machine& machine) : machine_(machine) {}

    TraceKinds kinds() const override;
    void on_event(const TraceEvent& event) override;

    // Never empty: the one that runs is always there.
    std::vector<GuestThread> all() const;
    GuestThread current() const;
    std::optional<GuestThread> find(u32 id) const;
    // The guest states its processes; else each thread is an address space.
    bool stated() const { return state_.stated; }

    struct State {
        bool stated = false;
        u32 current = kKernel;
        u32 last_space = 0;                 // so many have been seen
        std::map<u32, GuestThread> threads; // by id
        void serialize(Archive& ar);
        auto held() const { return std::tie(threads); }
    };
    State state() const { return state_; }
    void restore(const State* state) { state_ = state != nullptr ? *state : State(); }
    CheckpointPart checkpoint_part() { return forkscope::checkpoint_part("threads", 1, *this); }

  private:
    void on_tracepoint(const TraceEvent& event);
    void on_switch(const TraceEvent& event);
    void on_space(u32 root);
    void keep_registers(u32 id, u32 linear_eip);
    GuestThread& add(u32 id, u32 pid);
    u32 id_of(u32 pid, u32 number);

    const Machine& machine_;
    State state_;
};

} // namespace forkscope
