// Owns: who is running: process and thread as the guest states them, else the address space; and for whom servers
// work. Callers: fault and fork tracers. Promises: a value; works without any tracepoint.
#pragma once

#include <utility>

#include "emu/base/archive.hpp"
#include "emu/base/shared/shared_map.hpp"
#include "emu/base/trace.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "emu/observe/processes/message_work.hpp"

namespace forkscope {

// Time that one context ran: wall time minus what others took in between.
struct RunTime {
    u64 instructions = 0;
    Cycles cycles = 0;
    CycleCounters by_cause{}; // all zero where nobody keeps the account

    RunTime operator-(const RunTime& earlier) const {
        RunTime rest{instructions - earlier.instructions, cycles - earlier.cycles, by_cause};
        for (std::size_t cause = 0; cause < by_cause.size(); ++cause)
            rest.by_cause[cause] -= earlier.by_cause[cause];
        return rest;
    }
    RunTime& operator+=(const RunTime& more) {
        instructions += more.instructions;
        cycles += more.cycles;
        for (std::size_t cause = 0; cause < by_cause.size(); ++cause)
            by_cause[cause] += more.by_cause[cause];
        return *this;
    }
    void serialize(Archive& ar);
    // What a cause other than Base claims of it.
    Cycles explained() const { return cycles - by_cause[0]; }
};

class ProcessContext {
  public:
    // Identifies the running thread (pid and thread number) or, without tracepoints, the address space.
    using Key = u64;
    static constexpr Key kNobody = ~Key{0};

    // Call for every event before asking about it.
    void on_event(const TraceEvent& event);

    Key current() const { return current_; }
    // Changes whenever somebody else may run, or work for others.
    u64 changes() const { return changes_; }
    // The keys of a process's threads lie from its first key up to the next process's.
    static Key first_key(u32 pid) { return u64{pid} << 32 >> 1; }
    static Key end_key(u32 pid) { return first_key(pid) + (Key{1} << 31); }
    static Key space_key(u32 address_space) { return u64{1} << 63 | address_space; }
    static bool is_of(Key key, u32 pid) { return key >> 31 == pid; }
    // For whom a process works, nearest first; empty where no message says so.
    const std::vector<u32>& clients_of(u32 pid) const { return work_.clients_of(pid); }
    const std::vector<u32>& clients() const { return work_.clients_of(current_pid()); }

    // 0 where the guest does not say.
    u32 pid_of(u32 address_space) const;
    u32 space_of(u32 pid) const; // the one that it was last said to have
    u32 current_pid() const { return stated_ ? pid_ : 0; }
    u32 current_thread() const { return stated_ ? thread_ : 0; }
    void set_pid(u32 address_space, u32 pid);
    void serialize(Archive& ar);
    auto held() const { return std::tie(pids_, spaces_, work_); }

  private:
    void on_tracepoint(const TraceEvent& event);
    void forget_space(u32 address_space);

    bool stated_ = false; // the guest states its context switches
    bool started_ = false;
    u32 pid_ = 0;
    u32 thread_ = 0;
    Key current_ = 0;
    SharedMap<u32, u32> pids_;              // by address space
    SharedSet<std::pair<u32, u32>> spaces_; // pid and space
    MessageWork work_;
    u64 changes_ = 0;
};

} // namespace forkscope
