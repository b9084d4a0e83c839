#include "emu/machine/watchpoints.hpp"

#include <algorithm>

#include "emu/base/assert.hpp"

namespace forkscope {

OwnedWatchpoints::OwnedWatchpoints(Mmu& mmu) : mmu_(mmu) {}

OwnedWatchpoints::~OwnedWatchpoints() {
    all_.clear();
    changed();
}

OwnedWatchpoints::Owner OwnedWatchpoints::new_owner(Listener listener) {
    const u32 number = static_cast<u32>(listeners_.size()) + 1;
    listeners_.emplace(number, std::move(listener));
    return Owner{number};
}

u32 OwnedWatchpoints::add(Owner owner, const WatchedBytes& bytes) {
    EMU_ASSERT(bytes.size != 0 && listeners_.count(static_cast<u32>(owner)) != 0, "a watchpoint of nothing or nobody");
    all_.push_back({++last_id_, owner, bytes});
    changed();
    return last_id_;
}

bool OwnedWatchpoints::remove(Owner owner, u32 id) {
    const auto removed = std::erase_if(all_, [=](const Watchpoint& one) { return one.owner == owner && one.id == id; });
    if (removed != 0)
        changed();
    return removed != 0;
}

void OwnedWatchpoints::remove_all(Owner owner) {
    if (std::erase_if(all_, [=](const Watchpoint& one) { return one.owner == owner; }) != 0)
        changed();
}

void OwnedWatchpoints::restored() {
    for (const u64 frame : frames_)
        mmu_.flag_frame(frame, kFrameWatched);
}

void OwnedWatchpoints::changed() {
    std::vector<WatchedRange> ranges;
    std::vector<u64> frames;
    for (const auto& [id, owner, bytes] : all_) {
        if (bytes.space == WatchSpace::Linear) {
            ranges.push_back({static_cast<u32>(bytes.address), bytes.size});
            continue;
        }
        for (u64 frame = bytes.address >> kPageShift; frame <= (bytes.address + bytes.size - 1) >> kPageShift; ++frame)
            frames.push_back(frame);
    }
    std::sort(frames.begin(), frames.end());
    frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
    for (const u64 frame : frames_)
        if (!std::binary_search(frames.begin(), frames.end(), frame))
            mmu_.unflag_frame(frame, kFrameWatched);
    frames_ = std::move(frames);
    restored();
    Mmu::RangeWatcher on_linear;
    if (!ranges.empty())
        on_linear = [this](LinearAddress linear, u32 size, AccessKind kind) {
            accessed(WatchSpace::Linear, linear.value, size, kind);
        };
    mmu_.watch_ranges(ranges, std::move(on_linear));
    DataPath::Watcher on_physical;
    if (!frames_.empty())
        on_physical = [this](LinearAddress, PhysicalAddress physical, u32 size, AccessKind kind) {
            accessed(WatchSpace::Physical, physical.value, size, kind);
        };
    mmu_.set_watcher(std::move(on_physical));
}

void OwnedWatchpoints::accessed(WatchSpace space, u64 address, u32 size, AccessKind kind) const {
    if (kind == AccessKind::Fetch)
        return;
    for (const auto& [id, owner, bytes] : all_) {
        if (bytes.space != space || !(kind == AccessKind::Read ? bytes.reads : bytes.writes))
            continue;
        // In 32 bits, linear ones may wrap.
        const bool linear = space == WatchSpace::Linear;
        const u64 into = linear ? u64{static_cast<u32>(address - bytes.address)} : address - bytes.address;
        const u64 before = linear ? u64{static_cast<u32>(bytes.address - address)} : bytes.address - address;
        if (into < bytes.size || before < size)
            listeners_.at(static_cast<u32>(owner))({id, into < bytes.size ? address : bytes.address, kind});
    }
}

} // namespace forkscope
