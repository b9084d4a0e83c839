// Five ways to translate the same recorded accesses, in nanoseconds for each: a plain softmmu without a model; the
// exact TLB asked every time; its front as the Mmu has it (layout B, inline update); a front that holds each set's most
// recent entry (layout A); a flat table by page number that holds those. Pages lie where a hash says, and are writable;
// an entry's first write walks again, as D is set then. The last four count the same misses, or the program says so and
// ends.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "mmu/tlb/tlb.hpp"
#include "tlb_stream.hpp"

namespace forkscope::bench {
namespace {

constexpr u32 kMemory = 16u << 20;

u8* memory() {
    static const std::unique_ptr<u8[]> bytes(new u8[kMemory + 16]());
    return bytes.get();
}
u32 frame_of(u32 linear) { return (linear >> kPageShift) * 0x9E3779B1u % (kMemory / kPageSize) * kPageSize; }

// What every way starts from when it knows nothing: the walk's cost is the same for all.
std::uintptr_t walk(u32 linear) {
    return reinterpret_cast<std::uintptr_t>(memory()) + frame_of(linear) - (linear & ~kPageMask);
}

struct Softmmu {
    struct Slot {
        u32 read = 1, write = 1;
        std::uintptr_t addend = 0;
    };
    std::array<std::array<Slot, 256>, 4> slots{}; // by privilege, and fetch or not
    u64 misses = 0;

    u8* access(const Record& r) {
        Slot& slot = slots[r.user | (r.op == Op::Fetch ? 2 : 0)][r.linear >> kPageShift & 255];
        const u32 tag = r.linear & ~kPageMask;
        if ((r.op == Op::Write ? slot.write : slot.read) != tag) [[unlikely]] {
            slot.write = r.op == Op::Write || (slot.read == tag && slot.write == tag) ? tag : 1;
            slot.read = tag;
            slot.addend = walk(r.linear);
            ++misses;
        }
        return reinterpret_cast<u8*>(slot.addend + r.linear);
    }
    void flush() { slots = {}; }
    void drop(u32 linear) {
        for (auto& half : slots)
            half[linear >> kPageShift & 255] = {};
    }
};

// The model: Tlb asked and touched at each access.
struct Naive {
    Tlb tlb{kTlbOfP6};
    u64 misses = 0;

    static AccessKind kind(const Record& r) {
        return r.op == Op::Fetch ? AccessKind::Fetch : r.op == Op::Write ? AccessKind::Write : AccessKind::Read;
    }
    TlbPlace slow(const Record& r, u32& evicted) {
        TlbPlace place = tlb.find(tlb.small_array(kind(r)), r.linear);
        evicted = 1;
        if (!place.found || (r.op == Op::Write && (tlb.entry(place).entry & kPteDirty) == 0)) {
            ++misses;
            place = tlb.take_place(tlb.small_array(kind(r)), r.linear);
            if (tlb.entry(place).valid())
                evicted = tlb.entry(place).tag;
            TlbEntry entry;
            entry.tag = r.linear & ~kPageMask;
            entry.entry = u64{frame_of(r.linear)} | kPtePresent | (r.op == Op::Write ? u32{kPteDirty} : 0);
            tlb.set_entry(place, entry);
        }
        tlb.touch(place);
        return place;
    }
    u8* host(const TlbPlace& place, u32 linear) {
        return memory() + (tlb.entry(place).entry & kPteFrame) + (linear & kPageMask);
    }
    u8* access(const Record& r) {
        u32 evicted = 1;
        return host(slow(r, evicted), r.linear);
    }
    void flush() {
        tlb.for_each_valid([this](const TlbPlace& place) { tlb.set_entry(place, {}); });
    }
    void drop(u32 linear) {
        for (const TlbArray array : {TlbArray::Data4K, TlbArray::Instruction4K})
            if (const TlbPlace place = tlb.find(array, linear); place.found)
                tlb.set_entry(place, {});
    }
};

struct FrontB : Naive {
    struct alignas(32) Slot {
        u32 read = 1, write = 1;
        std::uintptr_t addend = 0;
        u8 set = 0;
        PlruTouch touch;
    };
    std::array<std::array<Slot, 256>, 4> slots{};

