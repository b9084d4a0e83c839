#include "emu/files/large_pages.hpp"

#include <sys/mman.h>

#include <cstdint>

namespace forkscope {

// Linux takes addresses at its small pages only, and no more than a hint.
void prefer_large_pages(std::span<u8> memory) {
#ifdef MADV_HUGEPAGE
    constexpr std::uintptr_t kMask = 4095;
    const auto begin = (reinterpret_cast<std::uintptr_t>(memory.data()) + kMask) & ~kMask;
    const auto end = reinterpret_cast<std::uintptr_t>(memory.data() + memory.size()) & ~kMask;
    if (begin < end)
        static_cast<void>(madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE));
#else
    static_cast<void>(memory);
#endif
}

} // namespace forkscope
