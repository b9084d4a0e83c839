#include "emu/debug/gdb_registers.hpp"

#include <cstring>

namespace forkscope {

namespace {

using Value = Vector128;
using enum RegisterFeature;

const CpuState& state_of(const Machine& machine) { return machine.registers(); }

Value general(const Machine& machine, u8 index) { return {state_of(machine).reg<u32>(index), 0}; }
// gdb's program counter is an address of memory: behind the segment's base.
Value program_counter(const Machine& machine, u8) { return {machine.cpu().linear_eip(), 0}; }
Value flags(const Machine& machine, u8) { return {state_of(machine).eflags(), 0}; }
Value selector(const Machine& machine, u8 index) { return {state_of(machine).segments[index].selector, 0}; }

Value float_register(const Machine& machine, u8 index) {
    const Float80& value = state_of(machine).x87.st(index);
    return {value.significand, static_cast<u16>(value.sign_exponent)};
}

Value float_control(const Machine& machine, u8 index) {
    const X87State& x87 = state_of(machine).x87;
    const u32 values[] = {
        x87.control,       x87.status_word(), x87.tag_word(), x87.instruction_selector, x87.instruction_offset,
        x87.data_selector, x87.data_offset,   x87.opcode};
    return {values[index], 0};
}

Value vector_register(const Machine& machine, u8 index) { return state_of(machine).xmm[index]; }
Value vector_control(const Machine& machine, u8) { return {state_of(machine).mxcsr, 0}; }

Value segment_base(const Machine& machine, u8 index) { return {state_of(machine).segments[index].base, 0}; }
Value segment_limit(const Machine& machine, u8 index) { return {state_of(machine).segments[index].limit, 0}; }
Value offset_of_eip(const Machine& machine, u8) { return {state_of(machine).eip, 0}; }
Value linear_esp(const Machine& machine, u8) {
    const CpuState& r = state_of(machine);
    const u32 offset = r.segments[kSs].big ? r.esp() : r.esp() & 0xFFFF;
    return {r.segments[kSs].base + offset, 0};
}

Value control(const Machine& machine, u8 index) {
    const CpuState& r = state_of(machine);
    const u32 values[] = {r.cr0, 0, r.cr2, r.cr3, r.cr4};
    return {values[index], 0};
}
Value extended_features(const Machine& machine, u8) { return {machine.mmu().control().efer, 0}; }
Value debug_register(const Machine& machine, u8 index) { return {state_of(machine).dr[index], 0}; }
Value privilege(const Machine& machine, u8) { return {state_of(machine).cpl, 0}; }

// Base and limit of the tables, then what the registers of selectors hold.
enum class TablePart : u8 { GdtrBase, GdtrLimit, IdtrBase, IdtrLimit, Ldtr, LdtrBase, LdtrLimit, Tr, TrBase, TrLimit };
Value table(const Machine& machine, u8 index) {
    const CpuState& r = state_of(machine);
    const u32 values[] = {r.gdtr.base, r.gdtr.limit, r.idtr.base,   r.idtr.limit, r.ldtr.selector,
                          r.ldtr.base, r.ldtr.limit, r.tr.selector, r.tr.base,    r.tr.limit};
    return {values[index], 0};
}

constexpr u8 part(TablePart which) { return static_cast<u8>(which); }

constexpr RegisterNumber written(u8 number) { return static_cast<RegisterNumber>(number); }

constexpr GdbRegister kCore[] = {
    {"eax", 32, "int32", "", Core, general, 0, written(0)},
    {"ecx", 32, "int32", "", Core, general, 1, written(1)},
    {"edx", 32, "int32", "", Core, general, 2, written(2)},
    {"ebx", 32, "int32", "", Core, general, 3, written(3)},
    {"esp", 32, "data_ptr", "", Core, general, 4, written(4)},
    {"ebp", 32, "data_ptr", "", Core, general, 5, written(5)},
    {"esi", 32, "int32", "", Core, general, 6, written(6)},
    {"edi", 32, "int32", "", Core, general, 7, written(7)},
    {"eip", 32, "code_ptr", "", Core, program_counter, 0, written(8)},
    {"eflags", 32, "i386_eflags", "", Core, flags, 0, written(9)},
    {"cs", 32, "int32", "", Core, selector, kCs, written(32 + kCs)},
    {"ss", 32, "int32", "", Core, selector, kSs, written(32 + kSs)},
    {"ds", 32, "int32", "", Core, selector, kDs, written(32 + kDs)},
    {"es", 32, "int32", "", Core, selector, kEs, written(32 + kEs)},
    {"fs", 32, "int32", "", Core, selector, kFs, written(32 + kFs)},
    {"gs", 32, "int32", "", Core, selector, kGs, written(32 + kGs)},
    {"st0", 80, "i387_ext", "", Core, float_register, 0, written(64)},
    {"st1", 80, "i387_ext", "", Core, float_register, 1, written(66)},
    {"st2", 80, "i387_ext", "", Core, float_register, 2, written(68)},
    {"st3", 80, "i387_ext", "", Core, float_register, 3, written(70)},
    {"st4", 80, "i387_ext", "", Core, float_register, 4, written(72)},
    {"st5", 80, "i387_ext", "", Core, float_register, 5, written(74)},
    {"st6", 80, "i387_ext", "", Core, float_register, 6, written(76)},
    {"st7", 80, "i387_ext", "", Core, float_register, 7, written(78)},
    {"fctrl", 32, "int", "float", Core, float_control, 0, written(40)},
    {"fstat", 32, "int", "float", Core, float_control, 1, written(41)},
    {"ftag", 32, "int", "float", Core, float_control, 2, written(42)},
    {"fiseg", 32, "int", "float", Core, float_control, 3, written(43)},
    {"fioff", 32, "int", "float", Core, float_control, 4, written(44)},
    {"foseg", 32, "int", "float", Core, float_control, 5, written(45)},
    {"fooff", 32, "int", "float", Core, float_control, 6, written(46)},
    {"fop", 32, "int", "float", Core, float_control, 7, written(47)},
};

constexpr GdbRegister kSse[] = {
    {"xmm0", 128, "vec128", "", Sse, vector_register, 0, written(80)},
    {"xmm1", 128, "vec128", "", Sse, vector_register, 1, written(82)},
    {"xmm2", 128, "vec128", "", Sse, vector_register, 2, written(84)},
    {"xmm3", 128, "vec128", "", Sse, vector_register, 3, written(86)},
    {"xmm4", 128, "vec128", "", Sse, vector_register, 4, written(88)},
    {"xmm5", 128, "vec128", "", Sse, vector_register, 5, written(90)},
    {"xmm6", 128, "vec128", "", Sse, vector_register, 6, written(92)},
    {"xmm7", 128, "vec128", "", Sse, vector_register, 7, written(94)},
    {"mxcsr", 32, "i386_mxcsr", "vector", Sse, vector_control, 0, written(48)},
};

constexpr GdbRegister kSystem[] = {
    {"cr0", 32, "i386_cr0", "system", System, control, 0, written(16)},
    {"cr2", 32, "data_ptr", "system", System, control, 2, written(18)},
    {"cr3", 32, "int32", "system", System, control, 3, written(19)},
    {"cr4", 32, "i386_cr4", "system", System, control, 4, written(20)},
    {"efer", 32, "i386_efer", "system", System, extended_features, 0},
    {"cpl", 32, "int32", "system", System, privilege, 0},
    {"ip_offset", 32, "int32", "system", System, offset_of_eip, 0},
    {"sp_linear", 32, "data_ptr", "system", System, linear_esp, 0},
    {"cs_base", 32, "int32", "system", System, segment_base, kCs},
    {"ss_base", 32, "int32", "system", System, segment_base, kSs},
    {"ds_base", 32, "int32", "system", System, segment_base, kDs},
    {"es_base", 32, "int32", "system", System, segment_base, kEs},
    {"fs_base", 32, "int32", "system", System, segment_base, kFs},
    {"gs_base", 32, "int32", "system", System, segment_base, kGs},
    {"cs_limit", 32, "int32", "system", System, segment_limit, kCs},
    {"ss_limit", 32, "int32", "system", System, segment_limit, kSs},
    {"ds_limit", 32, "int32", "system", System, segment_limit, kDs},
    {"es_limit", 32, "int32", "system", System, segment_limit, kEs},
    {"fs_limit", 32, "int32", "system", System, segment_limit, kFs},
    {"gs_limit", 32, "int32", "system", System, segment_limit, kGs},
    {"gdtr_base", 32, "data_ptr", "system", System, table, part(TablePart::GdtrBase)},
    {"gdtr_limit", 32, "int32", "system", System, table, part(TablePart::GdtrLimit)},
    {"idtr_base", 32, "data_ptr", "system", System, table, part(TablePart::IdtrBase)},
    {"idtr_limit", 32, "int32", "system", System, table, part(TablePart::IdtrLimit)},
    {"ldtr", 32, "int32", "system", System, table, part(TablePart::Ldtr)},
    {"ldtr_base", 32, "data_ptr", "system", System, table, part(TablePart::LdtrBase)},
    {"ldtr_limit", 32, "int32", "system", System, table, part(TablePart::LdtrLimit)},
    {"tr", 32, "int32", "system", System, table, part(TablePart::Tr)},
    {"tr_base", 32, "data_ptr", "system", System, table, part(TablePart::TrBase)},
    {"tr_limit", 32, "int32", "system", System, table, part(TablePart::TrLimit)},
    {"dr0", 32, "data_ptr", "system", System, debug_register, 0, written(24)},
    {"dr1", 32, "data_ptr", "system", System, debug_register, 1, written(25)},
    {"dr2", 32, "data_ptr", "system", System, debug_register, 2, written(26)},
    {"dr3", 32, "data_ptr", "system", System, debug_register, 3, written(27)},
    {"dr6", 32, "i386_dr6", "system", System, debug_register, 6},
    {"dr7", 32, "i386_dr7", "system", System, debug_register, 7},
};

static_assert(std::size(kCore) == kGdbCoreCount);

} // namespace

std::vector<GdbRegister> gdb_registers(const Model& model) {
    std::vector<GdbRegister> rows(std::begin(kCore), std::end(kCore));
    if (model.has(Feature::Sse))
        rows.insert(rows.end(), std::begin(kSse), std::end(kSse));
    for (const GdbRegister& row : kSystem) {
        const bool lacking =
            (row.name == "cr4" && model.cr4 == 0) || (row.name == "efer" && !model.has(Feature::NoExecute));
        if (!lacking)
            rows.push_back(row);
    }
    return rows;
}

std::vector<u8> register_bytes(const GdbRegister& row, Vector128 value) {
    std::vector<u8> bytes(sizeof value);
    std::memcpy(bytes.data(), &value, sizeof value);
    bytes.resize(row.bits / 8u);
    return bytes;
}

} // namespace forkscope
