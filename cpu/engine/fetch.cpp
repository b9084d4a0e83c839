#include "cpu/engine/fetch.hpp"

namespace forkscope {

Fetched fetch_again(Context& cpu, const Instruction& in) {
    const Progress& p = cpu.progress();
    const u32 linear = cpu.state().segments[kCs].base + p.present_eip(in);
    const auto low = cpu.mmu().fetch(LinearAddress(linear), cpu.privilege());
    if (!low.ok)
        return Fetched::Fault;
    if (p.running != nullptr)
        return low.value == p.running->start + in.offset && p.running->alive ? Fetched::Same : Fetched::Moved;
    const u32 end = linear + in.length - 1;
    if (((end ^ linear) & ~kPageMask) == 0) // device memory
        return low.value == p.fetched[0] ? Fetched::Same : Fetched::Moved;
    const auto high = cpu.mmu().fetch(LinearAddress(end & ~kPageMask), cpu.privilege());
    if (!high.ok)
        return Fetched::Fault;
    return low.value == p.fetched[0] && high.value == p.fetched[1] ? Fetched::Same : Fetched::Moved;
}

Step fetch_iteration(Context& cpu, const Instruction& in) {
    if (!cpu.mmu().fetches_each_instruction())
        return Step::Next;
    switch (fetch_again(cpu, in)) {
    case Fetched::Same:
        return Step::Next;
    case Fetched::Moved:
        return Step::Repeat;
    case Fetched::Fault:
        break;
    }
    return cpu.page_fault();
}

} // namespace forkscope
