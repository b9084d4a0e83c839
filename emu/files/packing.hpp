// Owns: Packer and Unpacker, zstd frames: the one place that knows the library.
// Callers: chunk files and the columns in them. Promises: an unpacker takes no more memory than the bytes that come out
// of a frame, twice, and stops at the size that it was told; no bytes can harm it.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

class Packer {
  public:
    // zstd's levels: 1 is fast, 3 its default.
    explicit Packer(int level);
    ~Packer();
    Packer(Packer&&) noexcept;
    Packer& operator=(Packer&&) noexcept;
    // Appends `plain` as one frame.
    void append(std::vector<u8>& out, std::span<const u8> plain);

  private:
    struct Context;
    std::unique_ptr<Context> context_;
};

class Unpacker {
  public:
    Unpacker();
    ~Unpacker();
    Unpacker(Unpacker&&) noexcept;
    Unpacker& operator=(Unpacker&&) noexcept;
    // Unpacks one frame of exactly `plain_bytes`, which the caller has checked to be bearable, into `plain`. False if
    // `packed` is not such a frame.
    bool unpack(std::span<const u8> packed, u64 plain_bytes, std::vector<u8>& plain);

  private:
    bool unpack_in_pieces(std::span<const u8> packed, u64 plain_bytes, std::vector<u8>& plain);

    struct Context;
    std::unique_ptr<Context> context_;
};

} // namespace forkscope
