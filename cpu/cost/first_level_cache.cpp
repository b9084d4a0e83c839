#include "cpu/cost/first_level_cache.hpp"

#include <algorithm>

#include "mmu/tlb/tlb.hpp"

namespace forkscope {

FirstLevelCache::FirstLevelCache(const CacheGeometry& geometry)
    : geometry_(geometry), tags_(std::size_t{geometry.sets} * geometry.ways), order_(geometry.sets) {}

u32 FirstLevelCache::find(u32 set, u32 tag) const {
    u32 way = 0;
    while (way < geometry_.ways && tags_[set * geometry_.ways + way] != tag)
        ++way;
    return way;
}

void FirstLevelCache::touch(u32 set, u32 way) {
    const PlruTouch touched = plru_touch(way, geometry_.ways);
    order_[set] = static_cast<u8>((order_[set] & touched.keep) | touched.point);
}

bool FirstLevelCache::read(u64 physical) {
    const u32 line = static_cast<u32>(physical / geometry_.line);
    const u32 set = line % geometry_.sets;
    u32 way = find(set, line + 1);
    const bool hit = way < geometry_.ways;
    if (!hit) {
        way = find(set, 0); // an invalid one first
        if (way == geometry_.ways)
            way = plru_victim(order_[set], geometry_.ways);
        tags_[set * geometry_.ways + way] = line + 1;
    }
    touch(set, way);
    return hit;
}

bool FirstLevelCache::write(u64 physical) {
    const u32 line = static_cast<u32>(physical / geometry_.line);
    const u32 set = line % geometry_.sets;
    const u32 way = find(set, line + 1);
    if (way == geometry_.ways)
        return false;
    touch(set, way);
    return true;
}

void FirstLevelCache::invalidate() { std::fill(tags_.begin(), tags_.end(), 0); }

void FirstLevelCache::serialize(Archive& ar) {
    ar.raw("tags", tags_.data(), tags_.size() * sizeof(u32));
    ar.raw("order", order_.data(), order_.size());
}

} // namespace forkscope
