#include "cpu/protection/descriptors.hpp"

namespace forkscope {

namespace {
constexpr u32 bits(u64 value, u32 low, u32 count) { return static_cast<u32>((value >> low) & ((u64{1} << count) - 1)); }
} // namespace

SegmentDescriptor SegmentDescriptor::parse(u64 bytes) {
    SegmentDescriptor d;
    d.base = bits(bytes, 16, 24) | bits(bytes, 56, 8) << 24;
    d.raw_limit = bits(bytes, 0, 16) | bits(bytes, 48, 4) << 16;
    d.access = static_cast<u8>(bits(bytes, 40, 8));
    d.available_bit = bits(bytes, 52, 1) != 0;
    d.big = bits(bytes, 54, 1) != 0;
    d.granular = bits(bytes, 55, 1) != 0;
    return d;
}

u64 SegmentDescriptor::encode() const {
    return u64{raw_limit & 0xFFFF} | u64{base & 0xFFFFFF} << 16 | u64{access} << 40 |
           u64{(raw_limit >> 16) & 15} << 48 | u64{available_bit} << 52 | u64{big} << 54 | u64{granular} << 55 |
           u64{base >> 24} << 56;
}

GateDescriptor GateDescriptor::parse(u64 bytes) {
    GateDescriptor g;
    g.selector = static_cast<u16>(bits(bytes, 16, 16));
    g.access = static_cast<u8>(bits(bytes, 40, 8));
    g.offset = bits(bytes, 0, 16) | (g.is_32bit() ? bits(bytes, 48, 16) << 16 : 0);
    g.parameter_count = static_cast<u8>(bits(bytes, 32, 5));
    return g;
}

SegmentCache SegmentCache::from(u16 selector, const SegmentDescriptor& descriptor) {
    SegmentCache cache;
    cache.selector = selector;
    cache.base = descriptor.base;
    cache.limit = descriptor.limit();
    cache.access = descriptor.access;
    cache.big = descriptor.big;
    cache.granular = descriptor.granular;
    cache.valid = true;
    cache.update_flat();
    return cache;
}

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

void SegmentCache::update_flat() {
    const bool whole = valid && limit == 0xFFFFFFFFu && !expand_down();
    flat_read = whole && readable();
    flat_write = whole && writable();
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
