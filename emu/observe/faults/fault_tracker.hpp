// Owns: the page faults that are open: who stands in them, what is done for them, what closes them.
// Callers: fork tracer. Promises: a value, which points to nothing outside; works from the hardware's events alone;
// what the guest states with TP_FAULT_LEAVE is compared, and a disagreement is a finding of the record.
#pragma once

#include <vector>

#include "emu/base/shared/shared_map.hpp"
#include "emu/base/trace.hpp"
#include "emu/observe/faults/fault_record.hpp"
#include "emu/observe/processes/program_stacks.hpp"
#include "emu/symbols/symbolizer.hpp"

namespace forkscope {

class FaultTracker {
  public:
    // What is looked at, as it stands at the moment of the event.
    struct Scene {
        const ProcessContext& context; // has had the event already
        const AddressSpaceReader& reader;
        Symbolizer* symbols = nullptr; // may be null
        bool stated = true;            // the guest says when its handler is done
        const ProgramStacks& stacks;   // has had the event already
        u32 return_offset = 0;         // of an InterruptReturn: where it goes, in CS
    };

    // The faults that the event closed, in order.
    std::vector<FaultRef> on_event(const TraceEvent& event, const Scene& scene);
    // The running context spent this since the last time; it is part of the faults that it stands in, and of those that
    // it serves. To be said before any event that opens or closes a fault, or after which somebody else runs.
    void add_time(const ProcessContext& context, const RunTime& spent);
    // A message about to be delivered, from somebody who stands in a fault or works for one who does.
    void count_message(const ProcessContext& context, u32 sender);
    // What it stood in does not go on. A space counts where the guest does not say who runs in it.
    void process_ended(u32 pid);
    void space_ended(u32 address_space);

    u64 count() const { return count_; }
    std::size_t open_count() const { return open_.size(); }
    // By number; good until the next event.
    std::vector<const FaultRecord*> all_open() const;
    std::vector<const FaultRecord*> open_in(u32 address_space) const;
    // Whether anybody stands in a fault or another interrupt of this space, where the guest does not say who runs.
    bool waits_in(u32 address_space) const;
    void serialize(Archive& ar);
    auto held() const { return std::tie(stacks_, open_, delivered_); }

  private:
    // What a context has to return to: a fault, or another interrupt.
    struct Frame {
        u32 eip = 0;
        u64 fault = 0; // number of an open one; 0: an interrupt
        bool by_sysenter = false;
        u8 from_cpl = 0;
        void serialize(Archive& ar);
    };
    struct OpenFault {
        FaultRecord record;
        bool compared = false;
        u32 true_copy = 0; // a frame that was seen to hold what the old one held; others may write to either later

        auto held() const { return std::tie(record); }
    };
    using Stack = std::vector<Frame>; // outermost first
    using Stacks = SharedMap<ProcessContext::Key, Stack>;

    void open(const TraceEvent& event, const Scene& scene, std::vector<FaultRef>& closed);
    void on_return(const TraceEvent& event, const Scene& scene, std::vector<FaultRef>& closed);
    void on_work(const TraceEvent& event, const Scene& scene);
    void on_tracepoint(const TraceEvent& event, const Scene& scene, OpenFault& fault);
    void compare_copy(OpenFault& fault, const Scene& scene) const;
    void overtake(const FaultRecord& resolved);
    // The fault that a process stands in; nullptr: none.
    OpenFault* fault_of(u32 pid);
    OpenFault* served_fault(const ProcessContext& context);
    void deliver(u64 number, const TraceEvent& event, const Scene& scene, std::vector<FaultRef>& closed);
    void on_program_work(const TraceEvent& event, const Scene& scene, std::vector<FaultRef>& closed);
    FaultRef close(u64 number, const TraceEvent& event, const Scene& scene, bool retried);
    void classify(OpenFault& fault, const Scene& scene, bool retried) const;
    void compare_with_guest(FaultRecord& fault) const;
    Stack& stack(ProcessContext::Key key);
    void push(Stack& frames, Frame frame);
    void drop(const Stack& frames);
    void drop_all(ProcessContext::Key first, ProcessContext::Key end);
    void check_stacks(Archive& ar);

    u64 count_ = 0;
    Stacks stacks_;
    SharedMap<u64, OpenFault> open_; // by number
    // Faults that the kernel has left to the program's own handler, by who stands in them: they are in no stack.
    SharedMap<ProcessContext::Key, u64> delivered_;
};

} // namespace forkscope
