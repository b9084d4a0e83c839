#include "emu/cli/tracepoint_cost.hpp"

namespace forkscope {

TracepointCost tracepoint_cost(const MachineConfig& machine) {
    if (machine.clock == CostModelKind::Flat)
        return {.out = 20, .set_up = 52};
    switch (machine.cpu) {
    case CpuModel::I486:
        return {.out = 10, .set_up = 70};
    case CpuModel::Pentium:
        return {.out = 9, .set_up = 33};
    case CpuModel::P6:
        return {.out = 9, .set_up = 53};
    default:
        return {};
    }
}

} // namespace forkscope
