#include "emu/machine/timeline/frame_image.hpp"

#include <utility>

namespace forkscope {

namespace {

// To be changed: its own.
template <class T> T& own(std::shared_ptr<T>& shared) {
    if (shared == nullptr)
        shared = std::make_shared<T>();
    else if (shared.use_count() != 1)
        shared = std::make_shared<T>(*shared);
    return *shared;
}

} // namespace

const FrameImage::Branch FrameImage::kEmptyBranch{};
const FrameImage::Leaf FrameImage::kEmptyLeaf{};

const Page& FrameImage::at(u64 frame) const {
    return leaf(branch(frame / kBranchFrames)[frame / kLeafFrames % kBranchLeaves])[frame % kLeafFrames];
}

void FrameImage::set(u64 frame, Page page) {
    if (at(frame) != page)
        own(own(branches_[frame / kBranchFrames])[frame / kLeafFrames % kBranchLeaves])[frame % kLeafFrames] =
            std::move(page);
}

void FrameImage::for_each_difference(const FrameImage& other, const std::function<void(u64)>& visit) const {
    for (std::size_t i = 0; i < branches_.size(); ++i) {
        if (branches_[i] == other.branches_[i])
            continue;
        for (std::size_t j = 0; j < kBranchLeaves; ++j) {
            const std::shared_ptr<Leaf>& mine = branch(i)[j];
            const std::shared_ptr<Leaf>& others = other.branch(i)[j];
            for (std::size_t k = 0; mine != others && k < kLeafFrames; ++k)
                if (leaf(mine)[k] != leaf(others)[k])
                    visit(i * kBranchFrames + j * kLeafFrames + k);
        }
    }
}

u64 FrameImage::bytes_beyond(const FrameImage& other) const {
    constexpr u64 kOverhead = 32; // of counts and of the allocator
    u64 bytes = branches_.size() * sizeof branches_[0] + kOverhead;
    for (std::size_t i = 0; i < branches_.size(); ++i) {
        if (branches_[i] == nullptr || branches_[i] == other.branches_[i])
            continue;
        bytes += sizeof(Branch) + kOverhead;
        for (std::size_t j = 0; j < kBranchLeaves; ++j)
            if (branch(i)[j] != nullptr && branch(i)[j] != other.branch(i)[j])
                bytes += sizeof(Leaf) + kOverhead;
    }
    return bytes;
}

} // namespace forkscope
