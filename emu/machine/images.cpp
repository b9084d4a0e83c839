#include "emu/machine/images.hpp"

// Placed by forkscope_embed(); kernels.def has a row for each of guest/personalities.cmake.
#define EMBEDDED(name) extern "C" const forkscope::u8 forkscope_##name##_start[], forkscope_##name##_end[];
EMBEDDED(firmware)
EMBEDDED(initrd)
EMBEDDED(sources)
#define KERNEL(name) EMBEDDED(kernel_##name)
#include "kernels.def"
#undef KERNEL
#undef EMBEDDED

namespace forkscope {

std::span<const u8> embedded_firmware() { return {forkscope_firmware_start, forkscope_firmware_end}; }
std::span<const u8> embedded_initrd() { return {forkscope_initrd_start, forkscope_initrd_end}; }
std::span<const u8> embedded_guest_sources() { return {forkscope_sources_start, forkscope_sources_end}; }

namespace {

struct EmbeddedKernel {
    const char* name;
    const u8 *start, *end;
};
constexpr EmbeddedKernel kKernels[] = {
#define KERNEL(name) {#name, forkscope_kernel_##name##_start, forkscope_kernel_##name##_end},
#include "kernels.def"
#undef KERNEL
};

} // namespace

std::optional<std::span<const u8>> embedded_kernel(const std::string& os) {
    for (const EmbeddedKernel& kernel : kKernels)
        if (os == kernel.name)
            return std::span<const u8>(kernel.start, kernel.end);
    return std::nullopt;
}

std::vector<std::string> embedded_kernel_names() {
    std::vector<std::string> names;
    for (const EmbeddedKernel& kernel : kKernels)
        names.emplace_back(kernel.name);
    return names;
}

} // namespace forkscope
