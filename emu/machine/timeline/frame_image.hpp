// Owns: FrameImage, the contents of all frames at one moment, as references to pages.
// Callers: checkpoints. Promises: a value; copies share what is equal, so that a copy and a few changes cost little;
// two images are compared without looking at what they share.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "emu/machine/timeline/page_pool.hpp"

namespace forkscope {

class FrameImage {
  public:
    explicit FrameImage(u64 frames = 0) : leaves_((frames + kLeafFrames - 1) / kLeafFrames, empty_leaf()) {}

    const Page& at(u64 frame) const { return (*leaves_[frame / kLeafFrames])[frame % kLeafFrames]; }
    void set(u64 frame, Page page);
    // Frames whose contents may differ: those that were not written in between do not.
    void for_each_difference(const FrameImage& other, const std::function<void(u64 frame)>& visit) const;

  private:
    static constexpr u64 kLeafFrames = 128;
    using Leaf = std::array<Page, kLeafFrames>;
    static const std::shared_ptr<Leaf>& empty_leaf();

    std::vector<std::shared_ptr<Leaf>> leaves_; // changed only while nobody else holds one
};

} // namespace forkscope
