#include "emu/view/view.hpp"

#include <algorithm>
#include <set>

namespace forkscope::ui {

static constexpr std::size_t kMostRows = 300; // of a list; the window says how many there are

std::string program_name(const ForkTracer* tracer, const Symbolizer& symbols, u32 directory) {
    std::string name = symbols.program_of(directory);
    if (name.empty() && tracer != nullptr && tracer->current() != nullptr)
        name = symbols.program_of(tracer->current()->parent_directory); // a child runs what its parent runs
    return name.substr(name.find_last_of('/') + 1);
}

static void collect_faults(const ForkTracer& tracer, View& view) {
    std::set<u64> seen; // a fault may lie in the lists of several forks
    std::vector<const ForkFault*> faults;
    const auto add = [&](const ForkRecord& fork) {
        for (const ForkFault& fault : fork.faults)
            if (seen.insert(fault.record->number).second)
                faults.push_back(&fault);
    };
    for (const ForkRecord& fork : tracer.forks())
        add(fork);
    if (tracer.current() != nullptr)
        add(*tracer.current());
    view.fault_count = faults.size();
    std::sort(faults.begin(), faults.end(),
              [](const ForkFault* a, const ForkFault* b) { return a->record->number > b->record->number; });
    faults.resize(std::min(faults.size(), kMostRows));
    for (const ForkFault* fault : faults)
        view.faults.push_back(*fault);
}

static ForkRow fork_row(const ForkRecord& fork, bool in_progress) {
    return {fork.number,
            fork.parent_pid,
            fork.child_pid,
            fork.failed,
            in_progress,
            fork.cow_faults(),
            fork.findings.empty() ? std::string() : fork.findings.front()};
}

static void collect_forks(const ForkTracer& tracer, View& view) {
    const ForkRecord* current = tracer.current();
    const ForkRecord* shown = current;
    if (current != nullptr)
        view.forks.push_back(fork_row(*current, true));
    for (auto fork = tracer.forks().rbegin(); fork != tracer.forks().rend(); ++fork) {
        if (view.forks.size() < kMostRows)
            view.forks.push_back(fork_row(*fork, false));
        if (shown == nullptr || (current == nullptr && fork->number == view.tables.fork))
            shown = &*fork;
    }
    view.fork_count = tracer.forks().size() + (current != nullptr ? 1 : 0);
    if (shown != nullptr)
        view.stops = {shown->number, shown->begin_cycle, shown->left ? shown->left_cycle : view.cycle, shown->left,
                      shown->stops};
}

static std::vector<StackWord> observe_stack(const Machine& machine, const Symbolizer& symbols) {
    constexpr std::size_t kWords = 32;
    const CpuState& registers = machine.registers();
    const SegmentCache& ss = registers.segments[kSs];
    const u32 offset = ss.big ? registers.esp() : registers.esp() & 0xFFFF;
    std::vector<StackWord> words;
    for (u32 address = ss.base + offset; words.size() < kWords; address += 4) {
        std::array<u8, 4> bytes{};
        if (!machine.mmu().peek(LinearAddress(address), bytes))
            break;
        StackWord word;
        word.address = address;
        for (std::size_t i = 0; i < bytes.size(); ++i)
            word.value |= u32{bytes[i]} << (8 * i);
        const Location location = symbols.lookup(machine.mmu().control().space_of(registers.cr3).root, word.value);
        if (location.known() && location.line != 0)
            word.name = location.symbol;
        words.push_back(std::move(word));
    }
    return words;
}

View observe(const Machine& machine, const ForkTracer* tracer, Symbolizer& symbols) {
    View view;
    view.instructions = machine.instructions();
    view.cycle = machine.now();
    view.cycles_per_second = std::max<u64>(1, machine.cycles_per_second());
    view.registers = machine.registers();
    view.linear_eip = machine.cpu().linear_eip();
    view.halted = machine.cpu().halted();
    const PagingControl& control = machine.mmu().control();
    const u32 space = control.space_of(view.registers.cr3).root;
    // Naming a program for the first time takes a look at its bytes in memory.
    if (control.paging() && symbols.layout().is_user(view.linear_eip) && symbols.program_of(space).empty())
        static_cast<void>(
            symbols.identify(AddressSpaceReader(machine.mmu().paging()).memory_reader(), space, view.linear_eip));
    view.tables = observe_tables(machine, tracer, symbols);
    if (tracer != nullptr) {
        view.pid = tracer->context().current_pid();
        view.inside_fork = tracer->current() != nullptr;
        collect_forks(*tracer, view);
        collect_faults(*tracer, view);
    }
    view.stack = observe_stack(machine, symbols);
    view.code = observe_code(machine, symbols);
    view.tlb = tlb_view(machine.mmu());
    return view;
}

} // namespace forkscope::ui
