#include "mmu/physical_memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include <fmt/format.h>

namespace forkscope {

namespace {

constexpr u64 kGapStart = 0xA0000; // video memory, option ROMs, firmware: not RAM on any PC
constexpr u64 kGapEnd = 0x100000;

u64 block_bytes(u64 ram_bytes) { return std::max(ram_bytes, kGapEnd); }

// Aligned as the host's large pages are, so that a frame lies in one page of the host. What calloc gave stands before
// it. It takes blocks of this size straight from the host's zero pages, so an untouched frame costs nothing.
constexpr std::size_t kAlignment = 2u << 20;

u8* allocate(u64 bytes) {
    void* const block = std::calloc(bytes + kAlignment, 1);
    if (block == nullptr)
        throw std::bad_alloc(); // the host's trouble, and no bug of ours
    void* aligned = static_cast<u8*>(block) + sizeof block;
    std::size_t space = bytes + kAlignment - sizeof block;
    std::align(kAlignment, bytes, aligned, space);
    std::memcpy(static_cast<u8*>(aligned) - sizeof block, &block, sizeof block);
    return static_cast<u8*>(aligned);
}

void release(void* aligned) {
    void* block = nullptr;
    std::memcpy(&block, static_cast<u8*>(aligned) - sizeof block, sizeof block);
    std::free(block);
}

bool get_bit(const std::vector<u8>& bits, u64 index) { return (bits[index / 8] >> (index % 8) & 1) != 0; }
void set_bit(std::vector<u8>& bits, u64 index) {
    bits[index / 8] = static_cast<u8>(bits[index / 8] | 1u << (index % 8));
}

} // namespace

PhysicalMemory::PhysicalMemory(u64 ram_bytes)
    : ram_bytes_(ram_bytes), ram_(allocate(block_bytes(ram_bytes)), release),
      flags_(block_bytes(ram_bytes) >> kPageShift, u8{kFrameClean}), written_(flags_.size(), 0),
      frame_hash_(flags_.size(), 0) {
    EMU_ASSERT(ram_bytes % kPageSize == 0 && ram_bytes != 0 && ram_bytes <= u64{2} << 30,
               "{} bytes of RAM is not a multiple of 4096 up to 2 GiB", ram_bytes);
    for (u64 frame = 0; frame < flags_.size(); ++frame) {
        const u64 address = frame << kPageShift;
        if (address >= ram_bytes || (address >= kGapStart && address < kGapEnd))
            flags_[frame] = kFrameDevice;
    }
}

void PhysicalMemory::install_rom(PhysicalAddress address, std::span<const u8> image) {
    const u64 end = address.value + image.size();
    EMU_ASSERT(address.offset() == 0 && end <= flags_.size() << kPageShift,
               "a ROM image at {:#x} of {} bytes does not fit below {:#x}", address.value, image.size(),
               flags_.size() << kPageShift);
    std::copy(image.begin(), image.end(), host(address));
    for (u64 frame = address.page(); frame << kPageShift < end; ++frame) {
        flags_[frame] = kFrameReadOnly;
        mark_written(frame);
    }
}

bool PhysicalMemory::write(PhysicalAddress address, std::span<const u8> bytes) {
    if (bytes.empty())
        return true;
    const u64 last = (address + (bytes.size() - 1)).page();
    for (u64 frame = address.page(); frame <= last; ++frame) {
        if ((flags(frame) & kFrameDevice) != 0)
            return false;
    }
    std::memcpy(host(address), bytes.data(), bytes.size());
    for (u64 frame = address.page(); frame <= last; ++frame)
        mark_written(frame);
    return true;
}

bool PhysicalMemory::read(PhysicalAddress address, std::span<u8> bytes) const {
    if (bytes.empty())
        return true;
    for (u64 frame = address.page(); frame <= (address + (bytes.size() - 1)).page(); ++frame) {
        if ((flags(frame) & kFrameDevice) != 0)
            return false;
    }
    std::memcpy(bytes.data(), host(address), bytes.size());
    return true;
}

u32 PhysicalMemory::begin_epoch() {
    ++epoch_;
    EMU_ASSERT(epoch_ != 0, "more epochs than 32 bits count");
    for (const u32 frame : written_now_)
        set_flags(frame, kFrameClean);
    written_now_.clear();
    if (epoch_begun_)
        epoch_begun_();
    return epoch_;
}

bool PhysicalMemory::frame_is_zero(u64 frame) const {
    if (written_[frame] == 0)
        return true;
    const u8* bytes = ram_.get() + (frame << kPageShift);
    return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, kPageSize - 1) == 0;
}

void PhysicalMemory::serialize(Archive& ar) {
    u64 bytes = ram_bytes_;
    ar.field("ram_bytes", bytes);
    if (ar.loading() && ar.good() && bytes != ram_bytes_)
        ar.fail(fmt::format("saved with {} bytes of RAM, this machine has {}; start it with the same -m", bytes,
                            ram_bytes_));
    serialize_rom(ar);
    if (ar.hashing())
        serialize_hash(ar);
    else
        serialize_frames(ar);
}

void PhysicalMemory::serialize_rom(Archive& ar) {
    std::vector<u8> rom((flags_.size() + 7) / 8, 0);
    for (u64 frame = 0; frame < flags_.size(); ++frame) {
        if ((flags_[frame] & kFrameReadOnly) != 0)
            set_bit(rom, frame);
    }
    ar.raw("rom", rom.data(), rom.size());
    if (!ar.loading() || !ar.good())
        return;
    for (u64 frame = 0; frame < flags_.size(); ++frame) {
        const bool was_rom = (flags_[frame] & kFrameReadOnly) != 0;
        if (get_bit(rom, frame) && !was_rom)
            flags_[frame] = kFrameReadOnly;
        else if (!get_bit(rom, frame) && was_rom)
            return ar.fail("this machine has a ROM where the saved one had none; start it with the same firmware");
    }
}

void PhysicalMemory::serialize_hash(Archive& ar) {
    for (u64 frame = 0; frame < flags_.size(); ++frame) {
        if (written_[frame] >= hash_epoch_)
            frame_hash_[frame] =
                frame_is_zero(frame) ? 0 : checksum({ram_.get() + (frame << kPageShift), std::size_t{kPageSize}});
    }
    ar.raw("frames", frame_hash_.data(), frame_hash_.size() * sizeof(u64));
    hash_epoch_ = begin_epoch();
}

void PhysicalMemory::serialize_frames(Archive& ar) {
    std::vector<u8> present((flags_.size() + 7) / 8, 0);
    if (!ar.loading()) {
        for (u64 frame = 0; frame < flags_.size(); ++frame) {
            if (!frame_is_zero(frame))
                set_bit(present, frame);
        }
    }
    ar.raw("present", present.data(), present.size());
    for (u64 frame = 0; frame < flags_.size() && ar.good(); ++frame) {
        u8* bytes = ram_.get() + (frame << kPageShift);
        const bool stored = get_bit(present, frame);
        if (stored)
            ar.raw(fmt::format("frame_{:05x}", frame), bytes, kPageSize);
        else if (ar.loading() && !frame_is_zero(frame))
            std::memset(bytes, 0, kPageSize);
        else
            continue;
        if (ar.loading())
            mark_written(frame);
    }
}

} // namespace forkscope
