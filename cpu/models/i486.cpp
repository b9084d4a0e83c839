// The 486 as its Programmer's Reference Manual of 1990 has it, with the CPUID of the later steppings.
#include "cpu/models/generations.hpp"

namespace forkscope {

namespace {
constexpr u32 kSignature = 0x435;
constexpr CpuidLeaf kLeaves[] = {intel_leaf(1), {kSignature, 0, 0, 0}};
} // namespace

constinit const Model kI486 = {
    .number = CpuModel::I486,
    .name = "i486",
    .text = "SL enhanced Intel486 DX2",
    .signature = kSignature,
    .features = kFeaturesOf486,
    .since = kSince486,
    .eflags = kFlagsOf486,
    .cr0 = kCr0Of486,
    .cr0_ones = kCr0Et,
    .cr0_reset = kCr0At486Reset,
    .cr4 = 0,
    .dr6_reset = 0xFFFF1FF0,
    .dr7_reset = 0,
    .test_registers = 0b1111'1000,
    .leaves = kLeaves,
    .tlb = kTlbOfI486,
    .cost = {.latencies = LatencyColumn::I486,
             .pipeline = Pipeline::Interlocks,
             .data_cache = {.sets = 128, .ways = 4, .line = 16}}, // 8 KB for code and data
};

} // namespace forkscope
