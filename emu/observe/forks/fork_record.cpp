#include "emu/observe/forks/fork_record.hpp"

#include <array>

namespace forkscope {

const char* fork_side_name(ForkSide side) {
    constexpr std::array<const char*, 4> kNames = {"parent", "child", "other", "unknown"};
    return kNames[static_cast<u8>(side)];
}

const char* frame_act_name(FrameAct act) {
    constexpr std::array<const char*, 5> kNames = {"allocated", "freed", "shared", "released", "copied"};
    return kNames[static_cast<u8>(act)];
}

} // namespace forkscope
