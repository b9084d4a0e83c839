// Owns: MachineConfig, everything that decides how a run goes before the first input.
// Callers: cli, ui, debug and tests fill it; the Machine takes it. Promises: same configuration + same input log = same
// run.
#pragma once

#include <string>
#include <vector>

#include "cpu/cpu.hpp"
#include "emu/base/shared/shared_bytes.hpp"
#include "emu/base/types.hpp"
#include "emu/machine/multiboot.hpp"

namespace forkscope {

struct MachineConfig {
    u64 ram_bytes = u64{64} << 20;
    u64 cycles_per_second = 100'000'000;
    EngineKind engine = EngineKind::Block;
    EngineFactory translator; // none: the block engine takes its place
    CpuModel cpu = kDefaultCpuModel;
    CostModelKind clock = CostModelKind::Flat;
    BusWidth bus = BusWidth::Bits32; // matters to the modelled clock of the 386 alone
    bool fast_table = true;
    TlbStudy tlb = TlbStudy::Model;
    u64 tlb_seed = 0;   // of TlbStudy::Random
    SharedBytes kernel; // a multiboot 1 image; empty: the firmware finds nothing to boot
    std::string kernel_name = "kernel";
    std::vector<BootModule> modules; // the first one is called the initrd
    std::string command_line;
    bool direct = false;        // enter the kernel at once, without the firmware
    i64 rtc_start = 1767225600; // the real-time clock at power-on, Unix time in seconds (2026-01-01 00:00:00)
};

} // namespace forkscope
