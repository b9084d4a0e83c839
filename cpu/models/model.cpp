#include "cpu/models/model.hpp"

#include <array>

#include "cpu/execute/flags.hpp"
#include "mmu/paging.hpp"

namespace forkscope {

namespace {

constexpr u32 bit(Feature feature) { return 1u << static_cast<u32>(feature); }
constexpr u16 bit(Since since) { return static_cast<u16>(1u << static_cast<u32>(since)); }

// CPUID leaf 1, EDX (SDM 2A, table 3-11). What is not here has no bit.
struct FeatureBit {
    Feature feature;
    u8 position;
};
constexpr FeatureBit kFeatureBits[] = {
    {Feature::Fpu, 0},
    {Feature::Vme, 1},
    {Feature::DebugExtensions, 2},
    {Feature::LargePages, 3},
    {Feature::Tsc, 4},
    {Feature::Msr, 5},
    {Feature::Pae, 6},
    {Feature::MachineCheck, 7},
    {Feature::Cx8, 8},
    {Feature::Sysenter, 11},
    {Feature::GlobalPages, 13},
    {Feature::Cmov, 15},
    {Feature::Pse36, 17},
    {Feature::PageAttributes, 16},
    {Feature::CacheLineFlush, 19},
    {Feature::Mmx, 23},
    {Feature::Fxsr, 24},
    {Feature::Sse, 25},
    {Feature::Sse2, 26},
};
constexpr u32 kNoExecuteBit = 1u << 20; // leaf 80000001H, EDX

constexpr u32 kFlags386 = 0x37FD5; // C P A Z S T I D O IOPL NT RF VM
constexpr u32 kFlags486 = kFlags386 | kFlagAc | kFlagId;
constexpr u32 kFlagsPentium = kFlags486 | kFlagVif | kFlagVip;
constexpr u32 kCr0Of386 = kCr0Pe | kCr0Mp | kCr0Em | kCr0Ts | kCr0Et | kCr0Pg;
constexpr u32 kCr0Of486 = kCr0Pe | kCr0Mp | kCr0Em | kCr0Ts | kCr0Ne | kCr0Wp | kCr0Am | kCr0Nw | kCr0Cd | kCr0Pg;
constexpr u32 kCr0Reset = kCr0Cd | kCr0Nw | kCr0Et; // SDM 3A table 9-1
constexpr u32 kCr4OfPentium = kCr4Vme | kCr4Pvi | kCr4Tsd | kCr4De | kCr4Pse | kCr4Mce;

constexpr u32 kFeatures386 = bit(Feature::Fpu); // an 80387 beside it
constexpr u32 kFeatures486 =
    kFeatures386 | bit(Feature::AlignmentCheck) | bit(Feature::WriteProtect) | bit(Feature::Cpuid);
constexpr u32 kFeaturesPentium = kFeatures486 | bit(Feature::Vme) | bit(Feature::DebugExtensions) |
                                 bit(Feature::LargePages) | bit(Feature::Tsc) | bit(Feature::Msr) |
                                 bit(Feature::MachineCheck) | bit(Feature::Cx8);
constexpr u32 kFeaturesP6 = kFeaturesPentium | bit(Feature::Sysenter) | bit(Feature::GlobalPages) | bit(Feature::Cmov) |
                            bit(Feature::PerformanceCounters) | bit(Feature::Mmx) | bit(Feature::Fxsr) |
                            bit(Feature::Sse) | bit(Feature::Sse2) | bit(Feature::CacheLineFlush) | bit(Feature::Pae) |
                            bit(Feature::Pse36) | bit(Feature::PageAttributes) | bit(Feature::NoExecute);

constexpr u16 kSince386 = bit(Since::I386);
constexpr u16 kSince486 = kSince386 | bit(Since::I486);
constexpr u16 kSincePentium = kSince486 | bit(Since::P5);
constexpr u16 kSinceP6 =
    kSincePentium | bit(Since::P6) | bit(Since::Mmx) | bit(Since::Fxsr) | bit(Since::Sse) | bit(Since::Sse2);

// "GenuineIntel" in EBX, EDX, ECX.
constexpr u32 kGenu = 0x756E6547, kIneI = 0x49656E69, kNtel = 0x6C65746E;
constexpr u32 kSignature486 = 0x435, kSignaturePentium = 0x52C, kSignatureP6 = 0x6D8;
constexpr CpuidLeaf kLeaves486[] = {{1, kGenu, kNtel, kIneI}, {kSignature486, 0, 0, 0}};
constexpr CpuidLeaf kLeavesPentium[] = {{1, kGenu, kNtel, kIneI}, {kSignaturePentium, 0, 0, 0}};
// Leaf 2, SDM 2A table 3-12: the TLB that is modelled, which is the Pentium III's. 01: instruction pages, 4-way, 32
// entries; 02: 4 MB instruction pages, 2; 03: 4 KB data pages, 4-way, 64; 04: 4 MB data pages, 4-way, 8.
// Leaf 1, EBX: CLFLUSH goes by 8 quadwords.
constexpr CpuidLeaf kLeavesP6[] = {{2, kGenu, kNtel, kIneI}, {kSignatureP6, 8 << 8, 0, 0}, {0x03020101, 0, 0, 0x04}};
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
constexpr CpuidLeaf kExtendedLeavesP6[] = {
    {0x80000004, 0, 0, 0}, {0, 0, 0, 0}, name_leaf(0), name_leaf(1), name_leaf(2)};

// SDM 4, tables 2-57 and 2-56.
constexpr MsrRow kMsrsPentium[] = {
    {0x00, MsrKind::Constant, 0, 0},                           // P5_MC_ADDR
    {0x01, MsrKind::Constant, 0, 0},                           // P5_MC_TYPE
    {0x0E, MsrKind::Stored, 0, 0x3FF},                         // TR12
    {0x10, MsrKind::TimeStampCounter, 0, ~u64{0}},             // TSC
    {0x11, MsrKind::EventSelect, kEventSelect, 0x03FF03FF},    // CESR
    {0x12, MsrKind::Counter, kFirstCounter, 0xFFFFFFFFFF},     // CTR0
    {0x13, MsrKind::Counter, kFirstCounter + 1, 0xFFFFFFFFFF}, // CTR1
};
constexpr MsrRow kMsrsP6[] = {
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

constexpr Model kModels[] = {
    {CpuModel::I386,
     "i386",
     "Intel386 DX, stepping D1",
     0x308,
     0,
     kSince386,
     kFlags386,
     kCr0Of386,
     0,
     kCr0Et,
     0,
     0xFFFF0FF0,
     0,
     0b1100'0000,
     {},
     {},
     kTlbOfI386},
    {CpuModel::I486,
     "i486",
     "SL enhanced Intel486 DX2",
     kSignature486,
     kFeatures486,
     kSince486,
     kFlags486,
     kCr0Of486,
     kCr0Et,
     kCr0Reset,
     0,
     0xFFFF1FF0,
     0,
     0b1111'1000,
     kLeaves486,
     {},
     kTlbOfI486},
    {CpuModel::Pentium, "pentium", "Pentium (P54C)", kSignaturePentium, kFeaturesPentium, kSincePentium, kFlagsPentium,
     kCr0Of486, kCr0Et, kCr0Reset, kCr4OfPentium, 0xFFFF0FF0, 0x400, 0, kLeavesPentium, kMsrsPentium, kTlbOfPentium},
    {CpuModel::P6, "p6", "Pentium M (Dothan C0): a Pentium III with SSE2 and NX; its TLB is the Pentium III's",
     kSignatureP6, kFeaturesP6, kSinceP6, kFlagsPentium, kCr0Of486, kCr0Et, kCr0Reset,
     kCr4OfPentium | kCr4Pae | kCr4Pge | kCr4Pce | kCr4OsFxsr | kCr4OsXmmExcpt, 0xFFFF0FF0, 0x400, 0, kLeavesP6,
     kMsrsP6, kTlbOfP6, kExtendedLeavesP6},
};

} // namespace

CpuidLeaf Model::cpuid(u32 leaf) const {
    constexpr u32 kExtended = 0x80000000;
    if (leaf >= kExtended && leaf - kExtended < extended_leaves.size()) {
        CpuidLeaf answer = extended_leaves[leaf - kExtended];
        if (leaf == kExtended + 1 && has(Feature::NoExecute))
            answer.edx |= kNoExecuteBit;
        return answer;
    }
    const u32 highest = static_cast<u32>(leaves.size()) - 1;
    const u32 row = leaf < highest ? leaf : highest;
    CpuidLeaf answer = leaves[row];
    if (row == 1) {
        for (const FeatureBit& feature : kFeatureBits)
            answer.edx |= has(feature.feature) ? 1u << feature.position : 0;
    }
    return answer;
}

const MsrRow* Model::msr(u32 msr_number) const {
    for (const MsrRow& row : msrs) {
        if (row.number == msr_number)
            return &row;
    }
    return nullptr;
}

const Model& model_of(CpuModel model) { return kModels[static_cast<u8>(model)]; }

const Model* find_model(std::string_view name) {
    for (const Model& model : kModels) {
        if (model.name == name)
            return &model;
    }
    return nullptr;
}

std::span<const Model> all_models() { return kModels; }

} // namespace forkscope
