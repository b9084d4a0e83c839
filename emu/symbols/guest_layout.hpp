// Owns: GuestLayout, where a guest's kernel and its programs' stacks lie in the linear address space.
// Callers: code that distinguishes kernel from user: symbols, tracer, page-table views, reports, panels. Promises:
// plain data; the default is the built-in guest's.
#pragma once

#include "emu/base/types.hpp"
#include "guest/abi/layout.h"

namespace forkscope {

class ElfImage;

struct GuestLayout {
    u32 kernel_base = KERNEL_BASE;
    // The built-in guest's programs have their stacks here, where it does not say which pages are one.
    u32 stack_low = USER_STACK_TOP - USER_STACK_BYTES;
    u32 stack_high = USER_STACK_TOP;

    bool is_user(u32 address) const { return address < kernel_base; }
    bool is_kernel(u32 address) const { return address >= kernel_base; }
    bool in_stack(u32 address) const { return address >= stack_low && address < stack_high; }

    // Of a kernel that is not ours, and of which nothing is known: its programs' stacks may lie anywhere.
    static GuestLayout foreign();
    // Of one with an image: by where it is linked. One linked low says nothing of its base, and is given the default.
    static GuestLayout of_kernel(const ElfImage& image);
};

} // namespace forkscope
