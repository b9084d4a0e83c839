// Owns: MachineScene, the start of a fuzzed run: a processor mode with tables that make sense, then changed by the
// input, and the code to execute. Callers: machine_target.cpp. Promises: a pure function of the input.
#pragma once

#include <vector>

#include "emu/machine/machine.hpp"
#include "targets.hpp"

namespace forkscope::fuzz {

enum class SceneMode : u8 { Real, Virtual8086, Kernel32, Kernel16, User32, User16, PagedKernel, PagedUser, Count };

class MachineScene {
  public:
    explicit MachineScene(InputReader& input);
    void apply(Machine& machine) const;
    CpuModel model() const { return model_; }

  private:
    static constexpr u32 kVectorTable = 0, kGdt = 0x1000, kLdt = 0x1200, kIdt = 0x1400, kTasks = 0x1800;
    static constexpr u32 kDirectory = 0x2000, kTable = 0x3000, kHandlers = 0x8000, kCode = 0x8200, kMostCode = 0x600;
    static constexpr u32 kMemory = 0x10000; // how much of RAM the scene lays out

    void put(u32 address, u64 value, u32 size);
    void build_vectors();
    void build_descriptors();
    void build_tasks();
    void build_pages();
    void choose_registers(InputReader& input);
    void choose_breakpoints(bool code, bool data);
    void choose_segments();
    SegmentCache segment(u16 selector) const;

    SceneMode mode_;
    CpuModel model_;
    u32 cr0_ = 0; // beside PE and PG
    u32 cr4_ = 0;
    std::vector<u8> memory_;
    CpuState state_;
};

} // namespace forkscope::fuzz
