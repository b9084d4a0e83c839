#include "cpu/engine/block.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "emu/base/assert.hpp"

namespace forkscope {

// The arena is untouched memory until blocks reach it, so its size costs nothing in a short run.
BlockCache::BlockCache() : slots_(kSlots), arena_(static_cast<u8*>(std::malloc(kArenaBytes)), std::free) {
    if (arena_ == nullptr)
        throw std::bad_alloc();
}

Block* BlockCache::insert(PhysicalAddress start, CodeMode mode, const Instruction* instructions, u16 count,
                          const Lookahead& lookahead) {
    static_assert(alignof(QueuedInstruction) <= alignof(Instruction));
    const u64 queued_at = sizeof(Block) + count * sizeof(Instruction);
    const u32 queued = lookahead.queued != nullptr ? u32{count} + lookahead.count : 0;
    const u64 size = (queued_at + queued * sizeof(QueuedInstruction) + 15) & ~u64{15};
    if (used_ + size > kArenaBytes)
        clear();
    auto* block = new (arena_.get() + used_) Block;
    block->first = reinterpret_cast<Instruction*>(arena_.get() + used_ + sizeof(Block));
    std::uninitialized_copy_n(instructions, count, block->first);
    if (queued != 0) {
        auto* copy = reinterpret_cast<QueuedInstruction*>(arena_.get() + used_ + queued_at);
        std::uninitialized_copy_n(lookahead.queued, queued, copy);
        block->queued = copy;
        block->ahead = lookahead.count;
    }
    const u32 at = static_cast<u32>(used_);
    used_ += size;
    ++blocks_;

    const Instruction& last = instructions[count - 1];
    block->start = start;
    block->mode = mode;
    block->bytes = static_cast<u16>(last.offset + last.length);
    block->watched = static_cast<u16>(block->bytes + lookahead.bytes);
    block->count = count;
    block->clocks = last.cost_before + last.cost;
    slots_[slot_of(start, mode)] = {key_of(start, mode), at};
    if (start.page() >= frames_.size())
        frames_.resize(start.page() + 1, nullptr);
    block->next_in_frame = frames_[start.page()];
    frames_[start.page()] = block;
    return block;
}

bool BlockCache::kill(PhysicalAddress address, u32 size, const Block* running, bool& frame_is_empty) {
    frame_is_empty = true;
    if (address.page() >= frames_.size())
        return false;
    bool hit_running = false;
    Block** link = &frames_[address.page()];
    while (*link != nullptr) {
        Block* block = *link;
        const bool overlaps =
            address.value < block->start.value + block->watched && block->start.value < address.value + size;
        if (overlaps) {
            block->alive = false;
            hit_running |= block == running;
            *link = block->next_in_frame;
            --blocks_;
        } else {
            link = &block->next_in_frame;
        }
    }
    frame_is_empty = frames_[address.page()] == nullptr;
    return hit_running;
}

void BlockCache::clear() {
    if (used_ == 0)
        return;
    std::fill(slots_.begin(), slots_.end(), Slot{});
    std::fill(frames_.begin(), frames_.end(), nullptr);
    used_ = 0;
    blocks_ = 0;
    ++generation_;
}

void BlockCache::forget_derived() {
    for (Block* block : frames_)
        for (; block != nullptr; block = block->next_in_frame) {
            block->derived = nullptr;
            block->heat = 0;
        }
}

} // namespace forkscope
