// A Pentium M (Dothan C0), which is a Pentium III with SSE2 and NX. MSRs: SDM 4, table 2-56; counted events: SDM 3B,
// table 19-37. Its clocks are estimates by cost class.
#include "cpu/models/generations.hpp"

namespace forkscope {

namespace {
constexpr u32 kSignature = 0x6D8;
// Leaf 2, SDM 2A table 3-12: the TLB that is modelled, which is the Pentium III's. 01: instruction pages, 4-way, 32
// entries; 02: 4 MB instruction pages, 2; 03: 4 KB data pages, 4-way, 64; 04: 4 MB data pages, 4-way, 8.
// Leaf 1, EBX: CLFLUSH goes by 8 quadwords.
constexpr CpuidLeaf kLeaves[] = {intel_leaf(2), {kSignature, 8 << 8, 0, 0}, {0x03020101, 0, 0, 0x04}};

// Four characters of the name that leaves 80000002H to 80000004H give.
constexpr u32 four(std::string_view text, std::size_t at) {
    u32 word = 0;
    for (std::size_t i = 0; i < 4 && at + i < text.size(); ++i)
        word |= static_cast<u32>(static_cast<u8>(text[at + i])) << (8 * i);
    return word;
}
constexpr CpuidLeaf name_leaf(std::size_t number) {
    constexpr std::string_view kName = "Intel(R) Pentium(R) M processor";
    const std::size_t at = number * 16;
    return {four(kName, at), four(kName, at + 4), four(kName, at + 8), four(kName, at + 12)};
}
constexpr CpuidLeaf kExtendedLeaves[] = {{0x80000004, 0, 0, 0}, {0, 0, 0, 0}, name_leaf(0), name_leaf(1), name_leaf(2)};

constexpr MsrRow kMsrs[] = {
    {0x00, MsrKind::Constant, 0, 0},                             // P5_MC_ADDR
    {0x01, MsrKind::Constant, 0, 0},                             // P5_MC_TYPE
    {0x10, MsrKind::TimeStampCounter, 0, ~u64{0}},               // IA32_TIME_STAMP_COUNTER
    {0x17, MsrKind::Constant, 0, 0},                             // IA32_PLATFORM_ID
    {0x79, MsrKind::Constant, 0, 0},                             // IA32_BIOS_UPDT_TRIG: there is no microcode to update
    {0x8B, MsrKind::Stored, 0, ~u64{0}},                         // IA32_BIOS_SIGN_ID
    {0xC1, MsrKind::Counter, kFirstCounter, 0},                  // PERFCTR0
    {0xC2, MsrKind::Counter, kFirstCounter + 1, 0},              // PERFCTR1
    {0x174, MsrKind::Sysenter, 0, 0xFFFFFFFF},                   // SYSENTER_CS_MSR
    {0x175, MsrKind::Sysenter, 1, 0xFFFFFFFF},                   // SYSENTER_ESP_MSR
    {0x176, MsrKind::Sysenter, 2, 0xFFFFFFFF},                   // SYSENTER_EIP_MSR
    {0x186, MsrKind::EventSelect, kEventSelect, 0xFFFFFFFF},     // EVNTSEL0
    {0x187, MsrKind::EventSelect, kEventSelect + 1, 0xFFFFFFFF}, // EVNTSEL1
    {0x277, MsrKind::PageAttributes, kPageAttributesSlot, 0x0707070707070707}, // IA32_PAT
    {0xC0000080, MsrKind::ExtendedFeatures, 5, kEferNxe},                      // IA32_EFER
};

constexpr CountedEvent kEvents[] = {
    {0x45, Counted::DataCacheMisses}, {0x79, Counted::UnhaltedCycles}, {0x81, Counted::CodeCacheMisses},
    {0x85, Counted::CodeTlbMisses},   {0xC0, Counted::Instructions},   {0xC4, Counted::Branches},
    {0xC5, Counted::Mispredictions},  {0xC8, Counted::Interrupts},
};

constexpr CacheGeometry kCache{.sets = 64, .ways = 8, .line = 64}; // 32 KB
} // namespace

constinit const Model kP6 = {
    .number = CpuModel::P6,
    .name = "p6",
    .text = "Pentium M (Dothan C0): a Pentium III with SSE2 and NX; its TLB is the Pentium III's",
    .signature = kSignature,
    .features =
        kFeaturesOfPentium | feature_set(Feature::Sysenter, Feature::GlobalPages, Feature::Cmov, Feature::Mmx,
                                         Feature::Fxsr, Feature::Sse, Feature::Sse2, Feature::CacheLineFlush,
                                         Feature::Pae, Feature::Pse36, Feature::PageAttributes, Feature::NoExecute),
    .since = kSincePentium | since_set(Since::P6, Since::Mmx, Since::Fxsr, Since::Sse, Since::Sse2),
    .eflags = kFlagsOfPentium,
    .cr0 = kCr0Of486,
    .cr0_ones = kCr0Et,
    .cr0_reset = kCr0At486Reset,
    .cr4 = kCr4OfPentium | kCr4Pae | kCr4Pge | kCr4Pce | kCr4OsFxsr | kCr4OsXmmExcpt,
    .dr6_reset = 0xFFFF0FF0,
    .dr7_reset = 0x400,
    .leaves = kLeaves,
    .extended_leaves = kExtendedLeaves,
    .msrs = kMsrs,
    .selectors = EventSelectors::PerCounter,
    .events = kEvents,
    .tlb = kTlbOfP6,
    .cost = {.latencies = LatencyColumn::Pentium, // of paths
             .by_class = true,
             .predicts_branches = true,
             .aligned_within = 8,
             .code_cache = kCache,
             .data_cache = kCache},
};

} // namespace forkscope
