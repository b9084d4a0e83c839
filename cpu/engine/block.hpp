// Owns: Block, a run of decoded instructions within one page, and BlockCache, all blocks by (physical address, mode).
// Callers: BlockEngine. Promises: derived state only, droppable at any moment; a store into a block's bytes
// kills it before the next instruction; memory is bounded.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "cpu/cost/cost_model.hpp"
#include "mmu/physical_memory.hpp"

namespace forkscope {

// What a decoded run has behind its end.
struct Lookahead {
    const QueuedInstruction* queued = nullptr; // of the run, then of what follows
    u16 count = 0;                             // of what follows
    u16 bytes = 0;                             // looked at to find it

    // What the queue may know while instruction `number` of `run` runs. A transfer ends that, but LOOP knows what
    // follows it.
    std::span<const QueuedInstruction> from(u32 number, u32 run) const {
        const bool stops = number + 1 < run && queued[run - 1].stops;
        return {queued + number, std::min<std::size_t>(kMostAhead, run - number + (stops ? 0u : count))};
    }
};

inline constexpr u32 kMostInstructionsInBlock = 64;

struct Block {
    PhysicalAddress start;
    CodeMode mode;
    bool alive = true;
    u16 bytes = 0;
    u16 watched = 0; // bytes from its start whose change kills it: its own, and those that its clocks looked ahead at;
                     // 0: of a run that is not kept, only its own count
    u16 count = 0;
    u16 ahead = 0;  // `queued` holds so many more
    u32 clocks = 0; // static cost of all instructions
    Instruction* first = nullptr;
    const QueuedInstruction* queued = nullptr; // of the 386 with a prefetch queue: each instruction, and what follows
    PipelineState entry, exit; // what its clocks were bound behind, and what it leaves if all of it runs
    Block* next_in_frame = nullptr;
    u32 heat = 0;            // how often it ran, for an engine that translates what runs often
    void* derived = nullptr; // what such an engine has made of it

    Lookahead lookahead() const { return {queued, ahead, 0}; }
    // Whether a store behind its own bytes, where its clocks looked, kills it.
    bool watches_ahead() const { return watched != 0; }
};

class BlockCache {
  public:
    BlockCache();

    // nullptr if there is none.
    Block* find(PhysicalAddress start, CodeMode mode) const {
        const Slot& slot = slots_[slot_of(start, mode)];
        if (slot.key != key_of(start, mode))
            return nullptr;
        auto* const block = reinterpret_cast<Block*>(arena_.get() + slot.at);
        return block->alive ? block : nullptr;
    }
    // Keeps a copy of the decoded run. May drop every older block to make room; none may be running.
    Block* insert(PhysicalAddress start, CodeMode mode, const Instruction* instructions, u16 count,
                  const Lookahead& lookahead);

    bool any_in(u64 frame) const { return frame < frames_.size() && frames_[frame] != nullptr; }
    // Kills the blocks that overlap [address, address + size). Returns true if one of them is `running`.
    // `frame_is_empty` tells that the frame holds no code any more.
    bool kill(PhysicalAddress address, u32 size, const Block* running, bool& frame_is_empty);
    void clear();
    u64 generation() const { return generation_; } // another one after each clear()
    // No block has anything derived from it, or has run.
    void forget_derived();

  private:
    static constexpr u32 kSlots = 1u << 16;
    static constexpr u64 kArenaBytes = u64{48} << 20;

    // What the slot's number does not tell of the key, and where in the arena the block is.
    struct Slot {
        u32 key = kNoKey;
        u32 at = 0;
    };
    static constexpr u32 kNoKey = ~u32{0};

    // The low 16 bits follow from the slot and these.
    static u32 key_of(PhysicalAddress start, CodeMode mode) {
        return static_cast<u32>(start.value >> 16) << 1 | (mode.default_32 ? 1 : 0);
    }
    // Neighbours lie side by side, as code runs.
    static u32 slot_of(PhysicalAddress start, CodeMode mode) {
        const u64 mixed = (start.value >> 16) * 0x9E3779B97F4A7C15ull >> 48;
        return static_cast<u32>((start.value ^ mixed ^ (mode.default_32 ? 0 : 1)) & (kSlots - 1));
    }

    std::vector<Slot> slots_;
    std::vector<Block*> frames_; // first block of each frame, indexed by frame number
    std::unique_ptr<u8[], void (*)(void*)> arena_;
    u64 used_ = 0;
    u64 blocks_ = 0;
    u64 generation_ = 0;
};

} // namespace forkscope
