#include "emu/machine/timeline/frame_image.hpp"

#include <utility>

namespace forkscope {

const std::shared_ptr<FrameImage::Leaf>& FrameImage::empty_leaf() {
    static const std::shared_ptr<Leaf> leaf = std::make_shared<Leaf>();
    return leaf;
}

void FrameImage::set(u64 frame, Page page) {
    std::shared_ptr<Leaf>& leaf = leaves_[frame / kLeafFrames];
    if (leaf.use_count() != 1)
        leaf = std::make_shared<Leaf>(*leaf);
    (*leaf)[frame % kLeafFrames] = std::move(page);
}

void FrameImage::for_each_difference(const FrameImage& other, const std::function<void(u64)>& visit) const {
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
        if (leaves_[i] == other.leaves_[i])
            continue;
        for (std::size_t j = 0; j < kLeafFrames; ++j)
            if ((*leaves_[i])[j] != (*other.leaves_[i])[j])
                visit(i * kLeafFrames + j);
    }
}

} // namespace forkscope
