#include "cpu/cost/instruction_use.hpp"

namespace forkscope {

namespace {

// Byte registers 4 to 7 are the upper halves of 0 to 3.
u16 general(u8 number, const OperandKind& kind) { return general_register_bit(kind.bytes == 1 ? number & 3 : number); }

// The general register that an operand names, 0 if it names none.
u16 register_of(const Instruction& in, const OperandKind& kind) {
    switch (kind.place) {
    case Place::Reg:
    case Place::InOpcode:
        return general(in.reg, kind);
    case Place::Rm:
        return general(in.rm, kind);
    case Place::RmOrMemory:
        return in.has_memory() ? u16{0} : general(in.rm, kind);
    case Place::General:
        return general(kind.number, kind);
    default:
        return 0;
    }
}

u16 string_register(Place place) {
    return place == Place::StringSource ? u16{kSi} : place == Place::StringTarget ? u16{kDi} : u16{0};
}

void add_operands(const Instruction& in, const Form& form, InstructionUse& use) {
    for (const FormOperand& operand : form.operands) {
        if (operand == Operand::None)
            break;
        const OperandKind& kind = kind_of(operand);
        const u16 named = register_of(in, kind);
        use.read |= reads(operand.use) ? named : u16{0};
        use.written |= writes(operand.use) ? named : u16{0};
        use.address |= string_register(kind.place);
    }
    use.written |= use.address; // strings move theirs
    if (in.has_memory()) {
        use.address |= in.base != kNoRegister ? general_register_bit(in.base) : u16{0};
        use.address |= in.index != kNoRegister ? general_register_bit(in.index) : u16{0};
    }
}

bool is_immediate(Place place) { return place >= Place::Immediate && place <= Place::FarPointer; }

// A SIB byte that names a base alone, other than ESP, counts as a displacement.
void add_parts(const Instruction& in, const Form& form, InstructionUse& use) {
    const u32 modrm = (in.flags & kHasModRm) != 0 ? 1 : 0;
    const u32 opcode = form.map == 1 ? 1 : 2;
    const bool sib =
        modrm != 0 && in.has_memory() && in.address_size == 4 && (in.index != kNoRegister || in.base == kEsp);
    u32 fixed = in.prefixes + opcode + modrm + (sib ? 1 : 0);
    u32 immediate = 0;
    for (const Operand operand : form.operands)
        immediate += is_immediate(kind_of(operand).place) ? operand_bytes(operand, in) : 0;
    use.immediate = immediate != 0;
    use.displacement = in.has_memory() && in.length > fixed + immediate;
    use.components = static_cast<u8>(fixed + (use.displacement ? 1 : 0) + (use.immediate ? 1 : 0));
}

} // namespace

// The x87's, MMX's and SSE's own registers are no part of it; nor are FS, GS and the like.
InstructionUse use_of(const Instruction& in) {
    const Form& form = form_at(in.form);
    InstructionUse use;
    use.read = form.reads & kGeneralRegisters;
    use.written = form.writes & kGeneralRegisters;
    use.stack = form.uses_stack();
    add_operands(in, form, use);
    if ((form.attributes & kString) != 0 && in.repeats()) {
        use.read |= kCx;
        use.written |= kCx;
    }
    add_parts(in, form, use);
    use.read |= use.address;
    return use;
}

} // namespace forkscope
