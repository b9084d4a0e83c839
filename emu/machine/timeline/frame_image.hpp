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
    explicit FrameImage(u64 frames = 0) : branches_((frames + kBranchFrames - 1) / kBranchFrames) {}

    const Page& at(u64 frame) const;
    void set(u64 frame, Page page);
    // Frames whose contents may differ: those that were not written in between do not.
    void for_each_difference(const FrameImage& other, const std::function<void(u64 frame)>& visit) const;
    // What it takes that the other, of as many frames, does not; without the pages.
    u64 bytes_beyond(const FrameImage& other) const;

  private:
    // Small, for whoever changes one place copies the references to all others.
    static constexpr u64 kLeafFrames = 16;
    static constexpr u64 kBranchLeaves = 32;
    static constexpr u64 kBranchFrames = kLeafFrames * kBranchLeaves;
    using Leaf = std::array<Page, kLeafFrames>;
    using Branch = std::array<std::shared_ptr<Leaf>, kBranchLeaves>;
    static const Branch kEmptyBranch;
    static const Leaf kEmptyLeaf;
    const Branch& branch(std::size_t number) const {
        return branches_[number] != nullptr ? *branches_[number] : kEmptyBranch;
    }
    static const Leaf& leaf(const std::shared_ptr<Leaf>& leaf) { return leaf != nullptr ? *leaf : kEmptyLeaf; }

    std::vector<std::shared_ptr<Branch>> branches_; // null, as leaves are: zeros; changed while nobody else holds one
};

} // namespace forkscope
