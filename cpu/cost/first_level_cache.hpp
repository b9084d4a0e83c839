// Owns: the first-level cache of `--clock cache`: which lines it holds and which goes next; no data, as memory is
// always up to date here. Callers: CostMeter. Promises: part of the machine's state; a read that misses fills its
// line, a write that misses fills none (i486: write-through; Pentium: no allocation on a write).
#pragma once

#include <vector>

#include "cpu/models/model.hpp"
#include "emu/base/archive.hpp"

namespace forkscope {

class FirstLevelCache {
  public:
    FirstLevelCache() = default; // absent
    explicit FirstLevelCache(const CacheGeometry& geometry);

    bool present() const { return geometry_.sets != 0; }
    const CacheGeometry& geometry() const { return geometry_; }
    // A read of the line around `physical`: was it there? It is now.
    bool read(u64 physical);
    bool write(u64 physical);
    void invalidate();
    void serialize(Archive& ar);

  private:
    u32 find(u32 set, u32 tag) const; // the way, or `ways` for none
    void touch(u32 set, u32 way);

    CacheGeometry geometry_;
    std::vector<u32> tags_; // set-major; line number + 1, 0: invalid
    std::vector<u8> order_; // by set: as PlruTouch in mmu/tlb/tlb.hpp
};

// Of code and data; where one serves both, `code` is absent.
struct FirstLevelCaches {
    FirstLevelCache code, data;
};

} // namespace forkscope
