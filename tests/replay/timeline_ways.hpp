// Owns: the ways to a place of a run, compared: straight, run past and back, back and forward again, on the other
// engine. Callers: the timeline's tests. Promises: what is compared is the saved bytes, observers' included, and the
// events.
#pragma once

#include <vector>

#include "guest_machine.hpp"
#include "tests/eager_translator.hpp"

#include "emu/base/random.hpp"
#include "emu/base/sinks.hpp"
#include "emu/session/session.hpp"

namespace forkscope {

inline constexpr const char* kTimelineWorkload = "run=forkdemo --child 20 --parent 3; ls bin | wc; cowtest";

struct TimelineChoice {
    std::string os;
    CpuModel cpu = CpuModel::P6;
    TlbStudy tlb = TlbStudy::Model;
    CostModelKind clock = CostModelKind::Flat;

    std::string text() const;
};

// Nearly all that a machine tells: not when a store hits decoded code, for what is decoded is no state.
class Events final : public TraceSink {
  public:
    void on_event(const TraceEvent& event) override {
        if (listening && event.kind != TraceKind::CodeInvalidated)
            events.push_back(event);
    }
    bool listening = false;
    std::vector<TraceEvent> events;
};

// A machine with the observers that a session has.
struct Watched {
    explicit Watched(const TimelineChoice& choice, EngineKind engine = EngineKind::Block,
                     const std::string& line = kTimelineWorkload)
        : guest(
              line,
              [&](MachineConfig& config) {
                  config.cpu = choice.cpu;
                  config.tlb = choice.tlb;
                  config.tlb_seed = choice.tlb == TlbStudy::Random ? 7 : 0;
                  config.clock = choice.clock;
                  config.engine = engine;
                  config.translator = test::eager_translator();
              },
              choice.os) {
        Machine& m = *guest.machine;
        symbols.add_kernel(ElfImage::from_bytes("kernel", embedded_kernel(choice.os).value()).value());
        EXPECT_TRUE(symbols.add_programs_of_initrd(embedded_initrd()).ok());
        tracer = std::make_unique<ForkTracer>(m.mmu().memory(), &symbols, tracer_options_for(m));
        m.add_checkpoint_part(tracer->checkpoint_part());
        m.add_checkpoint_part(symbols.checkpoint_part());
        sinks.add(*tracer);
        sinks.add(events);
        m.set_trace_sink(&sinks);
    }
    ~Watched() { guest.machine->set_trace_sink(nullptr); }
    Machine& machine() { return *guest.machine; }

    GuestMachine guest;
    Symbolizer symbols;
    std::unique_ptr<ForkTracer> tracer;
    Events events;
    SinkList sinks;
};

// Each of --cpu, --tlb and --clock, with one system or with each.
std::vector<TimelineChoice> timeline_choices(const std::string& os);
std::vector<TimelineChoice> timeline_choices();

// Two places at random, with keys and serial bytes on the way. Fails the test at the first difference.
void check_ways_to_a_place(const TimelineChoice& choice, Random& random);

} // namespace forkscope
