// What a snapshot holds of the processor.
#include "cpu/cpu.hpp"

namespace forkscope {

void CpuState::serialize(Archive& ar) {
    ar.field("gpr", gpr);
    ar.field("eip", eip);
    u32 packed = eflags();
    ar.field("eflags", packed);
    if (ar.loading())
        set_eflags(packed);
    ar.field("segments", segments);
    ar.nested("ldtr", ldtr);
    ar.nested("tr", tr);
    ar.nested("gdtr", gdtr);
    ar.nested("idtr", idtr);
    ar.field("cr0", cr0);
    ar.field("cr2", cr2);
    ar.field("cr3", cr3);
    ar.field("cr4", cr4);
    ar.field("dr", dr);
    ar.field("cpl", cpl);
    ar.field("tsc_offset", tsc_offset);
    ar.field("sysenter", sysenter);
    ar.nested("x87", x87);
    ar.field("xmm", xmm);
    ar.field("mxcsr", mxcsr);
    ar.field("model_registers", model_registers);
    ar.field("test_registers", test_registers);
    if (ar.loading() && (cpl > 3 || gpr[kNoRegister] != 0 || (mxcsr & ~u32{kMxcsrAll}) != 0))
        ar.fail("the registers hold impossible values");
}

void Cpu::serialize(Archive& ar) {
    EMU_ASSERT(context_.progress().current == nullptr, "the CPU can only be saved between instructions");
    ar.nested("registers", context_.regs());
    context_.attention().serialize(ar);
    context_.progress().serialize(ar);
    context_.meter().serialize(ar);
    context_.breakpoints().serialize(ar);
    if (!ar.loading())
        return;
    context_.attention().loaded();
    context_.set_cpl(context_.state().cpl);
    context_.meter().loaded();
    context_.flags_changed();
    context_.debug_registers_changed();
}

} // namespace forkscope
