// Owns: PagePool, pieces of 4 KB that many checkpoints hold in common.
// Callers: checkpoints keep memory and state in it. Promises: zeros take nothing, nor does what was kept before; a page
// lives as long as somebody holds it; the bytes in use are known at any time.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "emu/base/types.hpp"

namespace forkscope {

using PageBytes = std::array<u8, kPageSize>;
using Page = std::shared_ptr<const PageBytes>; // null: zeros

inline constexpr PageBytes kZeroPage{};

class PagePool {
  public:
    // At most a page; what is missing counts as zeros. `before`: what was kept in this place the last time.
    Page keep(std::span<const u8> bytes, const Page& before);
    u64 bytes() const { return *count_ * (kPageSize + kOverhead); }

  private:
    static constexpr u64 kOverhead = 64; // of the book-keeping, about
    // Pages are counted even after the pool is gone.
    std::shared_ptr<u64> count_ = std::make_shared<u64>(0);
};

} // namespace forkscope
