// Owns: the multiboot 1 boot protocol: what a kernel image asks for and what it is given.
// Callers: the Machine. Promises: any bytes are accepted without harm; a refusal says what is wrong with the file; all
// that is loaded lies in RAM.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/shared/shared_bytes.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

// A file that the kernel finds in memory, with its name and whatever words follow it.
struct BootModule {
    std::string command_line;
    SharedBytes bytes;
};

// A piece of physical memory to be filled before the kernel runs: `bytes`, then zeroes up to `memory_bytes`.
struct BootSegment {
    u32 address = 0;
    u32 memory_bytes = 0;
    SharedBytes bytes;
};

struct BootPlan {
    u32 entry = 0;
    u32 info_address = 0; // of the multiboot information structure, for EBX
    u32 stack_top = 0;    // for ESP: the specification promises none, kernels rely on one all the same
    std::vector<BootSegment> segments;
    std::vector<std::string> warnings; // what the kernel asked for and does not get, what other loaders refuse
};

inline constexpr u32 kMultibootLoaderMagic = 0x2BADB002; // in EAX at entry

// Lays out kernel, modules, command line and information for a machine with `ram_bytes` of memory. What an image has
// from A0000h to FFFFFh, where there is no RAM, is not loaded. Multiboot Specification 0.6.96.
Result<BootPlan> plan_multiboot(const SharedBytes& kernel, const std::string& kernel_name,
                                std::span<const BootModule> modules, const std::string& command_line, u64 ram_bytes);

} // namespace forkscope
