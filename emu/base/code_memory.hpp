// Owns: CodeMemory, the memory that an engine's host code lies in: one piece, seen at two addresses.
// Callers: emu/files maps it, the translator writes through one view and runs the other. Promises: plain data; no
// address of it is writable and executable at once.
#pragma once

#include <functional>
#include <memory>

#include "emu/base/types.hpp"

namespace forkscope {

struct CodeMemory {
    u8* writable = nullptr;
    const u8* executable = nullptr;
    u64 size = 0; // 0: there is none
    std::shared_ptr<void> owner;
};
// Of so many bytes.
using MapCodeMemory = std::function<CodeMemory(u64 size)>;

} // namespace forkscope
