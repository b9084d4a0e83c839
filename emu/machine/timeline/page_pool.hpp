// Owns: PagePool, pieces of 4 KB that many checkpoints hold in common.
// Callers: checkpoints keep memory and state in it. Promises: equal contents are kept once, zeros not at all; a page
// lives as long as somebody holds it; the bytes in use are known at any time.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <unordered_map>

#include "emu/base/types.hpp"

namespace forkscope {

using PageBytes = std::array<u8, kPageSize>;
using Page = std::shared_ptr<const PageBytes>; // null: zeros

class PagePool {
  public:
    // At most a page; what is missing counts as zeros.
    Page keep(std::span<const u8> bytes);
    u64 bytes() const { return shelf_->pages.size() * (kPageSize + kOverhead); }

  private:
    static constexpr u64 kOverhead = 128; // of the book-keeping, about
    struct Shelf {
        // By XXH3, or by the next number that is free where two contents have one.
        std::unordered_map<u64, std::weak_ptr<const PageBytes>> pages;
    };
    // Pages give themselves back even after the pool is gone.
    std::shared_ptr<Shelf> shelf_ = std::make_shared<Shelf>();
};

inline const PageBytes kZeroPage{};

} // namespace forkscope
