// Owns: guest memory as the sections of a snapshot: pieces of 256 frames, in each a bit a frame and the frames that are
// not zero. Callers: the Machine's snapshots. Promises: a piece that check_piece() accepts loads; a frame of zeros
// costs a bit, 256 of them nothing.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "mmu/physical_memory.hpp"

namespace forkscope::memory_pieces {

inline constexpr u32 kPieceFrames = 256;
inline constexpr u32 kVersion = 1;
inline constexpr u64 kMostBytes = kPieceFrames / 8 + u64{kPieceFrames} * kPageSize;

u32 piece_count(const PhysicalMemory& memory);
// "memory.0003", and back; nothing if the name is not that of a piece of this memory.
std::string piece_name(u32 piece);
std::optional<u32> piece_named(const PhysicalMemory& memory, std::string_view name);

// Empty: every frame is zero.
std::vector<u8> save_piece(const PhysicalMemory& memory, u32 piece);
// Those frames alone that are chosen, zeros too. Empty: none is.
std::vector<u8> save_frames(const PhysicalMemory& memory, u32 piece, const std::function<bool(u64 frame)>& chosen);
// A piece's bits and frames, wherever they lie; a machine may yet have no such frames.
bool well_formed(std::span<const u8> bytes);
// What `later` holds goes before; both are well formed, or empty.
std::vector<u8> overlaid(std::span<const u8> earlier, std::span<const u8> later);
Result<void> check_piece(const PhysicalMemory& memory, u32 piece, std::span<const u8> bytes);
// `bytes` as check_piece() accepts them, or empty.
void load_piece(PhysicalMemory& memory, u32 piece, std::span<const u8> bytes);
// A line for each frame that differs from the saved ones: "memory.frame_00123.045: 00 -> 01".
void list_differences(const PhysicalMemory& memory, u32 piece, std::span<const u8> bytes,
                      std::vector<std::string>& lines);

} // namespace forkscope::memory_pieces
