// What differs by model: CPUID, MSRs, counters, test registers. The tables are in model.cpp.
#include "cpu/execute/system.hpp"

#include "cpu/protection/segments.hpp"
#include "emu/base/log.hpp"

namespace forkscope::handlers {

namespace {

void put_pair(Context& cpu, u64 value) {
    cpu.regs().set_reg<u32>(kEax, static_cast<u32>(value));
    cpu.regs().set_reg<u32>(kEdx, static_cast<u32>(value >> 32));
}

constexpr u64 kCounterBits = (u64{1} << 40) - 1;

// Whether the value may be written: no bit that the register lacks, and no memory type that does not exist (2 and 3).
bool fits(const MsrRow& row, u64 value) {
    if (row.kind == MsrKind::PageAttributes && ((value >> 1 & ~(value >> 2)) & 0x0101010101010101) != 0)
        return false;
    const bool any = row.kind == MsrKind::Constant || row.kind == MsrKind::TimeStampCounter ||
                     (row.kind == MsrKind::Counter && row.writable == 0);
    return any || (value & ~row.writable) == 0;
}

// A kernel that does not expect this #GP needs the register's number.
Faulted refuse_register(Context& cpu, const Instruction& in, const char* what) {
    const u32 number = cpu.regs().reg<u32>(kEcx);
    log_warning_once(
        fmt::format("{} {:x}", what, number),
        fmt::format("the guest {} model-specific register {:#x} at {:08x}, which --cpu {} refuses: it gets "
                    "#GP",
                    what, number, cpu.regs().segments[kCs].base + cpu.present_eip(in), cpu.model().name));
    return cpu.fault(kGeneralProtection, 0);
}

} // namespace

Step cpuid(Context& cpu, const Instruction&) {
    CpuState& r = cpu.regs();
    const CpuidLeaf leaf = cpu.model().cpuid(r.reg<u32>(kEax));
    r.set_reg<u32>(kEax, leaf.eax);
    r.set_reg<u32>(kEbx, leaf.ebx);
    r.set_reg<u32>(kEcx, leaf.ecx);
    r.set_reg<u32>(kEdx, leaf.edx);
    return Step::Next;
}

Step rdtsc(Context& cpu, const Instruction&) {
    if (!cpu.privileged() && (cpu.regs().cr4 & kCr4Tsd) != 0)
        return cpu.fault(kGeneralProtection, 0);
    put_pair(cpu, cpu.progress().now() + cpu.regs().tsc_offset);
    return Step::Next;
}

// SDM 2B, RDPMC: the P6 has counters 0 and 1.
Step rdpmc(Context& cpu, const Instruction&) {
    const u32 number = cpu.regs().reg<u32>(kEcx);
    if ((!cpu.privileged() && (cpu.regs().cr4 & kCr4Pce) == 0) || number > 1)
        return cpu.fault(kGeneralProtection, 0);
    cpu.meter().bring_counters_up_to_date();
    put_pair(cpu, cpu.regs().model_registers[kFirstCounter + number]);
    return Step::Next;
}

Step rdmsr(Context& cpu, const Instruction& in) {
    if (!cpu.privileged())
        return cpu.fault(kGeneralProtection, 0);
    const CpuState& r = cpu.regs();
    const MsrRow* row = cpu.model().msr(r.reg<u32>(kEcx));
    if (row == nullptr)
        return refuse_register(cpu, in, "read");
    switch (row->kind) {
    case MsrKind::Constant:
        put_pair(cpu, 0);
        break;
    case MsrKind::Counter:
        cpu.meter().bring_counters_up_to_date();
        [[fallthrough]];
    case MsrKind::Stored:
    case MsrKind::EventSelect:
    case MsrKind::ExtendedFeatures:
    case MsrKind::PageAttributes:
        put_pair(cpu, r.model_registers[row->slot]);
        break;
    case MsrKind::Sysenter:
        put_pair(cpu, r.sysenter[row->slot]);
        break;
    case MsrKind::TimeStampCounter:
        put_pair(cpu, cpu.progress().now() + r.tsc_offset);
        break;
    }
    return Step::Next;
}

Step wrmsr(Context& cpu, const Instruction& in) {
    if (!cpu.privileged())
        return cpu.fault(kGeneralProtection, 0);
    CpuState& r = cpu.regs();
    const u64 value = (r.gpr[kEdx] << 32) | r.reg<u32>(kEax);
    const MsrRow* row = cpu.model().msr(r.reg<u32>(kEcx));
    if (row == nullptr || !fits(*row, value))
        return refuse_register(cpu, in, row == nullptr ? "wrote" : "wrote reserved bits of");
    switch (row->kind) {
    case MsrKind::Constant:
        break;
    case MsrKind::ExtendedFeatures:
        cpu.mmu().write_efer(static_cast<u32>(value));
        [[fallthrough]];
    case MsrKind::Stored:
    case MsrKind::PageAttributes:
        r.model_registers[row->slot] = value;
        break;
    case MsrKind::EventSelect:
        cpu.meter().bring_counters_up_to_date();
        r.model_registers[row->slot] = value;
        cpu.meter().counters_set();
        break;
    case MsrKind::Counter: // the P6 takes 32 bits and their sign (SDM 3B 18.6.8.2)
        cpu.meter().bring_counters_up_to_date();
        r.model_registers[row->slot] =
            row->writable != 0 ? value : static_cast<u64>(static_cast<i64>(static_cast<i32>(value))) & kCounterBits;
        break;
    case MsrKind::Sysenter:
        r.sysenter[row->slot] = value;
        break;
    case MsrKind::TimeStampCounter:
        r.tsc_offset = value - cpu.progress().now();
        break;
    }
    return cpu.leave_block(in);
}

enum class FlatSegment : u8 { Data = 0, Code = kAccessCode };

// Flat 4 GB code and data segments whatever the GDT says (SDM 2B, SYSENTER).
static SegmentCache flat_segment(u32 selector, FlatSegment kind, u8 dpl) {
    SegmentFields flat;
    flat.limit = 0xFFFFF;
    flat.granular = flat.big = true;
    flat.access = static_cast<u8>(kAccessPresent | kAccessNotSystem | kAccessReadWrite | kAccessAccessed |
                                  static_cast<u8>(kind) | dpl << 5);
    return SegmentCache::from(static_cast<u16>(selector), Descriptor::of(flat));
}

enum SysenterRegister : u8 { kSysenterCs, kSysenterEsp, kSysenterEip };

Step sysenter(Context& cpu, const Instruction& in) {
    CpuState& r = cpu.regs();
    const u8 from_cpl = r.cpl;
    const u32 cs = static_cast<u32>(r.sysenter[kSysenterCs]) & 0xFFFC;
    if (!r.protected_mode() || cs == 0)
        return cpu.fault(kGeneralProtection, 0);
    r.system_flags &= ~u32{kFlagVm | kFlagI | kFlagR};
    protection::set_code_segment(cpu, flat_segment(cs, FlatSegment::Code, 0), 0);
    r.segments[kSs] = flat_segment(cs + 8, FlatSegment::Data, 0);
    r.set_reg<u32>(kEsp, static_cast<u32>(r.sysenter[kSysenterEsp]));
    r.eip = static_cast<u32>(r.sysenter[kSysenterEip]);
    cpu.tracer().emit(TraceKind::Interrupt, kNoVector, 0, interrupt_source(InterruptCause::Sysenter, from_cpl),
                      cpu.next_eip(in));
    return Step::Jump;
}

Step sysexit(Context& cpu, const Instruction&) {
    CpuState& r = cpu.regs();
    const u32 cs = static_cast<u32>(r.sysenter[kSysenterCs]) & 0xFFFC;
    if (!r.protected_mode() || cs == 0 || r.cpl != 0)
        return cpu.fault(kGeneralProtection, 0);
    r.segments[kSs] = flat_segment((cs + 24) | 3, FlatSegment::Data, 3);
    protection::set_code_segment(cpu, flat_segment((cs + 16) | 3, FlatSegment::Code, 3), 3);
    r.eip = r.reg<u32>(kEdx);
    r.set_reg<u32>(kEsp, r.reg<u32>(kEcx));
    cpu.tracer().emit(TraceKind::InterruptReturn, r.segments[kCs].base + r.eip, 0, r.cpl);
    return Step::Jump;
}

// The test registers of the 386 (TLB) and 486 (TLB, cache). Those of the cache hold what is written; no test is run.
static bool test_register_exists(const Context& cpu, u8 number) {
    return (cpu.model().test_registers >> number & 1) != 0;
}

Step mov_r_test(Context& cpu, const Instruction& in) {
    if (!test_register_exists(cpu, in.reg))
        return cpu.fault(kInvalidOpcode);
    if (!cpu.privileged())
        return cpu.fault(kGeneralProtection, 0);
    cpu.regs().set_reg<u32>(in.rm, cpu.regs().test_registers[in.reg]);
    return Step::Next;
}

Step mov_test_r(Context& cpu, const Instruction& in) {
    if (!test_register_exists(cpu, in.reg))
        return cpu.fault(kInvalidOpcode);
    if (!cpu.privileged())
        return cpu.fault(kGeneralProtection, 0);
    auto& registers = cpu.regs().test_registers;
    registers[in.reg] = cpu.regs().reg<u32>(in.rm);
    if (in.reg != 6)
        return Step::Next;
    cpu.mmu().test_tlb(registers[6], registers[7]);
    return cpu.leave_block(in);
}

} // namespace forkscope::handlers
