// The P54C. MSRs: SDM 4, table 2-57; counted events: SDM 3B, table 19-38.
#include "cpu/models/generations.hpp"

namespace forkscope {

namespace {
constexpr u32 kSignature = 0x52C;
constexpr CpuidLeaf kLeaves[] = {intel_leaf(1), {kSignature, 0, 0, 0}};

constexpr MsrRow kMsrs[] = {
    {0x00, MsrKind::Constant, 0, 0},                           // P5_MC_ADDR
    {0x01, MsrKind::Constant, 0, 0},                           // P5_MC_TYPE
    {0x0E, MsrKind::Stored, 0, 0x3FF},                         // TR12
    {0x10, MsrKind::TimeStampCounter, 0, ~u64{0}},             // TSC
    {0x11, MsrKind::EventSelect, kEventSelect, 0x03FF03FF},    // CESR
    {0x12, MsrKind::Counter, kFirstCounter, 0xFFFFFFFFFF},     // CTR0
    {0x13, MsrKind::Counter, kFirstCounter + 1, 0xFFFFFFFFFF}, // CTR1
};

constexpr CountedEvent kEvents[] = {
    {0x02, Counted::DataTlbMisses},  {0x03, Counted::DataCacheMisses}, {0x0B, Counted::Misaligned},
    {0x0D, Counted::CodeTlbMisses},  {0x0E, Counted::CodeCacheMisses}, {0x12, Counted::Branches},
    {0x15, Counted::Mispredictions}, {0x16, Counted::Instructions},    {0x27, Counted::Interrupts},
};

constexpr CacheGeometry kCache{.sets = 128, .ways = 2, .line = 32}; // 8 KB
} // namespace

constinit const Model kPentium = {
    .number = CpuModel::Pentium,
    .name = "pentium",
    .text = "Pentium (P54C)",
    .signature = kSignature,
    .features = kFeaturesOfPentium,
    .since = kSincePentium,
    .eflags = kFlagsOfPentium,
    .cr0 = kCr0Of486,
    .cr0_ones = kCr0Et,
    .cr0_reset = kCr0At486Reset,
    .cr4 = kCr4OfPentium,
    .dr6_reset = 0xFFFF0FF0,
    .dr7_reset = 0x400,
    .whole_selector_slots = true,
    .leaves = kLeaves,
    .msrs = kMsrs,
    .selectors = EventSelectors::Cesr,
    .events = kEvents,
    .tlb = kTlbOfPentium,
    .cost = {.latencies = LatencyColumn::Pentium,
             .pipeline = Pipeline::TwoPipes,
             .predicts_branches = true,
             .aligned_within = 8,
             .code_cache = kCache,
             .data_cache = kCache},
};

} // namespace forkscope
