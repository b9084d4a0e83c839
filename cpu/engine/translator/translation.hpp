// Owns: Translation, the host code of one block at one linear address, and its exits.
// Callers: the translator writes it, the engine links and retires it. Promises: plain data.
#pragma once

#include <array>
#include <vector>

#include "cpu/engine/block.hpp"

namespace forkscope::translator {

struct Translation;

// An exit to a known linear address. It leads to its stub until it is linked.
struct Link {
    Translation* from = nullptr;
    Translation* to = nullptr;
    u32 target = 0;    // EIP
    u32 jump_at = 0;   // offset in code memory of the jump's rel32
    u32 stub_at = 0;   // offset of the stub
    u32 frame_at = 0;  // offset of the number that the target page's physical address is compared with; 0: same page
    bool used = false; // the block has it
};

struct Translation {
    Block* block = nullptr;
    u32 eip = 0;      // of the block's first instruction; linear, as code is flat
    u32 entry_at = 0; // offset in code memory
    u32 size = 0;     // bytes of code
    std::array<Link, 2> links;
    std::vector<Link*> incoming;
};

} // namespace forkscope::translator
