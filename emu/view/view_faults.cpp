#include <algorithm>
#include <set>

#include "emu/view/view.hpp"

namespace forkscope {

FaultsView observe_faults(const Observed& from) {
    FaultsView view;
    if (from.tracer == nullptr)
        return view;
    const ForkTracer& tracer = *from.tracer;
    std::set<u64> seen; // a fault may lie in the lists of several forks
    std::vector<const ForkFault*> faults;
    const auto add = [&](const ForkRecord& fork) {
        for (const ForkFault& fault : fork.faults)
            if (seen.insert(fault.record->number).second)
                faults.push_back(&fault);
    };
    for (const ForkRecord& fork : tracer.forks()) {
        add(fork);
        view.trimmed = view.trimmed || fork.trimmed;
    }
    if (tracer.current() != nullptr)
        add(*tracer.current());
    view.count = faults.size();
    std::sort(faults.begin(), faults.end(),
              [](const ForkFault* a, const ForkFault* b) { return a->record->number > b->record->number; });
    faults.resize(std::min(faults.size(), kMostRows));
    for (const ForkFault* fault : faults)
        view.rows.push_back({fault->record, from.symbols.lookup_in(fault->record->program, fault->record->eip)});
    return view;
}

} // namespace forkscope
