// Owns: who stored last into each frame, as far as the moments allow at which somebody asks: between two of them all
// stores are one's. Callers: fork tracer, for kernels that do not say what they do. Promises: from memory's epochs
// alone; stores are found whatever they go through; a value can be kept and put back.
#pragma once

#include <functional>
#include <vector>

#include "emu/base/shared/shared_vector.hpp"
#include "mmu/physical_memory.hpp"

namespace forkscope {

class FrameWriters {
  public:
    using Writer = u32; // 0 = nobody that was named
    struct State {
        SharedVector<Writer> writers; // by frame; empty: nobody looked yet
        SharedVector<u64> pending;    // a bit for each frame stored to since the last moment; empty: none
        bool began = false;           // the first moment has been
        void serialize(Archive& ar);
        auto held() const { return std::tie(writers, pending); }
    };

    // `begin_epoch` is PhysicalMemory's; empty: nothing is ever found.
    FrameWriters(const PhysicalMemory& memory, std::function<u32()> begin_epoch)
        : memory_(memory), begin_epoch_(std::move(begin_epoch)) {}

    // A moment: all stores since the last one were `writer`'s. The frames, in order.
    std::vector<u32> settle(Writer writer);
    Writer last(u64 frame) const { return frame < state_.writers.size() ? state_.writers[frame] : 0; }

    const State& state() const; // good until the next call
    // Memory has been put back already.
    void restore(const State& state);

  private:
    std::vector<u32> written() const;
    static std::vector<u32> frames_of(const SharedVector<u64>& bits);
    static void add(SharedVector<u64>& bits, u32 frame);

    const PhysicalMemory& memory_;
    std::function<u32()> begin_epoch_;
    // What is pending follows from memory: state() takes over what the epochs before the present one have of it.
    mutable State state_;
    mutable u32 epoch_ = 0; // from which on stores are not in state_.pending; 0: the first moment has not been
};

} // namespace forkscope
