// Owns: what each generation of processors brought: features, flags, control bits, instructions.
// Callers: the files of the models, which build on them. Promises: constants.
#pragma once

#include "cpu/execute/flags.hpp"
#include "cpu/models/model.hpp"
#include "mmu/paging.hpp"

namespace forkscope {

template <class... Features> constexpr u32 feature_set(Features... features) {
    return ((1u << static_cast<u32>(features)) | ... | 0u);
}
template <class... Generations> constexpr u16 since_set(Generations... since) {
    return static_cast<u16>(((1u << static_cast<u32>(since)) | ... | 0u));
}

inline constexpr u32 kFlagsOf386 = 0x37FD5; // C P A Z S T I D O IOPL NT RF VM
inline constexpr u32 kFlagsOf486 = kFlagsOf386 | kFlagAc | kFlagId;
inline constexpr u32 kFlagsOfPentium = kFlagsOf486 | kFlagVif | kFlagVip;

inline constexpr u32 kCr0Of386 = kCr0Pe | kCr0Mp | kCr0Em | kCr0Ts | kCr0Et | kCr0Pg;
inline constexpr u32 kCr0Of486 =
    kCr0Pe | kCr0Mp | kCr0Em | kCr0Ts | kCr0Ne | kCr0Wp | kCr0Am | kCr0Nw | kCr0Cd | kCr0Pg;
inline constexpr u32 kCr0At486Reset = kCr0Cd | kCr0Nw | kCr0Et; // SDM 3A table 9-1
inline constexpr u32 kCr4OfPentium = kCr4Vme | kCr4Pvi | kCr4Tsd | kCr4De | kCr4Pse | kCr4Mce;

inline constexpr u32 kFeaturesOf486 = feature_set(Feature::Fpu);
inline constexpr u32 kFeaturesOfPentium =
    kFeaturesOf486 | feature_set(Feature::Vme, Feature::DebugExtensions, Feature::LargePages, Feature::Tsc,
                                 Feature::Msr, Feature::MachineCheck, Feature::Cx8);

inline constexpr u16 kSince386 = since_set(Since::I386);
inline constexpr u16 kSince486 = kSince386 | since_set(Since::I486);
inline constexpr u16 kSincePentium = kSince486 | since_set(Since::P5);

// CPUID leaf 0: "GenuineIntel" in EBX, EDX, ECX.
constexpr CpuidLeaf intel_leaf(u32 highest) { return {highest, 0x756E6547, 0x6C65746E, 0x49656E69}; }

} // namespace forkscope
