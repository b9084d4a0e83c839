#include "cpu/models/model.hpp"

namespace forkscope {

namespace {

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

constexpr const Model* kModels[] = {
#define CPU_MODEL(enumerator, constant) &constant,
#include "cpu/models/models.def"
#undef CPU_MODEL
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

const Model& model_of(CpuModel model) { return *kModels[static_cast<u8>(model)]; }

const Model* find_model(std::string_view name) {
    for (const Model* model : kModels) {
        if (model->name == name)
            return model;
    }
    return nullptr;
}

std::span<const Model* const> all_models() { return kModels; }

std::string model_names(std::string_view between) {
    std::string names;
    for (const Model* model : kModels) {
        names += names.empty() ? "" : between;
        names += model->name;
    }
    return names;
}

} // namespace forkscope
