// Owns: SegmentCache, the hidden part of a segment register, and the pure rules of segment limits (SDM 3A 3.4, 5.3).
// Callers: the Cpu. Promises: plain data; checks have no side effects; `flat_*` say when a check cannot fail.
#pragma once

#include "emu/base/archive.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

struct SegmentCache {
    u16 selector = 0;
    u8 access = 0;       // descriptor byte 5: P, DPL, S, type
    bool big = false;    // D/B
    bool granular = false;
    bool usable = false; // false: null selector, every use faults
    bool flat_read = false;
    bool flat_write = false;
    u32 base = 0;
    u32 limit = 0; // in bytes, inclusive, granularity applied

    u8 dpl() const { return static_cast<u8>((access >> 5) & 3); }
    bool is_code() const { return (access & 0x18) == 0x18; }
    bool expands_down() const { return (access & 0x1C) == 0x14; }
    bool readable() const { return usable && (!is_code() || (access & 2) != 0); }
    bool writable() const { return usable && (access & 0x1A) == 0x12; }

    // True if [offset, offset + size) lies within the limit. size >= 1.
    bool covers(u32 offset, u32 size) const {
        const u32 last = offset + (size - 1);
        if (expands_down()) {
            const u32 top = big ? 0xFFFFFFFFu : 0xFFFFu;
            return offset > limit && last >= offset && last <= top;
        }
        return last >= offset && last <= limit;
    }
    bool readable_at(u32 offset, u32 size) const { return readable() && covers(offset, size); }
    bool writable_at(u32 offset, u32 size) const { return writable() && covers(offset, size); }

    // Recomputes flat_read and flat_write; call after any change of the other fields.
    void update_flat() {
        const bool everything = !expands_down() && limit == 0xFFFFFFFFu;
        flat_read = everything && readable();
        flat_write = everything && writable();
    }

    // As loaded from a code or data descriptor's two words.
    static SegmentCache from_descriptor(u16 selector, u32 low, u32 high) {
        SegmentCache cache;
        cache.selector = selector;
        cache.access = static_cast<u8>(high >> 8);
        cache.big = (high & (1u << 22)) != 0;
        cache.granular = (high & (1u << 23)) != 0;
        cache.usable = true;
        cache.base = (low >> 16) | ((high & 0xFF) << 16) | (high & 0xFF000000u);
        cache.limit = (low & 0xFFFF) | (high & 0xF0000);
        if (cache.granular)
            cache.limit = (cache.limit << 12) | 0xFFF;
        cache.update_flat();
        return cache;
    }
    // As real mode and virtual-8086 mode make them.
    static SegmentCache real_mode(u16 selector, u8 access_byte) {
        SegmentCache cache;
        cache.selector = selector;
        cache.access = access_byte;
        cache.usable = true;
        cache.base = u32{selector} << 4;
        cache.limit = 0xFFFF;
        cache.update_flat();
        return cache;
    }

    void serialize(Archive& ar) {
        ar.field("selector", selector);
        ar.field("access", access);
        ar.field("big", big);
        ar.field("granular", granular);
        ar.field("usable", usable);
        ar.field("base", base);
        ar.field("limit", limit);
        if (ar.loading())
            update_flat();
    }
};

} // namespace forkscope
