// Owns: TraceQuery, a condition asked of recorded events instead of a machine.
// Callers: `forkscope trace query`, tests. Promises: the language and its rules are those of StopConditions; what
// events alone cannot decide is refused by name; takes any events, one at a time, and keeps those of one instruction.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "emu/files/chunk_file.hpp"
#include "emu/session/conditions/evaluation/evaluator.hpp"
#include "emu/session/conditions/evaluation/occurrences.hpp"

namespace forkscope {

// For who writes a trace: what the control registers are where it begins.
void set_trace_registers(FileHeader& header, u32 cr0, u32 cr3, u32 cr4);

class TraceQuery {
  public:
    // Is given each event that the condition was met by.
    using Print = std::function<void(const TraceEvent&)>;

    // `header` is the trace's. Error: no condition, or one that needs a machine; the part is marked.
    static Result<TraceQuery> create(std::string_view text, const Symbolizer& symbols, const FileHeader& header);

    void on_event(const TraceEvent& event, const Print& print);
    // Behind the last event.
    void finish(const Print& print);
    u64 times_met() const { return times_met_; }
    // What whoever asked should know of the events that were there; empty: nothing.
    std::string note() const;

  private:
    // The control registers, as far as the events have told them.
    struct Registers {
        PagingControl control;
        bool cr0_known = false, cr3_known = false, cr4_known = false;
    };
    class Values;

    TraceQuery(Condition condition, const FileHeader& header);
    void begin();
    void learn_before(const TraceEvent& event);
    void follow(const TraceEvent& event);
    void ask(const Print& print);

    Condition condition_;
    std::vector<NodeMemory> memory_;
    Registers registers_;
    Told told_;
    bool held_ = false;
    u64 times_met_ = 0;
    // Since the boundary before.
    u64 instructions_ = 0;
    bool delivered_ = false;
    bool due_ = false;
    std::vector<TraceEvent> concerned_;
};

} // namespace forkscope
