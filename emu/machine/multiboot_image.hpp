// Owns: what a kernel's image asks of a multiboot 1 loader: pieces of memory, an entry, tables of symbols, a display.
// Callers: plan_multiboot(). Promises: any bytes are accepted without harm; a refusal says what is wrong with the file;
// all spans lie in the image.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

// `bytes`, then zeroes up to `memory_bytes`, at a physical address.
struct ImagePiece {
    u32 address = 0;
    u64 memory_bytes = 0;
    std::span<const u8> bytes;
    u64 header_bytes = 0; // of the file's own headers, which begin it: nobody misses them
};

// The ELF section headers, and the tables among them that no piece holds.
struct ImageSections {
    struct Table {
        u32 header = 0; // its number
        std::span<const u8> bytes;
    };
    u32 count = 0, entry_bytes = 0, names = 0;
    std::span<const u8> headers;
    std::vector<Table> tables;
};

struct VideoRequest {
    bool graphics = false;
    u32 width = 0, height = 0, depth = 0; // 0: the kernel does not mind
};

struct KernelImage {
    u32 entry = 0;
    bool entry_is_physical = false; // though the ELF file has virtual addresses
    std::vector<ImagePiece> pieces;
    ImageSections sections;
    std::optional<VideoRequest> video;
};

// By the addresses of the multiboot header where it has them (flag 16), else an ELF32 by its program headers. Multiboot
// Specification 0.6.96, 3.1.
Result<KernelImage> read_kernel_image(std::span<const u8> image, const std::string& name);
Error refuse_kernel(const std::string& name, const std::string& why);

} // namespace forkscope
