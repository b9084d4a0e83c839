// Owns: the multiboot 1 boot protocol: what a kernel image asks for and what it is given.
// Callers: the Machine. Promises: any bytes are accepted without harm; a refusal says what is wrong with the file.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

// A piece of physical memory to be filled before the kernel runs: `bytes`, then zeroes up to `memory_bytes`.
struct BootSegment {
    u32 address = 0;
    u32 memory_bytes = 0;
    std::vector<u8> bytes;
};

struct BootPlan {
    u32 entry = 0;
    u32 info_address = 0; // of the multiboot information structure, for EBX
    std::vector<BootSegment> segments;
};

inline constexpr u32 kMultibootLoaderMagic = 0x2BADB002; // in EAX at entry

// Lays out kernel, module, command line and information for a machine with `ram_bytes` of memory.
// Accepts ELF32 (by program headers) and the a.out kludge (by the header's addresses). Multiboot
// Specification 0.6.96.
Result<BootPlan> plan_multiboot(std::span<const u8> kernel, const std::string& kernel_name, std::span<const u8> module,
                                const std::string& module_name, const std::string& command_line, u64 ram_bytes);

} // namespace forkscope
