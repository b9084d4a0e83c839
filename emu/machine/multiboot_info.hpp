// Owns: the multiboot information structure, what the loader tells a kernel (Multiboot Specification 0.6.96, 3.3).
// Callers: plan_multiboot(). Promises: its size does not depend on where it lies.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

struct PlacedModule {
    u32 start = 0, end = 0;
    std::string command_line;
};

struct BootFacts {
    u64 ram_bytes = 0;        // more than 1 MB
    std::string command_line; // the kernel's name, too
    std::vector<PlacedModule> modules;
    // ELF section headers, with the addresses of what was loaded.
    std::vector<u8> sections;
    u32 section_count = 0, section_bytes = 0, section_names = 0;
    bool tell_display = false;
};

inline constexpr u64 kLowMemory = 640 * 1024;
inline constexpr u64 kExtendedDataArea = kLowMemory - 1024; // the firmware's
inline constexpr u64 kHighStart = 0x100000;

std::vector<u8> boot_information(const BootFacts& facts, u32 base);

} // namespace forkscope
