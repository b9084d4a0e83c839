#include "cpu/engine/translator/plan.hpp"

#include "cpu/execute/flags.hpp"

namespace forkscope::translator {

namespace {

u8 high_byte(u8 size, u8 reg) { return size == 1 && reg >= 4 ? 1 : 0; }

// The operand size of a form whose low opcode bit says "wide".
u8 size_of(const Instruction& in, u8 opcode) { return (opcode & 1) == 0 ? u8{1} : in.operand_size; }

Plan with_memory(Plan plan, const Instruction& in, bool reads, bool writes) {
    if (!in.has_memory())
        return plan;
    plan.reads_memory = reads;
    plan.writes_memory = writes;
    return plan;
}

Plan alu_plan(const Instruction& in, u8 number, u8 size, Direction direction, u8 reg, bool fixed) {
    Plan plan{.shape = Shape::Alu, .number = number, .size = size, .direction = direction, .fixed_register = fixed};
    plan.reg = reg;
    return with_memory(plan, in, true, direction != Direction::ToReg && number != 7);
}

Plan alu_row(const Instruction& in, u8 opcode) {
    const u8 number = opcode >> 3;
    const u8 size = size_of(in, opcode);
    switch (opcode & 7) {
    case 0:
    case 1:
        return alu_plan(in, number, size, Direction::ToRm, in.reg, false);
    case 2:
    case 3:
        return alu_plan(in, number, size, Direction::ToReg, in.reg, false);
    default:
        return alu_plan(in, number, size, Direction::FromImmediate, kEax, true);
    }
}

Plan shift_plan(const Instruction& in, u8 opcode, u8 number) {
    Plan plan{.shape = Shape::ShiftImmediate, .number = number, .size = size_of(in, opcode)};
    if (in.has_memory() || number == 2 || number == 3) // RCL, RCR
        return {};
    if ((opcode & 0xFE) == 0xD2)
        plan.shape = Shape::ShiftCl;
    plan.count = (opcode & 0xFE) == 0xD0 ? 1 : in.immediate & 31;
    return plan;
}

Plan group_3(const Instruction& in, u8 opcode, u8 group) {
    Plan plan{.size = size_of(in, opcode)};
    switch (group) {
    case 0:
    case 1:
        plan.shape = Shape::Test;
        plan.direction = Direction::FromImmediate;
        return with_memory(plan, in, true, false);
    case 2:
        plan.shape = Shape::Not;
        return with_memory(plan, in, true, true);
    case 3:
        plan.shape = Shape::Neg;
        return with_memory(plan, in, true, true);
    case 4:
    case 5:
        if (plan.size != 4)
            return {};
        plan.shape = Shape::MultiplyWide;
        plan.number = group - 4;
        return with_memory(plan, in, true, false);
    default:
        return {};
    }
}

Plan group_5(const Instruction& in, u8 opcode, u8 group) {
    Plan plan{.size = size_of(in, opcode)};
    if (group < 2) {
        plan.shape = Shape::IncDec;
        plan.number = group;
        return with_memory(plan, in, true, true);
    }
    if (opcode == 0xFE || in.operand_size != 4)
        return {};
    if (group == 6) {
        plan.shape = in.has_memory() ? Shape::PushMemory : Shape::Push;
        plan.reg = in.rm;
        plan.reads_memory = in.has_memory();
        plan.writes_memory = true;
        return plan;
    }
    if (group != 2 && group != 4)
        return {};
    plan.shape = group == 2 ? Shape::CallTo : Shape::JumpTo;
    plan = with_memory(plan, in, true, false);
    plan.writes_memory = group == 2;
    return plan;
}

Plan stack_plan(Shape shape, u8 reg, bool writes) {
    Plan plan{.shape = shape};
    plan.reg = reg;
    (writes ? plan.writes_memory : plan.reads_memory) = true;
    return plan;
}

Plan move_plan(const Instruction& in, u8 size, Direction direction) {
    Plan plan{.shape = Shape::Move, .size = size, .direction = direction};
    plan.reg = in.reg;
    return with_memory(plan, in, direction == Direction::ToReg, direction == Direction::ToRm);
}

Plan moffs_plan(const Instruction& in, u8 opcode) {
    Plan plan{.shape = Shape::Move, .size = size_of(in, opcode), .reg = kEax};
    plan.direction = opcode < 0xA2 ? Direction::ToReg : Direction::ToRm;
    (opcode < 0xA2 ? plan.reads_memory : plan.writes_memory) = true;
    return plan;
}

Plan immediate_plan(const Instruction& in, u8 size, u8 reg, bool fixed) {
    Plan plan{.shape = Shape::MoveImmediate, .size = size, .fixed_register = fixed, .reg = reg};
    return with_memory(plan, in, false, true);
}

Plan transfer_plan(const Instruction& in, Shape shape, u8 number) {
    Plan plan{.shape = shape, .number = number};
    if (in.operand_size != 4)
        return {};
    plan.writes_memory = shape == Shape::Call;
    plan.reads_memory = shape == Shape::Return;
    return plan;
}

Plan from_40_to_7F(const Instruction& in, u8 opcode) {
    const u8 low = opcode & 7;
    switch (opcode >> 3) {
    case 8:
    case 9: {
        Plan plan{.shape = Shape::IncDec, .number = static_cast<u8>(opcode >> 3 & 1), .size = in.operand_size};
        plan.fixed_register = true;
        plan.reg = low;
        return plan;
    }
    case 10:
        return in.operand_size == 4 ? stack_plan(Shape::Push, low, true) : Plan{};
    case 11:
        return in.operand_size == 4 ? stack_plan(Shape::Pop, low, false) : Plan{};
    case 14:
    case 15:
        return transfer_plan(in, Shape::Branch, opcode & 15);
    default:
        break;
    }
    if ((opcode == 0x68 || opcode == 0x6A) && in.operand_size == 4)
        return stack_plan(Shape::PushImmediate, 0, true);
    if (opcode == 0x69 || opcode == 0x6B) {
        Plan plan{.shape = Shape::MultiplyImmediate, .size = in.operand_size, .reg = in.reg};
        return with_memory(plan, in, true, false);
    }
    return {};
}

Plan test_plan(const Instruction& in, u8 opcode, Direction direction, bool fixed) {
    Plan plan{.shape = Shape::Test, .size = size_of(in, opcode), .direction = direction, .fixed_register = fixed};
    plan.reg = fixed ? u8{kEax} : in.reg;
    return with_memory(plan, in, true, false);
}

Plan exchange_plan(const Instruction& in, u8 size, bool fixed) {
    Plan plan{.shape = Shape::Exchange, .size = size, .fixed_register = fixed, .reg = in.reg};
    if (in.has_memory() && high_byte(size, in.reg) != 0)
        return {};
    return with_memory(plan, in, true, true);
}

// Repeated comparisons stop at an element; repeated LODS is as good as unknown.
Plan string_plan(const Instruction& in, u8 opcode) {
    Plan plan{.shape = Shape::String, .number = static_cast<u8>(opcode & 0xE), .size = size_of(in, opcode)};
    const bool moves = (opcode & 0xFE) == 0xA4;
    const bool compares = (opcode & 0xF6) == 0xA6;
    const bool loads = (opcode & 0xFE) == 0xAC;
    if (in.segment == kFs || in.segment == kGs || (compares ? !in.repeats() : loads && in.repeats()))
        return {};
    plan.reads_memory = moves || compares || loads;
    plan.writes_memory = !compares && !loads;
    return plan;
}

Plan from_80_to_AF(const Instruction& in, u8 opcode, u8 group) {
    if (opcode <= 0x83)
        return alu_plan(in, group, size_of(in, opcode), Direction::FromImmediate, 0, false);
    if (opcode > 0x90 && opcode <= 0x97)
        return exchange_plan(in, in.operand_size, true);
    switch (opcode) {
    case 0x84:
    case 0x85:
        return test_plan(in, opcode, Direction::ToRm, false);
    case 0x86:
    case 0x87:
        return exchange_plan(in, size_of(in, opcode), false);
    case 0x88:
    case 0x89:
        return move_plan(in, size_of(in, opcode), Direction::ToRm);
    case 0x8A:
    case 0x8B:
        return move_plan(in, size_of(in, opcode), Direction::ToReg);
    case 0x8D:
        return in.operand_size == 4 ? Plan{.shape = Shape::Lea, .reg = in.reg} : Plan{};
    case 0x90:
        return Plan{.shape = Shape::Nothing};
    case 0x98:
        return Plan{.shape = Shape::SignExtend, .size = in.operand_size};
    case 0x99:
        return Plan{.shape = Shape::SignDistribute, .size = in.operand_size};
    case 0xA0:
    case 0xA1:
    case 0xA2:
    case 0xA3:
        return moffs_plan(in, opcode);
    case 0xA8:
    case 0xA9:
        return test_plan(in, opcode, Direction::FromImmediate, true);
    default:
        return opcode >= 0xA4 ? string_plan(in, opcode) : Plan{};
    }
}

Plan from_B0(const Instruction& in, u8 opcode, u8 group) {
    if (opcode <= 0xBF)
        return immediate_plan(in, opcode < 0xB8 ? u8{1} : in.operand_size, opcode & 7, true);
    switch (opcode) {
    case 0xC0:
    case 0xC1:
    case 0xD0:
    case 0xD1:
    case 0xD2:
    case 0xD3:
        return shift_plan(in, opcode, group);
    case 0xC2:
    case 0xC3:
        return transfer_plan(in, Shape::Return, 0);
    case 0xC6:
    case 0xC7:
        return immediate_plan(in, size_of(in, opcode), in.rm, false);
    case 0xC9:
        return in.operand_size == 4 ? stack_plan(Shape::Leave, kEbp, false) : Plan{};
    case 0xE2:
    case 0xE3:
        return transfer_plan(in, Shape::BranchCounter, opcode == 0xE2 ? 1 : 0);
    case 0xE8:
        return transfer_plan(in, Shape::Call, 0);
    case 0xE9:
    case 0xEB:
        return transfer_plan(in, Shape::Jump, 0);
    case 0xF6:
    case 0xF7:
        return group_3(in, opcode, group);
    case 0xFC:
    case 0xFD:
        return {.shape = Shape::SetDirection, .number = static_cast<u8>(opcode & 1)};
    case 0xFE:
    case 0xFF:
        return group_5(in, opcode, group);
    default:
        return {};
    }
}

Plan two_bytes(const Instruction& in, u8 opcode) {
    if (opcode >= 0x80 && opcode <= 0x8F)
        return transfer_plan(in, Shape::Branch, opcode & 15);
    if (opcode >= 0x90 && opcode <= 0x9F) {
        Plan plan{.shape = Shape::Set, .number = static_cast<u8>(opcode & 15), .size = 1};
        return with_memory(plan, in, false, true);
    }
    if (opcode >= 0x40 && opcode <= 0x4F) {
        Plan plan{.shape = Shape::ConditionalMove, .number = static_cast<u8>(opcode & 15), .size = in.operand_size};
        plan.reg = in.reg;
        return with_memory(plan, in, true, false);
    }
    if (opcode >= 0xC8 && opcode <= 0xCF && in.operand_size == 4)
        return Plan{.shape = Shape::Swap, .reg = static_cast<u8>(opcode & 7)};
    Plan plan{.size = in.operand_size, .reg = in.reg};
    switch (opcode) {
    case 0xAF:
        plan.shape = Shape::Multiply;
        return with_memory(plan, in, true, false);
    case 0xB6:
    case 0xB7:
    case 0xBE:
    case 0xBF:
        plan.shape = opcode < 0xB8 ? Shape::MoveZero : Shape::MoveSign;
        plan.from = (opcode & 1) == 0 ? 1 : 2;
        if (plan.size < 4 || (plan.reg == kEsp && !in.has_memory() && high_byte(plan.from, in.rm) != 0))
            return {};
        return with_memory(plan, in, true, false);
    default:
        return {};
    }
}

// --- The x87, by the opcode's low three bits and ModRM, as Instruction::immediate has them. Left to the handlers: what
// moves the whole state, decimal numbers, transcendentals, and what no manual has.

// Bytes by ModRM.reg: read, or written if negative; 0: by its handler.
constexpr i8 kX87Operands[8][8] = {
    {4, 4, 4, 4, 4, 4, 4, 4}, {4, 0, -4, -4, 0, 2, 0, -2}, {4, 4, 4, 4, 4, 4, 4, 4}, {4, 0, -4, -4, 0, 10, 0, -10},
    {8, 8, 8, 8, 8, 8, 8, 8}, {8, 0, -8, -8, 0, 0, 0, -2}, {2, 2, 2, 2, 2, 2, 2, 2}, {2, 0, -2, -2, 0, 8, 0, -8}};

Plan x87_memory_plan(u8 opcode, u8 digit) {
    const i8 bytes = kX87Operands[opcode][digit];
    if (bytes == 0)
        return {};
    const bool word = (opcode == 1 || opcode == 5) && digit == 7;
    const bool control = opcode == 1 && digit == 5;
    Plan plan{.shape = word ? Shape::X87Word : control ? Shape::X87LoadControl : Shape::X87};
    plan.size = static_cast<u8>(bytes < 0 ? -bytes : bytes);
    (bytes < 0 ? plan.writes_memory : plan.reads_memory) = true;
    return plan;
}

// D9 E0 to FF: all but the transcendentals.
constexpr u32 kX87Alone = 1u << 0x00 | 1u << 0x01 | 1u << 0x04 | 1u << 0x05 | 0x7Fu << 0x08 | 1u << 0x14 | 1u << 0x15 |
                          1u << 0x16 | 1u << 0x17 | 1u << 0x18 | 1u << 0x1A | 1u << 0x1C | 1u << 0x1D;

bool x87_register_form(u8 opcode, u8 mod_rm) {
    const u8 digit = mod_rm >> 3 & 7;
    switch (opcode) {
    case 0:
        return true;
    case 1:
        return digit < 2 || mod_rm == 0xD0 || (digit >= 4 && (kX87Alone >> (mod_rm & 31) & 1) != 0);
    case 2:
        return mod_rm == 0xE9;
    case 4:
        return digit < 2 || digit >= 4;
    case 5:
        return digit == 0 || (digit >= 2 && digit <= 5);
    case 6:
        return digit < 2 || digit >= 4 || mod_rm == 0xD9;
    default:
        return false;
    }
}

Plan x87_plan(const Instruction& in) {
    const u8 opcode = static_cast<u8>(in.immediate >> 8 & 7);
    const u8 mod_rm = static_cast<u8>(in.immediate);
    const u8 digit = mod_rm >> 3 & 7;
    if (in.has_memory())
        return x87_memory_plan(opcode, digit);
    if (opcode == 7 && mod_rm == 0xE0)
        return {.shape = Shape::X87Word, .fixed_register = true, .reg = kEax};
    if ((opcode == 3 || opcode == 7) && (digit == 5 || digit == 6))
        return {.shape = Shape::X87Compare};
    constexpr u8 kConditions[] = {2, 4, 6, 10}; // B, E, BE, U
    if ((opcode == 2 || opcode == 3) && digit < 4)
        return {.shape = Shape::X87Move, .number = static_cast<u8>(kConditions[digit] | (opcode & 1))};
    return x87_register_form(opcode, mod_rm) ? Plan{.shape = Shape::X87} : Plan{};
}

} // namespace

Plan plan_of(const Instruction& in) {
    const Form& form = form_at(in.form);
    const bool far_segment = in.has_memory() && (in.segment == kFs || in.segment == kGs);
    if (in.form == 0 || (in.flags & kHasLock) != 0 || in.address_size != 4 || far_segment)
        return {};
    const u8 group = form.group >= 0 && form.group < 8 ? static_cast<u8>(form.group) : u8{0};
    Plan plan;
    if (form.map == 1 && (form.opcode & 0xF8) == 0xD8)
        plan = x87_plan(in);
    else if (form.map == 1 && form.opcode == 0x9B)
        plan = {.shape = Shape::X87Wait};
    else if (form.map == 1 && form.opcode < 0x40)
        plan = (form.opcode & 7) < 6 ? alu_row(in, form.opcode) : Plan{};
    else if (form.map == 1)
        plan = form.opcode < 0x80   ? from_40_to_7F(in, form.opcode)
               : form.opcode < 0xB0 ? from_80_to_AF(in, form.opcode, group)
                                    : from_B0(in, form.opcode, group);
    else if (form.map == 2)
        plan = two_bytes(in, form.opcode);
    // A code segment takes no stores: its handler faults.
    if (plan.writes_memory && in.has_memory() && in.segment == kCs)
        return {};
    return plan;
}

FlagUse flag_use(const Instruction& in, const Plan& plan) {
    const auto bits_of = [](std::string_view letters) {
        u32 bits = 0;
        for (const char letter : letters)
            bits |= letter == 'o'   ? u32{kFlagO}
                    : letter == 's' ? u32{kFlagS}
                    : letter == 'z' ? u32{kFlagZ}
                    : letter == 'a' ? u32{kFlagA}
                    : letter == 'p' ? u32{kFlagP}
                    : letter == 'c' ? u32{kFlagC}
                                    : 0u;
        return bits;
    };
    const FormFlags& flags = form_at(in.form).flags;
    FlagUse use{bits_of(flags.read), bits_of(flags.written) | bits_of(flags.undefined)};
    const bool may_keep_all = plan.shape == Shape::ShiftCl ||
                              (plan.shape == Shape::ShiftImmediate && plan.count == 0) || plan.shape == Shape::String;
    if (may_keep_all)
        use.sets = 0;
    return use;
}

} // namespace forkscope::translator
