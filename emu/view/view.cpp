#include "emu/view/view.hpp"

#include <algorithm>

#include "emu/base/text/words.hpp"

namespace forkscope {

std::string program_name(const ForkTracer* tracer, const Symbolizer& symbols, u32 directory) {
    std::string name = symbols.program_of(directory);
    if (name.empty() && tracer != nullptr && tracer->current() != nullptr)
        name = symbols.program_of(tracer->current()->parent_directory); // a child runs what its parent runs
    return std::string(base_name(name));
}

TlbView observe_tlb(const Observed& from) { return tlb_view(from.machine.mmu()); }

static View observe_all(const Observed& from, Symbolizer& symbols) {
    const Machine& machine = from.machine;
    View view;
    view.instructions = machine.instructions();
    view.cycle = machine.now();
    view.cycles_per_second = std::max<u64>(1, machine.cycles_per_second());
    view.linear_eip = machine.cpu().linear_eip();
    view.space = from.space();
    if (from.tracer != nullptr) {
        view.pid = from.tracer->context().current_pid();
        view.inside_fork = from.tracer->current() != nullptr;
    }
    // Naming a program for the first time takes a look at its bytes in memory.
    if (machine.mmu().control().paging() && machine.registers().cpl == 3 && symbols.program_of(from.space()).empty())
        static_cast<void>(symbols.identify(AddressSpaceReader(machine.mmu().paging()).memory_reader(), from.space(),
                                           view.linear_eip));
#define PANEL(name, model, title, slot) view.name = observe_##name(from);
    FORKSCOPE_OBSERVED_PANELS(PANEL)
#undef PANEL
    return view;
}

View observe(const Machine& machine, const ForkTracer* tracer, Symbolizer& symbols) {
    return observe_all({machine, tracer, symbols}, symbols);
}

View observe(Session& session, const Choices& choices) {
    return observe_all({session.machine(), session.tracer(), session.symbols(), &session.last_events(), &choices},
                       session.symbols());
}

} // namespace forkscope
