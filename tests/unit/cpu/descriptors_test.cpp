// Descriptors and limits, against the manual's pictures and rules.
#include <gtest/gtest.h>

#include "cpu/protection/descriptors.hpp"
#include "emu/base/random.hpp"

namespace forkscope {
namespace {

Descriptor descriptor(u64 bits) { return {bits, {}}; }

SegmentCache cache_of(u32 limit, u8 access, bool big) {
    SegmentFields fields;
    fields.limit = limit;
    fields.access = access;
    fields.big = big;
    return SegmentCache::from(0x10, Descriptor::of(fields));
}

TEST(Descriptor, TakesTheFlatSegmentsOfEveryKernelApart) {
    const Descriptor code = descriptor(0x00CF9A000000FFFF);
    EXPECT_EQ(code.base(), 0u);
    EXPECT_EQ(code.limit(), 0xFFFFFFFFu);
    EXPECT_TRUE(code.present() && code.is_segment() && code.is_readable_code() && code.big() && code.granular());
    EXPECT_FALSE(code.is_data() || code.is_writable_data() || code.is_conforming());
    const Descriptor user = descriptor(0x12CFF334567AFFFF);
    EXPECT_EQ(user.base(), 0x1234567Au);
    EXPECT_EQ(user.dpl(), 3);
    EXPECT_TRUE(user.is_data() && user.is_writable_data());
    EXPECT_FALSE(user.is_code() || user.is_readable_code());
    EXPECT_FALSE(descriptor(0x00CF97000000FFFF).is_conforming()) << "of data, the bit says that it expands down";
    const Descriptor tss = descriptor(0x0000890010000067);
    EXPECT_FALSE(tss.is_segment());
    EXPECT_TRUE(tss.is(SystemType::Tss32Available) && tss.is_any(kAvailableTss) && tss.is_32bit());
    EXPECT_FALSE(tss.is_code() || tss.is_data() || tss.is_any(kBusyTss));
    EXPECT_EQ(tss.limit(), 0x67u);
    EXPECT_EQ(tss.base(), 0x1000u);
}

TEST(Descriptor, HoldsTheFieldsThatItIsMadeOf) {
    Random random(1);
    for (int i = 0; i < 10000; ++i) {
        const u64 bits = random.next() & ~(u64{1} << 53); // the reserved bit
        const Descriptor read = descriptor(bits);
        SegmentFields fields;
        fields.base = read.base();
        fields.limit = read.granular() ? read.limit() >> 12 : read.limit();
        fields.access = read.access();
        fields.big = read.big();
        fields.granular = read.granular();
        fields.available = (bits >> 52 & 1) != 0;
        ASSERT_EQ(Descriptor::of(fields).bits, bits);
    }
}

TEST(Descriptor, TakesInterruptAndCallGatesApart) {
    const Descriptor gate = descriptor(0xC010EE0000081234);
    EXPECT_TRUE(gate.is(SystemType::InterruptGate32) && gate.is_any(kInterruptGates) && gate.is_32bit());
    EXPECT_EQ(gate.offset(), 0xC0101234u);
    EXPECT_EQ(gate.target(), 8);
    EXPECT_EQ(gate.dpl(), 3);
    EXPECT_TRUE(gate.present());
    EXPECT_FALSE(gate.is_any(kTrapGates));
    const Descriptor call = descriptor(0xFFFF840500105678);
    EXPECT_TRUE(call.is(SystemType::CallGate16) && call.is_any(kCallGates));
    EXPECT_EQ(call.offset(), 0x5678u) << "a 16-bit gate has no upper half";
    EXPECT_EQ(call.parameters(), 5u);
}

TEST(SegmentCache, CoversExactlyTheBytesThatALoopOverOffsetsFinds) {
    for (const bool big : {false, true}) {
        for (const u8 access : {u8{0x93}, u8{0x97}}) {
            for (const u32 limit : {0u, 1u, 0xFFEu, 0xFFFu, 0xFFFEu, 0xFFFFu, 0xFFFFFu}) {
                const SegmentCache cache = cache_of(limit, access, big);
                const u64 top = big ? 0xFFFFFFFF : 0xFFFF;
                for (const u32 near : {0u, limit, 0xFFFFu, 0xFFFFFFFFu}) {
                    for (int delta = -9; delta <= 9; ++delta) {
                        for (const u32 size : {1u, 2u, 4u, 8u}) {
                            const u32 offset = near + static_cast<u32>(delta);
                            bool all = true;
                            for (u64 at = offset; at < u64{offset} + size; ++at)
                                all = all && ((access & 4) != 0 ? at > limit && at <= top : at <= limit);
                            ASSERT_EQ(cache.covers(offset, size), all)
                                << "limit " << limit << " offset " << offset << " size " << size << " big " << big;
                        }
                    }
                }
            }
        }
    }
}

TEST(SegmentCache, IsFlatOnlyIfNothingNeedsChecking) {
    const SegmentCache data = SegmentCache::from(0x10, descriptor(0x00CF93000000FFFF));
    EXPECT_TRUE(data.flat_read && data.flat_write);
    const SegmentCache code = SegmentCache::from(8, descriptor(0x00CF9B000000FFFF));
    EXPECT_TRUE(code.flat_read && !code.flat_write);
    const SegmentCache execute_only = SegmentCache::from(8, descriptor(0x00CF99000000FFFF));
    EXPECT_FALSE(execute_only.flat_read || execute_only.may_read(0, 1));
    const SegmentCache read_only = SegmentCache::from(8, descriptor(0x00CF91000000FFFF));
    EXPECT_TRUE(read_only.flat_read && !read_only.may_write(0, 1));
    const SegmentCache expand_down = SegmentCache::from(8, descriptor(0x00CF97000000FFFF));
    EXPECT_FALSE(expand_down.flat_read || expand_down.may_read(0, 1)) << "an empty segment";
    const SegmentCache null = SegmentCache::null(3);
    EXPECT_FALSE(null.flat_read || null.may_read(0, 1) || null.may_write(0, 1));
}

TEST(SegmentCache, KeepsTheLimitInRealMode) {
    SegmentCache cache = SegmentCache::from(0x10, descriptor(0x00CF93000000FFFF));
    cache.load_real(0x1234);
    EXPECT_EQ(cache.base, 0x12340u);
    EXPECT_EQ(cache.limit, 0xFFFFFFFFu) << "what programs call unreal mode";
    cache.load_virtual_8086(0x2000);
    EXPECT_EQ(cache.limit, 0xFFFFu);
    EXPECT_EQ(cache.dpl(), 3);
    EXPECT_TRUE(cache.may_write(0xFFFF, 1));
    EXPECT_FALSE(cache.may_write(0xFFFF, 2));
}

TEST(SegmentCache, ComesBackFromASnapshotWithItsFlatBits) {
    SegmentCache cache = SegmentCache::from(0x10, descriptor(0x00CF93000000FFFF)), other;
    SaveArchive save;
    cache.serialize(save);
    const std::vector<u8> bytes = save.take();
    LoadArchive load(bytes);
    other.serialize(load);
    ASSERT_TRUE(load.finish().ok());
    EXPECT_TRUE(other.flat_read && other.flat_write);
    EXPECT_EQ(other.selector, 0x10);
}

// Each bit of descriptor and selector changes what a register gets, or is asked for in vain: none may be overlooked.
TEST(ParsedDescriptors, NoticeEachBitThatHasChanged) {
    const auto hash_of = [](SegmentCache cache) {
        HashArchive archive;
        cache.serialize(archive);
        return archive.digest();
    };
    ParsedDescriptors parsed;
    const u64 flat = 0x00CF93000000FFFF;
    for (u32 bit = 0; bit < 64 + 16; ++bit) {
        EXPECT_EQ(hash_of(parsed.of(0x10, descriptor(flat))), hash_of(SegmentCache::from(0x10, descriptor(flat))));
        const auto selector = static_cast<u16>(0x10 ^ (bit < 16 ? 1u << bit : 0));
        const Descriptor other = descriptor(flat ^ (bit < 16 ? 0 : u64{1} << (bit - 16)));
        const SegmentCache& got = parsed.of(selector, other);
        const SegmentCache wanted = SegmentCache::from(selector, other);
        EXPECT_EQ(hash_of(got), hash_of(wanted)) << "bit " << bit;
        EXPECT_TRUE(got.flat_read == wanted.flat_read && got.flat_write == wanted.flat_write) << "bit " << bit;
    }
}

} // namespace
} // namespace forkscope
