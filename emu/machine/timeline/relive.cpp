#include <algorithm>

#include "emu/machine/timeline/timeline.hpp"

namespace forkscope {

Result<void> Timeline::relive(const std::function<bool()>& goes_on) {
    const Position target = position();
    shelf_ = nullptr;
    auto& all = here().checkpoints;
    const std::shared_ptr<const Checkpoint> first = all.begin()->second;
    all.erase(std::next(all.begin()), all.end()); // observers knew no more there
    return_to(first);
    const Seeking seeking(*this);
    while (position() < target && goes_on()) {
        const Position before = position();
        const u64 next = last_checkpoint().at.instructions + spacing_;
        RunLimit limit = toward(target);
        limit.instructions = std::min(limit.instructions, next);
        const StopReason reason = pass_ ? pass_(limit) : machine_.run(limit);
        note_end();
        if (position() == before && reason.kind == StopKind::Limit)
            return strayed(target);
        if (machine_.instructions() < next)
            continue;
        lay();
        thin();
        keep_below_limit();
    }
    machine_.pass_breakpoint();
    return {};
}

} // namespace forkscope
