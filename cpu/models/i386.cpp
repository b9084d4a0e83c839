// The 386 as its Programmer's Reference Manual of 1986 has it, with an 80387 beside it.
#include "cpu/models/generations.hpp"

namespace forkscope {

constinit const Model kI386 = {
    .number = CpuModel::I386,
    .name = "i386",
    .text = "Intel386 DX, stepping D1",
    .signature = 0x308,
    .features = 0, // nothing that software could ask for
    .since = kSince386,
    .eflags = kFlagsOf386,
    .cr0 = kCr0Of386,
    .cr0_ones = 0,
    .cr0_reset = kCr0Et,
    .cr4 = 0,
    .dr6_reset = 0xFFFF0FF0,
    .dr7_reset = 0,
    .test_registers = 0b1100'0000,
    .tlb = kTlbOfI386,
    .cost = {.latencies = LatencyColumn::I386, .pipeline = Pipeline::PrefetchQueue},
};

} // namespace forkscope
