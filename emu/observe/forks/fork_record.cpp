#include "emu/observe/forks/fork_record.hpp"

#include <array>

#include "guest/abi/tracepoints.h"

namespace forkscope {

const char* fork_side_name(ForkSide side) {
    constexpr std::array<const char*, 4> kNames = {"parent", "child", "other", "unknown"};
    return kNames[static_cast<u8>(side)];
}

const char* frame_act_name(FrameAct act) {
    constexpr std::array<const char*, 5> kNames = {"allocated", "freed", "shared", "released", "copied"};
    return kNames[static_cast<u8>(act)];
}

const char* frame_use_name(u32 use) {
    switch (use) {
    case FRAME_USER:
        return "user";
    case FRAME_PAGE_TABLE:
        return "page table";
    case FRAME_PAGE_DIRECTORY:
        return "page directory";
    case FRAME_KERNEL_STACK:
        return "kernel stack";
    case FRAME_HEAP:
        return "heap";
    default:
        return "other";
    }
}

bool is_fork_stop(u64 id) { return (id >= TP_FORK_ENTER && id < TP_FORK_LEAVE) || id == TP_FORK_PID; }

bool states_directory(u64 id) { return id == TP_FORK_ADDRESS_SPACE || id == TP_FORK_PROTECT || id == TP_FORK_RUNNABLE; }

const char* fork_phase_stop(u32 id) {
    switch (id) {
    case TP_FORK_ENTER:
        return "0";
    case TP_FORK_CHILD_SLOT:
        return "1";
    case TP_FORK_PID:
        return "1b";
    case TP_FORK_ADDRESS_SPACE:
        return "2";
    case TP_FORK_PROTECT:
        return "2b";
    case TP_FORK_REGISTERS:
        return "3";
    case TP_FORK_FILES:
        return "4";
    case TP_FORK_RUNNABLE:
        return "5";
    default:
        return "?";
    }
}

const char* fork_phase_name(u32 id) {
    switch (id) {
    case TP_FORK_ENTER:
        return "enter";
    case TP_FORK_CHILD_SLOT:
        return "child slot";
    case TP_FORK_PID:
        return "pid";
    case TP_FORK_ADDRESS_SPACE:
        return "address space";
    case TP_FORK_PROTECT:
        return "copy-on-write protection";
    case TP_FORK_REGISTERS:
        return "registers and return 0";
    case TP_FORK_FILES:
        return "files and parent";
    case TP_FORK_RUNNABLE:
        return "runnable";
    default:
        return "unknown";
    }
}

} // namespace forkscope