    u8* access(const Record& r) {
        const bool fetch = r.op == Op::Fetch;
        Slot& slot = slots[r.user | (fetch ? 2 : 0)][r.linear >> kPageShift & 255];
        const u32 tag = r.linear & ~kPageMask;
        if ((r.op == Op::Write ? slot.write : slot.read) == tag) [[likely]] {
            tlb.touch(slot.set, slot.touch);
            return reinterpret_cast<u8*>(slot.addend + r.linear);
        }
        u32 evicted = 1;
        const TlbPlace place = slow(r, evicted);
        if (evicted != 1)
            unpublish(evicted, fetch);
        const bool dirty = (tlb.entry(place).entry & kPteDirty) != 0;
        slot = {tag, dirty ? tag : 1, walk(r.linear), static_cast<u8>(tlb.plru_number(place)), tlb.touch_of(place)};
        return reinterpret_cast<u8*>(slot.addend + r.linear);
    }
    void unpublish(u32 tag, bool fetch) {
        for (u32 user = 0; user < 2; ++user)
            if (Slot& slot = slots[user | (fetch ? 2 : 0)][tag >> kPageShift & 255]; slot.read == tag)
                slot = {};
    }
    void flush() {
        tlb.for_each_valid([this](const TlbPlace& place) {
            unpublish(tlb.entry(place).tag, place.array == TlbArray::Instruction4K);
            tlb.set_entry(place, {});
        });
    }
    void drop(u32 linear) {
        unpublish(linear & ~kPageMask, false);
        unpublish(linear & ~kPageMask, true);
        Naive::drop(linear);
    }
};

// Both of the following hold of each set only the entry whose hit changes nothing.
struct FrontA : Naive {
    struct Slot {
        u32 read = 1, write = 1;
        std::uintptr_t addend = 0;
    };
    std::array<std::array<Slot, 16>, 2> data{};
    std::array<std::array<Slot, 8>, 2> code{};

    Slot& slot_of(u32 linear, bool fetch, u32 user) {
        const u32 page = linear >> kPageShift;
        return fetch ? code[user][page & 7] : data[user][page & 15];
    }
    u8* access(const Record& r) {
        const bool fetch = r.op == Op::Fetch;
        Slot& slot = slot_of(r.linear, fetch, r.user);
        const u32 tag = r.linear & ~kPageMask;
        if ((r.op == Op::Write ? slot.write : slot.read) == tag) [[likely]]
            return reinterpret_cast<u8*>(slot.addend + r.linear);
        u32 evicted = 1;
        const TlbPlace place = slow(r, evicted);
        if (Slot& other = slot_of(r.linear, fetch, r.user ^ 1u); other.read != tag)
            other = {};
        slot = {tag, (tlb.entry(place).entry & kPteDirty) != 0 ? tag : 1, walk(r.linear)};
        return reinterpret_cast<u8*>(slot.addend + r.linear);
    }
    void flush() {
        data = {};
        code = {};
        Naive::flush();
    }
    void drop(u32 linear) {
        for (u32 user = 0; user < 2; ++user)
            for (const bool fetch : {false, true})
                if (Slot& slot = slot_of(linear, fetch, user); slot.read == (linear & ~kPageMask))
                    slot = {};
        Naive::drop(linear);
    }
};

struct Flat : Naive {
    // By privilege, and read, write or fetch: the addend of a published page, or 0.
    std::array<std::vector<std::uintptr_t>, 6> tables;
    std::array<u32, 24> published{}; // by set: its page, of data and then of code; ~0: none

