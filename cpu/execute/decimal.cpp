#include "cpu/execute/data.hpp"

namespace forkscope::handlers {

namespace {

enum class Adjust : u8 { Add, Subtract };

// DAA and DAS differ only in the sign (SDM 2A). OF is undefined and cleared.
Step decimal_adjust(Context& cpu, Adjust kind) {
    const bool subtract = kind == Adjust::Subtract;
    CpuState& r = cpu.regs();
    const u8 old_al = r.reg<u8>(kEax);
    const bool old_cf = r.flags.c();
    const bool old_af = r.flags.a();
    u8 al = old_al;
    bool cf = false;
    bool af = false;
    if ((old_al & 0xF) > 9 || old_af) {
        cf = old_cf || (subtract ? old_al < 6 : old_al > 0xF9);
        al = static_cast<u8>(subtract ? al - 6 : al + 6);
        af = true;
    }
    if (old_al > 0x99 || old_cf) {
        al = static_cast<u8>(subtract ? al - 0x60 : al + 0x60);
        cf = true;
    } else if (!subtract) {
        cf = false;
    }
    r.set_reg<u8>(kEax, al);
    r.flags.set_result(al);
    r.flags.set_carries(cf, false, af);
    return Step::Next;
}

// AAA and AAS. SF, ZF, PF and OF are undefined; they are left as after the adjustment of AL, OF clear.
Step ascii_adjust(Context& cpu, Adjust kind) {
    const bool subtract = kind == Adjust::Subtract;
    CpuState& r = cpu.regs();
    u16 ax = r.reg<u16>(kEax);
    const bool adjust = (ax & 0xF) > 9 || r.flags.a();
    if (adjust)
        ax = static_cast<u16>(subtract ? ax - 0x106 : ax + 0x106);
    ax &= 0xFF0F;
    r.set_reg<u16>(kEax, ax);
    r.flags.set_result(static_cast<u8>(ax));
    r.flags.set_carries(adjust, false, adjust);
    return Step::Next;
}

} // namespace

Step daa(Context& cpu, const Instruction&) { return decimal_adjust(cpu, Adjust::Add); }
Step das(Context& cpu, const Instruction&) { return decimal_adjust(cpu, Adjust::Subtract); }
Step aaa(Context& cpu, const Instruction&) { return ascii_adjust(cpu, Adjust::Add); }
Step aas(Context& cpu, const Instruction&) { return ascii_adjust(cpu, Adjust::Subtract); }

Step aam(Context& cpu, const Instruction& in) {
    const u8 base = static_cast<u8>(in.immediate);
    if (base == 0)
        return cpu.fault(kDivideError);
    const u8 al = cpu.regs().reg<u8>(kEax);
    const u8 low = static_cast<u8>(al % base);
    cpu.regs().set_reg<u16>(kEax, static_cast<u16>(((al / base) << 8) | low));
    cpu.regs().flags.set_logic(low);
    return Step::Next;
}

Step aad(Context& cpu, const Instruction& in) {
    const u16 ax = cpu.regs().reg<u16>(kEax);
    const u8 al = static_cast<u8>((ax & 0xFF) + (ax >> 8) * in.immediate);
    cpu.regs().set_reg<u16>(kEax, al);
    cpu.regs().flags.set_logic(al);
    return Step::Next;
}

Step sahf(Context& cpu, const Instruction&) {
    const u32 kept = cpu.regs().flags.pack() & kFlagO;
    const u32 loaded = cpu.regs().reg<u8>(4) & (kFlagS | kFlagZ | kFlagA | kFlagP | kFlagC); // AH
    cpu.regs().flags.unpack(kept | loaded);
    return Step::Next;
}

Step lahf(Context& cpu, const Instruction&) {
    cpu.regs().set_reg<u8>(4, static_cast<u8>((cpu.regs().flags.pack() & 0xFF) | kFlagFixed));
    return Step::Next;
}

Step cmc(Context& cpu, const Instruction&) {
    cpu.regs().flags.set_c(!cpu.regs().flags.c());
    return Step::Next;
}

} // namespace forkscope::handlers
