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
    // A program's stack, where the guest does not say which pages are one.
    u32 stack_low = USER_STACK_TOP - USER_STACK_BYTES;
    u32 stack_high = USER_STACK_TOP;

    bool is_user(u32 address) const { return address < kernel_base; }
    bool is_kernel(u32 address) const { return address >= kernel_base; }
    bool in_stack(u32 address) const { return address >= stack_low && address < stack_high; }

    // Of a kernel that is not ours: by where it is linked. One linked low says nothing, and is given the default.
    static GuestLayout of_kernel(const ElfImage& image);
};

} // namespace forkscope
