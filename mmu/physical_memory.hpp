// Owns: guest RAM and ROM images by frame, one flag byte per frame, and the record of which frames were written.
// Callers: Mmu, the Machine (loading, snapshots), observe through const views.
// Promises: RAM is one host block, so that host address = base + physical address; nothing is read uninitialised.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "emu/base/archive.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

// Why a frame's stores (or loads) must leave the fast path. A frame with flags 0 is plain RAM.
enum FrameFlag : u8 {
    kFrameCode = 1,      // holds decoded instructions: a store must kill them
    kFramePageTable = 2, // the walker used it as a table: a store is a PteWrite
    kFrameWatched = 4,   // loads and stores are to be reported
    kFrameClean = 8,     // not written since the last epoch began: the first store marks it
    kFrameReadOnly = 16, // ROM: stores are ignored
    kFrameDevice = 32,   // no memory here: goes to the bus
};

class PhysicalMemory {
  public:
    // `ram_bytes` is a multiple of 4096 and at most 2 GiB. RAM fills [0, 640 KiB) and [1 MiB, ram_bytes); the gap
    // belongs to devices and ROM.
    explicit PhysicalMemory(u64 ram_bytes);

    u64 ram_bytes() const { return ram_bytes_; }
    u64 frame_count() const { return flags_.size(); }

    // True if the frame is RAM or ROM, so that `host` may be used.
    bool is_memory(PhysicalAddress address) const {
        return address.page() < flags_.size() && (flags_[address.page()] & kFrameDevice) == 0;
    }
    // The host address of a byte of RAM or ROM in the low block. Only where is_memory() says so.
    u8* host(PhysicalAddress address) { return ram_.get() + address.value; }
    const u8* host(PhysicalAddress address) const { return ram_.get() + address.value; }

    u8 flags(u64 frame) const { return frame < flags_.size() ? flags_[frame] : u8{kFrameDevice}; }
    void set_flags(u64 frame, u8 bits) { flags_[frame] = static_cast<u8>(flags_[frame] | bits); }
    void clear_flags(u64 frame, u8 bits) { flags_[frame] = static_cast<u8>(flags_[frame] & ~bits); }

    // Copies an image into [address, address + size) and makes those frames read-only memory (below 4 GiB's low block).
    void install_rom(PhysicalAddress address, std::span<const u8> image);

    // Loader's and debugger's bulk access; never touches flags but marks the frames written. False if outside RAM.
    bool write(PhysicalAddress address, std::span<const u8> bytes);
    bool read(PhysicalAddress address, std::span<u8> bytes) const;

    // Epochs tell which frames were written since when. begin_epoch() returns a number; written_since(frame, n) tells
    // whether the frame was stored to after that call. The listener (the Mmu) is told, so that it drops its write tags
    // and the next store into each frame is noticed.
    u32 begin_epoch();
    void set_epoch_listener(std::function<void()> listener) { epoch_begun_ = std::move(listener); }
    void mark_written(u64 frame) {
        if (written_[frame] != epoch_) {
            written_[frame] = epoch_;
            written_now_.push_back(static_cast<u32>(frame));
        }
        clear_flags(frame, kFrameClean);
    }
    u32 epoch() const { return epoch_; }
    // In this epoch, each once, in the order of the first noticed store.
    const std::vector<u32>& written_now() const { return written_now_; }
    bool written_since(u64 frame, u32 epoch) const { return written_[frame] >= epoch; }

    bool frame_is_zero(u64 frame) const;
    // The contents of RAM and ROM: nonzero frames only. The flag byte is derived state and is not part of it, but for
    // ROM. A hash costs only the frames written since the last one, and begins an epoch.
    void serialize(Archive& ar);

  private:
    void serialize_rom(Archive& ar);
    void serialize_hash(Archive& ar);
    void serialize_frames(Archive& ar);

    u64 ram_bytes_;
    std::unique_ptr<u8[], void (*)(void*)> ram_;
    std::vector<u8> flags_;
    std::vector<u32> written_; // by frame: the epoch of the last noticed store; 0 = never, so the frame is zero
    u32 epoch_ = 1;
    std::vector<u32> written_now_; // frames whose `written_` is this epoch
    std::function<void()> epoch_begun_;
    std::vector<u64> frame_hash_; // 0 for a frame of zeros
    u32 hash_epoch_ = 1;          // frame_hash_ lacks the stores made from this epoch on
};

} // namespace forkscope
