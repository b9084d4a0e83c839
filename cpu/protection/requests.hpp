// Owns: what interrupts, far transfers and task switches are asked for, and where they came from.
// Callers: handlers and delivery make them, cpu/protection carries them out, the cost meter prices them.
// Promises: plain data.
#pragma once

#include "cpu/execute/flags.hpp"
#include "emu/base/trace_vocabulary.hpp"

namespace forkscope {

// What delivery needs to know of where a vector came from.
struct InterruptRequest {
    u8 vector = 0;
    InterruptCause cause = InterruptCause::Hardware;
    bool has_error = false;
    u32 error = 0;

    // EXT of an error code that arises while the vector is delivered (SDM 3A 6.13).
    u32 ext() const { return cause == InterruptCause::Software ? 0 : 1; }
    // EFLAGS as the interrupted program's image holds them (SDM 3B 17.3.1.1): faults restart their instruction, and RF
    // keeps an instruction breakpoint from firing again; INT n has ended, and so has its RF.
    u32 saved_flags(u32 eflags) const {
        if (cause == InterruptCause::Fault)
            return eflags | kFlagR;
        return cause == InterruptCause::Software ? eflags & ~u32{kFlagR} : eflags;
    }
};

// Where an interrupt found the processor.
struct InterruptOrigin {
    bool protected_mode, virtual_8086;
    u8 cpl;
};

// A far transfer by JMP or by CALL, and the ring that its gate leads to.
enum class FarTransfer : u8 { Jump, Call };
enum class Ring : u8 { Same, Inner };

// How a task switch comes about, and what names the task.
enum class TaskSwitch : u8 { Jump, Call, Return };
enum class TaskName : u8 { Tss, TaskGate };

struct TaskSwitchRequest {
    u16 selector = 0; // of the TSS
    TaskSwitch kind = TaskSwitch::Jump;
    TaskName name = TaskName::Tss;           // of JMP and CALL
    u32 return_eip = 0;                      // where the old task goes on
    const InterruptRequest* event = nullptr; // that came through the IDT
};

} // namespace forkscope
