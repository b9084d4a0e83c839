#include "emu/symbols/guest_layout.hpp"

#include <algorithm>

#include "emu/symbols/elf_image.hpp"

namespace forkscope {

GuestLayout GuestLayout::foreign() {
    GuestLayout layout;
    layout.stack_low = layout.stack_high = 0;
    return layout;
}

GuestLayout GuestLayout::of_kernel(const ElfImage& image) {
    // Kernels in the upper half are linked a little above the base of their half: Linux and BSD at C01..., xv6 at
    // 801..., JOS at F01....
    constexpr u32 kLowestBase = 0x40000000;
    constexpr u32 kGranule = 0x10000000;
    GuestLayout layout = foreign();
    u32 lowest = ~u32{0}; // of what is linked high: the part that turns paging on may lie low
    for (const ElfSegment& segment : image.segments())
        lowest = segment.start >= kLowestBase ? std::min(lowest, segment.start) : lowest;
    if (lowest == ~u32{0})
        return layout;
    layout.kernel_base = lowest & ~(kGranule - 1);
    return layout;
}

} // namespace forkscope
