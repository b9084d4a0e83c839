// Owns: what --initrd means: files that the kernel gets as multiboot modules, in QEMU's way of writing them.
// Callers: the Session. Promises: each module's command line is what was written for it, file name and words.
#pragma once

#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/machine/multiboot.hpp"

namespace forkscope {

struct ModuleRequest {
    std::string path, command_line;
};

// "a x y,b z": the file a with the words "x y", then b with "z". A comma that is meant is written twice.
std::vector<ModuleRequest> parse_modules(const std::string& value);
// Of each use of the option, in order.
Result<std::vector<BootModule>> read_modules(const std::vector<std::string>& values, u64 ram_bytes);

} // namespace forkscope
