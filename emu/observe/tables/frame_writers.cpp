#include "emu/observe/tables/frame_writers.hpp"

#include <algorithm>
#include <bit>

namespace forkscope {

namespace {

constexpr u32 kMostFrames = u32{1} << 20; // of 4 KB, in 4 GB

} // namespace

std::vector<u32> FrameWriters::frames_of(const SharedVector<u64>& bits) {
    std::vector<u32> frames;
    for (std::size_t word = 0; word < bits.size(); ++word)
        for (u64 rest = bits[word]; rest != 0; rest &= rest - 1)
            frames.push_back(static_cast<u32>(word * 64 + static_cast<std::size_t>(std::countr_zero(rest))));
    return frames;
}

void FrameWriters::add(SharedVector<u64>& bits, u32 frame) {
    if (frame / 64 >= bits.size())
        bits.resize(frame / 64 + 1);
    const u64 bit = u64{1} << frame % 64;
    if ((bits[frame / 64] & bit) == 0)
        bits.edit(frame / 64) |= bit;
}

// Since `epoch_`, in no order.
std::vector<u32> FrameWriters::written() const {
    if (epoch_ == memory_.epoch())
        return memory_.written_now();
    std::vector<u32> frames;
    if (epoch_ != 0) // somebody else began epochs meanwhile
        for (u32 frame = 0; frame < memory_.frame_count(); ++frame)
            if (memory_.written_since(frame, epoch_))
                frames.push_back(frame);
    return frames;
}

std::vector<u32> FrameWriters::settle(Writer writer) {
    if (!begin_epoch_)
        return {};
    std::vector<u32> frames = written();
    if (!state_.pending.empty()) {
        const std::vector<u32> pending = frames_of(state_.pending);
        frames.insert(frames.end(), pending.begin(), pending.end());
        state_.pending.clear();
    }
    std::sort(frames.begin(), frames.end());
    frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
    epoch_ = begin_epoch_();
    if (frames.empty() && !state_.writers.empty())
        return frames;
    state_.writers.resize(memory_.frame_count());
    for (const u32 frame : frames)
        if (frame < state_.writers.size() && state_.writers[frame] != writer)
            state_.writers.edit(frame) = writer;
    return frames;
}

const FrameWriters::State& FrameWriters::state() const {
    for (const u32 frame : written())
        add(state_.pending, frame);
    state_.began = epoch_ != 0;
    epoch_ = state_.began ? memory_.epoch() : 0;
    return state_;
}

void FrameWriters::restore(const State& state) {
    state_ = state;
    epoch_ = begin_epoch_ && state.began ? begin_epoch_() : 0;
}

void FrameWriters::State::serialize(Archive& ar) {
    std::vector<Writer> by_frame = writers.to_vector();
    std::vector<u32> frames = frames_of(pending);
    ar.sequence("writers", by_frame, u64{1} << 20);
    ar.sequence("pending", frames, u64{1} << 20);
    ar.field("began", began);
    if (!ar.loading())
        return;
    writers = SharedVector<Writer>(by_frame);
    pending.clear();
    for (const u32 frame : frames) {
        if (frame >= kMostFrames)
            return ar.fail("no such frame");
        add(pending, frame);
    }
}

} // namespace forkscope
