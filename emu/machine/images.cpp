#include "emu/machine/images.hpp"

extern "C" {
extern const forkscope::u8 forkscope_firmware_start[], forkscope_firmware_end[];
extern const forkscope::u8 forkscope_initrd_start[], forkscope_initrd_end[];
extern const forkscope::u8 forkscope_sources_start[], forkscope_sources_end[];
// Made by CMake from guest/personalities.cmake; the last row is empty.
extern const struct EmbeddedKernel {
    const char* name;
    const forkscope::u8 *start, *end;
} forkscope_kernels[];
}

namespace forkscope {

std::span<const u8> embedded_firmware() { return {forkscope_firmware_start, forkscope_firmware_end}; }
std::span<const u8> embedded_initrd() { return {forkscope_initrd_start, forkscope_initrd_end}; }
std::span<const u8> embedded_guest_sources() { return {forkscope_sources_start, forkscope_sources_end}; }

std::optional<std::span<const u8>> embedded_kernel(const std::string& os) {
    for (const EmbeddedKernel* kernel = forkscope_kernels; kernel->name != nullptr; kernel++)
        if (os == kernel->name)
            return std::span<const u8>(kernel->start, kernel->end);
    return std::nullopt;
}

std::vector<std::string> embedded_kernel_names() {
    std::vector<std::string> names;
    for (const EmbeddedKernel* kernel = forkscope_kernels; kernel->name != nullptr; kernel++)
        names.emplace_back(kernel->name);
    return names;
}

} // namespace forkscope
