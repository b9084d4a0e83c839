// Owns: what an engine has made of the guest's code, instruction by instruction, as text.
// Callers: `--info code:ADDRESS`. Promises: looks only; what no engine has translated has no rows.
#pragma once

#include <string>
#include <vector>

#include "cpu/engine/engine.hpp"

namespace forkscope {

struct HostCodeRow {
    u32 guest = 0; // 0: of no instruction, or of the one above
    std::string instruction;
    u64 host = 0;
    std::string code;
};

std::vector<HostCodeRow> host_code_rows(const HostCode& code, const Mmu& mmu);

} // namespace forkscope
