#include "emu/machine/memory_pieces.hpp"

#include <algorithm>
#include <bit>
#include <charconv>

namespace forkscope::memory_pieces {

namespace {

constexpr std::string_view kPrefix = "memory.";
constexpr std::size_t kBitmapBytes = kPieceFrames / 8;

// The frames of a piece that lie in this memory.
u64 first_frame(u32 piece) { return u64{piece} * kPieceFrames; }
u32 frames_in(const PhysicalMemory& memory, u32 piece) {
    return static_cast<u32>(std::min<u64>(kPieceFrames, memory.frame_count() - first_frame(piece)));
}

bool holds(std::span<const u8> bytes, u32 index) {
    return !bytes.empty() && (bytes[index / 8] >> (index % 8) & 1) != 0;
}

void append_frame(std::vector<u8>& bytes, u32 index, const u8* frame) {
    bytes.resize(std::max(bytes.size(), kBitmapBytes));
    bytes[index / 8] = static_cast<u8>(bytes[index / 8] | 1u << (index % 8));
    bytes.insert(bytes.end(), frame, frame + kPageSize);
}

const u8* frame_bytes(const PhysicalMemory& memory, u64 frame) {
    return memory.host(PhysicalAddress(frame << kPageShift));
}

} // namespace

u32 piece_count(const PhysicalMemory& memory) {
    return static_cast<u32>((memory.frame_count() + kPieceFrames - 1) / kPieceFrames);
}

std::string piece_name(u32 piece) { return fmt::format("{}{:04}", kPrefix, piece); }

std::optional<u32> piece_named(const PhysicalMemory& memory, std::string_view name) {
    u32 piece = 0;
    if (!name.starts_with(kPrefix))
        return std::nullopt;
    const auto parsed = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), piece);
    if (parsed.ec != std::errc{} || piece >= piece_count(memory) || piece_name(piece) != name)
        return std::nullopt;
    return piece;
}

std::vector<u8> save_piece(const PhysicalMemory& memory, u32 piece) {
    return save_frames(memory, piece, [&](u64 frame) { return !memory.frame_is_zero(frame); });
}

std::vector<u8> save_frames(const PhysicalMemory& memory, u32 piece, const std::function<bool(u64)>& chosen) {
    std::vector<u8> bytes;
    for (u32 i = 0; i < frames_in(memory, piece); ++i) {
        const u64 frame = first_frame(piece) + i;
        if (chosen(frame) && memory.is_memory(PhysicalAddress(frame << kPageShift)))
            append_frame(bytes, i, frame_bytes(memory, frame));
    }
    return bytes;
}

bool well_formed(std::span<const u8> bytes) {
    if (bytes.size() < kBitmapBytes)
        return false;
    u64 frames = 0;
    for (const u8 bits : bytes.first(kBitmapBytes))
        frames += static_cast<u64>(std::popcount(bits));
    return bytes.size() == kBitmapBytes + frames * kPageSize;
}

std::vector<u8> overlaid(std::span<const u8> earlier, std::span<const u8> later) {
    std::vector<u8> bytes;
    std::size_t early = kBitmapBytes;
    std::size_t late = kBitmapBytes;
    for (u32 i = 0; i < kPieceFrames; ++i) {
        if (holds(later, i))
            append_frame(bytes, i, later.data() + late);
        else if (holds(earlier, i))
            append_frame(bytes, i, earlier.data() + early);
        late += holds(later, i) ? kPageSize : 0;
        early += holds(earlier, i) ? kPageSize : 0;
    }
    return bytes;
}

Result<void> check_piece(const PhysicalMemory& memory, u32 piece, std::span<const u8> bytes) {
    const auto wrong = [&](std::string_view what) { return Error{fmt::format("{}: {}", piece_name(piece), what)}; };
    if (bytes.size() < kBitmapBytes)
        return wrong("it is cut short");
    u64 frames = 0;
    for (u32 i = 0; i < kPieceFrames; ++i) {
        if (!holds(bytes, i))
            continue;
        if (i >= frames_in(memory, piece) || !memory.is_memory(PhysicalAddress((first_frame(piece) + i) << kPageShift)))
            return wrong("a frame lies where this machine has no memory");
        ++frames;
    }
    if (bytes.size() != kBitmapBytes + frames * kPageSize)
        return wrong("its size is not that of its frames");
    return {};
}

void load_piece(PhysicalMemory& memory, u32 piece, std::span<const u8> bytes) {
    static constexpr std::array<u8, kPageSize> kZeros{};
    std::size_t at = kBitmapBytes;
    for (u32 i = 0; i < frames_in(memory, piece); ++i) {
        const u64 frame = first_frame(piece) + i;
        const bool stored = holds(bytes, i);
        if (!stored && memory.frame_is_zero(frame))
            continue;
        const bool written =
            memory.write(PhysicalAddress(frame << kPageShift), stored ? bytes.subspan(at, kPageSize) : kZeros);
        EMU_ASSERT(written, "frame {:#x} of a snapshot is no memory", frame);
        at += stored ? kPageSize : 0;
    }
}

void list_differences(const PhysicalMemory& memory, u32 piece, std::span<const u8> bytes,
                      std::vector<std::string>& lines) {
    static constexpr std::array<u8, kPageSize> kZeros{};
    std::size_t at = kBitmapBytes;
    for (u32 i = 0; i < frames_in(memory, piece); ++i) {
        const u64 frame = first_frame(piece) + i;
        const u8* was = kZeros.data();
        if (holds(bytes, i)) {
            was = bytes.data() + at;
            at += kPageSize;
        } else if (memory.frame_is_zero(frame)) {
            continue;
        }
        const u8* is = frame_bytes(memory, frame);
        const auto [old, now] = std::mismatch(was, was + kPageSize, is);
        if (old != was + kPageSize)
            lines.push_back(fmt::format("memory.frame_{:05x}.{:03x}: {:02x} -> {:02x}", frame, old - was, *old, *now));
    }
}

} // namespace forkscope::memory_pieces
