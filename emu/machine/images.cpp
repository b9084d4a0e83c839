#include "emu/machine/images.hpp"

extern "C" {
extern const forkscope::u8 forkscope_firmware_start[], forkscope_firmware_end[];
extern const forkscope::u8 forkscope_initrd_start[], forkscope_initrd_end[];
extern const forkscope::u8 forkscope_sources_start[], forkscope_sources_end[];
extern const forkscope::u8 forkscope_kernel_lunaix_start[], forkscope_kernel_lunaix_end[];
}

namespace forkscope {

std::span<const u8> embedded_firmware() { return {forkscope_firmware_start, forkscope_firmware_end}; }
std::span<const u8> embedded_initrd() { return {forkscope_initrd_start, forkscope_initrd_end}; }
std::span<const u8> embedded_guest_sources() { return {forkscope_sources_start, forkscope_sources_end}; }

std::optional<std::span<const u8>> embedded_kernel(const std::string& os) {
    if (os == "lunaix")
        return std::span<const u8>(forkscope_kernel_lunaix_start, forkscope_kernel_lunaix_end);
    return std::nullopt;
}

std::vector<std::string> embedded_kernel_names() { return {"lunaix"}; }

} // namespace forkscope
