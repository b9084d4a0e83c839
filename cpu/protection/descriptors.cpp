#include "cpu/protection/descriptors.hpp"

namespace forkscope {

SegmentCache SegmentCache::null(u16 selector) {
    SegmentCache cache;
    cache.selector = selector;
    return cache;
}

void SegmentCache::load_real(u16 new_selector) {
    selector = new_selector;
    base = u32{new_selector} << 4;
    valid = true;
    update_flat();
}

void SegmentCache::load_virtual_8086(u16 new_selector) {
    *this = at_reset(new_selector, u32{new_selector} << 4);
    access = static_cast<u8>(access | kAccessDpl);
}

SegmentCache SegmentCache::at_reset(u16 selector, u32 base) {
    SegmentCache cache;
    cache.selector = selector;
    cache.base = base;
    cache.limit = 0xFFFF;
    cache.access = kAccessPresent | kAccessNotSystem | kAccessReadWrite | kAccessAccessed;
    cache.valid = true;
    cache.update_flat();
    return cache;
}

void SegmentCache::serialize(Archive& ar) {
    ar.field("selector", selector);
    ar.field("base", base);
    ar.field("limit", limit);
    ar.field("access", access);
    ar.field("big", big);
    ar.field("granular", granular);
    ar.field("valid", valid);
    if (ar.loading())
        update_flat();
}

} // namespace forkscope
