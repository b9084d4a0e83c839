// Owns: what is built into the program: guest kernels, the initrd, their sources, the firmware.
// Callers: the Machine (firmware), cli (kernels, initrd, sources). Promises: read-only bytes, there for the whole run.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

std::span<const u8> embedded_firmware();
std::span<const u8> embedded_initrd();
// A tar archive of the guest's sources, named as the debug information of kernels and programs names them.
std::span<const u8> embedded_guest_sources();
// Kernels by the name that --os takes; empty optional for a name that is not there.
std::optional<std::span<const u8>> embedded_kernel(const std::string& os);
std::vector<std::string> embedded_kernel_names();

} // namespace forkscope