    Flat() {
        for (auto& table : tables)
            table.resize(1u << 20);
        published.fill(~0u);
    }
    u8* access(const Record& r) {
        const u32 page = r.linear >> kPageShift;
        const std::uintptr_t addend = tables[r.user * 3u + static_cast<u32>(r.op)][page];
        if (addend != 0) [[likely]]
            return reinterpret_cast<u8*>(addend + r.linear);
        const bool fetch = r.op == Op::Fetch;
        u32 evicted = 1;
        const TlbPlace place = slow(r, evicted);
        u32& now = published[fetch ? 16 + (page & 7) : page & 15];
        if (now != page) {
            withdraw(now, fetch);
            now = page;
        }
        const std::uintptr_t where = walk(r.linear);
        if (fetch) {
            tables[r.user * 3u + 2][page] = where;
        } else {
            tables[r.user * 3u][page] = where;
            tables[r.user * 3u + 1][page] = (tlb.entry(place).entry & kPteDirty) != 0 ? where : 0;
        }
        return reinterpret_cast<u8*>(where + r.linear);
    }
    void withdraw(u32 page, bool fetch) {
        if (page == ~0u)
            return;
        for (u32 user = 0; user < 2; ++user) {
            if (fetch)
                tables[user * 3 + 2][page] = 0;
            else
                tables[user * 3][page] = tables[user * 3 + 1][page] = 0;
        }
    }
    void flush() {
        for (u32 set = 0; set < published.size(); ++set) {
            withdraw(published[set], set >= 16);
            published[set] = ~0u;
        }
        Naive::flush();
    }
    void drop(u32 linear) {
        for (const bool fetch : {false, true}) {
            const u32 page = linear >> kPageShift;
            u32& now = published[fetch ? 16 + (page & 7) : page & 15];
            if (now == page) {
                withdraw(now, fetch);
                now = ~0u;
            }
        }
        Naive::drop(linear);
    }
};

template <class Way> u64 replay(Way& way, const std::vector<Record>& records) {
    u64 sum = 0;
    for (const Record& record : records) {
        if (record.op == Op::Flush) [[unlikely]]
            way.flush();
        else if (record.op == Op::Drop) [[unlikely]]
            way.drop(record.linear);
        else if (u8* at = way.access(record); record.op == Op::Write)
            *at = static_cast<u8>(sum);
        else
            sum += *at;
    }
    return sum;
}

const std::vector<Record>& stream(int number) {
    static const std::vector<Record> streams[] = {record_guest("run=forkdemo --child 200 --parent 50; cowtest"),
                                                  record_guest("run=ls bin | wc; cat bin/sh | wc; ls bin | wc")};
    return streams[number];
}

template <class Way> void run(benchmark::State& state) {
    const std::vector<Record>& records = stream(static_cast<int>(state.range(0)));
    u64 misses = 0;
    const auto way = std::make_unique<Way>();
    for (auto _ : state) {
        way->flush();
        const u64 before = way->misses;
        benchmark::DoNotOptimize(replay(*way, records));
        misses = way->misses - before;
    }
    state.counters["misses"] = static_cast<double>(misses);
    state.counters["ns"] =
        benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(records.size()) / 1e9,
                           benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// The exact ways must be one another's equal in misses, or the figures mean nothing.
bool agree() {
    for (int number = 0; number < 2; ++number) {
        u64 misses[4] = {};
        const auto count = [&](auto way, u64& result) {
            replay(*way, stream(number));
            result = way->misses;
        };
        count(std::make_unique<Naive>(), misses[0]);
        count(std::make_unique<FrontB>(), misses[1]);
        count(std::make_unique<FrontA>(), misses[2]);
        count(std::make_unique<Flat>(), misses[3]);
        std::printf("stream %d: %zu records, misses %llu %llu %llu %llu\n", number, stream(number).size(),
                    static_cast<unsigned long long>(misses[0]), static_cast<unsigned long long>(misses[1]),
                    static_cast<unsigned long long>(misses[2]), static_cast<unsigned long long>(misses[3]));
        for (const u64 other : misses)
            if (other != misses[0])
                return false;
    }
    return true;
}

BENCHMARK_TEMPLATE(run, Softmmu)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(run, Naive)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(run, FrontB)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(run, FrontA)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(run, Flat)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

} // namespace
} // namespace forkscope::bench

int main(int argc, char** argv) {
    if (!forkscope::bench::agree()) {
        std::fprintf(stderr, "the exact ways disagree\n");
        return 1;
    }
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
