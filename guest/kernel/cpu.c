#include "guest/kernel/x86.h"

#define EFLAGS_AC 0x00040000u
#define EFLAGS_ID 0x00200000u

/* Says whether a bit of EFLAGS can be changed; on an older CPU it is stuck. */
static bool flag_can_change(uint32_t flag) {
    uint32_t before, after;
    __asm__ volatile("pushfl\n\tpopl %0\n\tmovl %0, %1\n\txorl %2, %1\n\tpushl %1\n\tpopfl\n\tpushfl\n\tpopl %1\n\t"
                     "pushl %0\n\tpopfl"
                     : "=&r"(before), "=&r"(after)
                     : "r"(flag));
    return ((before ^ after) & flag) != 0;
}

bool cpu_is_i386(void) { return !flag_can_change(EFLAGS_AC); }

uint32_t cpu_features(void) {
    if (!flag_can_change(EFLAGS_ID)) {
        return 0;
    }
    uint32_t leaf = 0, features = 0, ebx, ecx;
    __asm__ volatile("cpuid" : "+a"(leaf), "=b"(ebx), "=c"(ecx), "=d"(features));
    if (leaf < 1) {
        return 0;
    }
    leaf = 1;
    __asm__ volatile("cpuid" : "+a"(leaf), "=b"(ebx), "=c"(ecx), "=d"(features));
    return features;
}
