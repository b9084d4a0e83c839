#include "emu/observe/tables/frame_writers.hpp"

#include <algorithm>

namespace forkscope {

std::vector<u32> FrameWriters::written() const {
    std::vector<u32> frames = state_.pending;
    if (epoch_ == memory_.epoch())
        frames.insert(frames.end(), memory_.written_now().begin(), memory_.written_now().end());
    else if (epoch_ != 0) // somebody else began epochs meanwhile
        for (u32 frame = 0; frame < memory_.frame_count(); ++frame)
            if (memory_.written_since(frame, epoch_))
                frames.push_back(frame);
    std::sort(frames.begin(), frames.end());
    frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
    return frames;
}

std::vector<u32> FrameWriters::settle(Writer writer) {
    if (!begin_epoch_)
        return {};
    std::vector<u32> frames = written();
    state_.pending.clear();
    epoch_ = begin_epoch_();
    if (frames.empty() && !state_.writers->empty())
        return frames;
    std::vector<Writer>& writers = state_.writers.edit();
    writers.resize(memory_.frame_count());
    for (const u32 frame : frames)
        if (frame < writers.size())
            writers[frame] = writer;
    return frames;
}

FrameWriters::State FrameWriters::state() const { return {state_.writers, written(), epoch_ != 0}; }

void FrameWriters::restore(const State& state) {
    state_ = state;
    epoch_ = begin_epoch_ && state.began ? begin_epoch_() : 0;
}

void FrameWriters::State::serialize(Archive& ar) {
    std::vector<Writer> list = *writers;
    ar.sequence("writers", list, u64{1} << 20);
    ar.sequence("pending", pending, u64{1} << 20);
    ar.field("began", began);
    if (ar.loading())
        writers = CopyOnWrite<std::vector<Writer>>(std::move(list));
}

} // namespace forkscope
