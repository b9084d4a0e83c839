// Moves, arithmetic and the stack: the host's instruction on the guest's registers, memory through an access.
#include "cpu/engine/translator/block_translator.hpp"
#include "cpu/engine/translator/mutant.hpp"

namespace forkscope::translator {

using namespace asmjit;

namespace {

constexpr u32 kCompared = kFlagO | kFlagS | kFlagZ | kFlagP | kFlagC; // AF is read by handlers alone

constexpr u32 kAluInstructions[] = {x86::Inst::kIdAdd, x86::Inst::kIdOr,  x86::Inst::kIdAdc, x86::Inst::kIdSbb,
                                    x86::Inst::kIdAnd, x86::Inst::kIdSub, x86::Inst::kIdXor, x86::Inst::kIdCmp};
constexpr FlagsOf kAluFlags[] = {FlagsOf::Add,   FlagsOf::Logic, FlagsOf::Adc,   FlagsOf::Sbb,
                                 FlagsOf::Logic, FlagsOf::Sub,   FlagsOf::Logic, FlagsOf::Compare};
constexpr u8 kAdc = 2, kSbb = 3, kCmp = 7;

} // namespace

void BlockTranslator::alu(const Instruction& in, const Plan& plan) {
    if (in.has_memory() && !plan.fixed_register && plan.direction != Direction::ToReg)
        alu_to_memory(in, plan);
    else
        alu_to_register(in, plan);
}

void BlockTranslator::alu_to_register(const Instruction& in, const Plan& plan) {
    const u8 size = plan.size;
    const u8 to = plan.fixed_register || plan.direction == Direction::ToReg ? plan.reg : in.rm;
    const u32 id = kAluInstructions[plan.number];
    const FlagsOf of = kAluFlags[plan.number];
    const bool takes_carry = plan.number == kAdc || plan.number == kSbb;
    if (plan.reads_memory)
        access(in, size, false);
    if (takes_carry) {
        need_flags(kFlagC);
        if (live_ != 0)
            a_.setc(field(offsetof(Frame, c), 1));
    }
    const Part in_frame{Where::Frame};
    Part b = in_frame;
    HostOperand source = field(offsetof(Frame, b), size);
    if (plan.direction == Direction::FromImmediate) {
        b = {Where::Immediate, 0, in.immediate};
        source = immediate(in.immediate, size);
    } else if (plan.reads_memory) {
        if ((live_ != 0 && of != FlagsOf::Logic) || high(size, to)) {
            a_.mov(scratch(size), operand_memory(size));
            a_.mov(field(offsetof(Frame, b), size), scratch(size));
            if (!high(size, to))
                source = scratch(size);
        } else {
            source = operand_memory(size);
        }
    } else {
        const u8 from = plan.direction == Direction::ToReg ? in.rm : in.reg;
        b = {Where::Register, from};
        source = gp(size, from);
        if (from == to && of != FlagsOf::Logic && of != FlagsOf::Compare) {
            a_.mov(field(offsetof(Frame, b), size), gp(size, from));
            b = in_frame;
        }
    }
    a_.emit(id, gp(size, to), source);
    sets_flags({of, size, {Where::Register, to}, of == FlagsOf::Logic ? Part{} : b, kCompared});
}

void BlockTranslator::alu_to_memory(const Instruction& in, const Plan& plan) {
    const u8 size = plan.size;
    const u32 id = kAluInstructions[plan.number];
    const FlagsOf of = kAluFlags[plan.number];
    const bool takes_carry = plan.number == kAdc || plan.number == kSbb;
    if (takes_carry && live_ != 0) // what carry came in could not be told behind its handler
        return run_handlers(in, 1);
    access(in, size, plan.writes_memory);
    if (takes_carry)
        need_flags(kFlagC);
    const bool given = plan.direction == Direction::FromImmediate;
    const Part b = given ? Part{Where::Immediate, 0, in.immediate} : Part{Where::Register, in.reg};
    const HostOperand source = given ? HostOperand(immediate(in.immediate, size)) : byte_safe(size, in.reg);
    if (live_ == 0 && !source.isMem()) {
        a_.emit(id, operand_memory(size), source);
    } else {
        const x86::Gp r9 = scratch(size);
        a_.mov(r9, operand_memory(size));
        if (plan.number == kCmp)
            a_.mov(field(offsetof(Frame, a), size), r9);
        a_.emit(id, r9, source);
        if (plan.writes_memory) {
            a_.mov(operand_memory(size), r9);
            a_.mov(field(offsetof(Frame, a), size), r9);
        }
    }
    sets_flags({of, size, {Where::Frame}, of == FlagsOf::Logic ? Part{} : b, kCompared});
}

void BlockTranslator::test(const Instruction& in, const Plan& plan) {
    const u8 size = plan.size;
    const bool given = plan.direction == Direction::FromImmediate;
    if (plan.reads_memory) {
        access(in, size, false);
        const HostOperand source = given ? HostOperand(immediate(in.immediate, size)) : byte_safe(size, in.reg);
        a_.mov(scratch(size), operand_memory(size));
        a_.emit(x86::Inst::kIdAnd, scratch(size), source);
        a_.mov(field(offsetof(Frame, a), size), scratch(size));
        sets_flags({FlagsOf::Logic, size, {Where::Frame}, {}, kCompared});
        return;
    }
    const u8 tested = plan.fixed_register ? plan.reg : in.rm;
    const Part a{Where::Register, tested};
    if (given)
        a_.test(gp(size, tested), immediate(in.immediate, size));
    else
        a_.test(gp(size, tested), gp(size, in.reg));
    if (!given && in.reg == tested)
        sets_flags({FlagsOf::Logic, size, a, {}, kCompared});
    else
        sets_flags({FlagsOf::Test, size, a,
                    given ? Part{Where::Immediate, 0, in.immediate} : Part{Where::Register, in.reg}, kCompared});
}

// CF stays. Where it is at hand, it belongs to what the others come from; else they lie over the frame's record.
void BlockTranslator::inc_dec(const Instruction& in, const Plan& plan) {
    const u8 size = plan.size;
    const u32 id = plan.number == 0 ? x86::Inst::kIdInc : x86::Inst::kIdDec;
    if (plan.writes_memory)
        access(in, size, true);
    const bool over = !TRANSLATOR_MUTANT(CarryLostAtInc) &&
                      (state_ == FlagState::InFrame || (state_ == FlagState::Pending && lies_over(pending_.of)));
    const bool carry_lives = (live_ & kFlagC) != 0 && !TRANSLATOR_MUTANT(CarryLostAtInc);
    if (carry_lives && !over) {
        need_flags(kFlagC);
        a_.setc(field(offsetof(Frame, b), 1));
    } else if (live_ != 0 && !over) {
        a_.mov(field(offsetof(Frame, b), 1), Imm(0));
    }
    const u8 reg = plan.fixed_register ? plan.reg : in.rm;
    Part a{Where::Register, reg};
    if (!plan.writes_memory) {
        a_.emit(id, gp(size, reg));
    } else if (live_ == 0) {
        a_.emit(id, operand_memory(size));
    } else {
        a = {Where::Frame};
        a_.mov(scratch(size), operand_memory(size));
        a_.emit(id, scratch(size));
        a_.mov(operand_memory(size), scratch(size));
        a_.mov(field(over ? offsetof(Frame, over) : offsetof(Frame, a), size), scratch(size));
    }
    const u32 native = (kCompared & ~u32{kFlagC}) | (carry_lives && !over ? u32{kFlagC} : 0);
    const FlagsOf of =
        plan.number == 0 ? (over ? FlagsOf::IncOver : FlagsOf::Inc) : (over ? FlagsOf::DecOver : FlagsOf::Dec);
    sets_flags({of, size, a, over ? Part{} : Part{Where::Frame}, native});
}

void BlockTranslator::neg_not(const Instruction& in, const Plan& plan) {
    const u8 size = plan.size;
    const u32 id = plan.shape == Shape::Neg ? x86::Inst::kIdNeg : x86::Inst::kIdNot;
    Part a{Where::Register, in.rm};
    if (plan.writes_memory) {
        access(in, size, true);
        a = {Where::Frame};
        a_.mov(scratch(size), operand_memory(size));
        a_.emit(id, scratch(size));
        a_.mov(operand_memory(size), scratch(size));
        if (plan.shape == Shape::Neg)
            a_.mov(field(offsetof(Frame, a), size), scratch(size));
    } else {
        if (plan.shape == Shape::Not)
            writes_register(size, in.rm);
        a_.emit(id, gp(size, in.rm));
    }
    if (plan.shape == Shape::Neg)
        sets_flags({FlagsOf::Neg, size, a, {}, kCompared});
}

// --- Moves

void BlockTranslator::move(const Instruction& in, const Plan& plan) {
    const u8 size = plan.size;
    const bool to_reg = plan.direction == Direction::ToReg;
    if (!in.has_memory()) {
        const u8 to = to_reg ? plan.reg : in.rm;
        writes_register(size, to);
        a_.mov(gp(size, to), gp(size, to_reg ? in.rm : plan.reg));
        return;
    }
    access(in, size, !to_reg);
    if (to_reg)
        writes_register(size, plan.reg);
    if (!high(size, plan.reg)) {
        to_reg ? a_.mov(gp(size, plan.reg), operand_memory(size)) : a_.mov(operand_memory(size), gp(size, plan.reg));
        return;
    }
    const x86::Mem bounce = field(offsetof(Frame, bounce), 1);
    if (to_reg) {
        a_.mov(x86::r9b, operand_memory(1));
        a_.mov(bounce, x86::r9b);
        a_.mov(gp(1, plan.reg), bounce);
    } else {
        a_.mov(bounce, gp(1, plan.reg));
        a_.mov(x86::r9b, bounce);
        a_.mov(operand_memory(1), x86::r9b);
    }
}

void BlockTranslator::move_immediate(const Instruction& in, const Plan& plan) {
    if (plan.writes_memory) {
        access(in, plan.size, true);
        a_.mov(operand_memory(plan.size), immediate(in.immediate, plan.size));
        return;
    }
    writes_register(plan.size, plan.reg);
    a_.mov(gp(plan.size, plan.reg), immediate(in.immediate, plan.size));
}

void BlockTranslator::move_extended(const Instruction& in, const Plan& plan) {
    const u32 id = plan.shape == Shape::MoveZero ? x86::Inst::kIdMovzx : x86::Inst::kIdMovsx;
    if (plan.reads_memory)
        access(in, plan.from, false);
    writes_register(plan.reg);
    a_.emit(id, gp(4, plan.reg), plan.reads_memory ? HostOperand(operand_memory(plan.from)) : gp(plan.from, in.rm));
}

void BlockTranslator::lea(const Instruction& in, const Plan& plan) {
    writes_register(plan.reg);
    address_of(in);
    a_.mov(gp(4, plan.reg), x86::r8d);
}

void BlockTranslator::exchange(const Instruction& in, const Plan& plan) {
    const u8 size = plan.size;
    if (in.has_memory()) {
        access(in, size, true);
        a_.mov(scratch(size), operand_memory(size));
        a_.mov(operand_memory(size), gp(size, plan.reg));
        writes_register(size, plan.reg);
        a_.mov(gp(size, plan.reg), scratch(size));
        return;
    }
    const u8 other = plan.fixed_register ? u8{kEax} : in.rm;
    writes_register(size, other);
    writes_register(size, plan.reg);
    a_.xchg(gp(size, other), gp(size, plan.reg));
}

void BlockTranslator::sign(const Plan& plan) {
    writes_register(plan.shape == Shape::SignExtend ? kEax : kEdx);
    if (plan.shape == Shape::SignExtend)
        plan.size == 4 ? a_.cwde() : a_.cbw();
    else
        plan.size == 4 ? a_.cdq() : a_.cwd();
}

void BlockTranslator::set(const Instruction& in, const Plan& plan) {
    const auto condition = static_cast<x86::CondCode>(plan.number);
    if (plan.writes_memory)
        access(in, 1, true);
    if (TRANSLATOR_MUTANT(SetWrittenBeforeFlagsAreTaken))
        writes_register(1, in.rm);
    need_flags(condition_flags(plan.number)); // before the register goes that they may come from
    if (!plan.writes_memory)
        writes_register(1, in.rm);
    plan.writes_memory ? a_.set(condition, operand_memory(1)) : a_.set(condition, gp(1, in.rm));
}

void BlockTranslator::conditional_move(const Instruction& in, const Plan& plan) {
    const auto condition = static_cast<x86::CondCode>(plan.number);
    if (plan.reads_memory)
        access(in, plan.size, false);
    need_flags(condition_flags(plan.number));
    writes_register(plan.reg);
    if (plan.reads_memory)
        a_.cmov(condition, gp(plan.size, plan.reg), operand_memory(plan.size));
    else
        a_.cmov(condition, gp(plan.size, plan.reg), gp(plan.size, in.rm));
}

// --- Shifts, multiplication

void BlockTranslator::shift_immediate(const Instruction& in, const Plan& plan) {
    constexpr u32 ids[] = {x86::Inst::kIdRol, x86::Inst::kIdRor, 0, 0, x86::Inst::kIdShl, x86::Inst::kIdShr,
                           x86::Inst::kIdShl, x86::Inst::kIdSar};
    if (plan.count == 0)
        return;
    if (live_ != 0 && plan.number < 2)
        return run_handlers(in, 1);
    if (live_ != 0)
        a_.mov(field(offsetof(Frame, a), plan.size), gp(plan.size, in.rm));
    if (plan.number < 2)
        writes_register(plan.size, in.rm); // what they leave of the flags is dead
    a_.emit(ids[plan.number], gp(plan.size, in.rm), Imm(plan.count));
    const FlagsOf of = plan.number == 5 ? FlagsOf::Shr : plan.number == 7 ? FlagsOf::Sar : FlagsOf::Shl;
    const u32 native =
        (plan.count < 8u * plan.size ? kFlagC | kFlagZ | kFlagS | kFlagP : 0u) | (plan.count == 1 ? u32{kFlagO} : 0);
    sets_flags({of, plan.size, {Where::Frame}, {Where::Immediate, 0, plan.count}, native});
}

// By CL, which may be 0: then all flags stay.
void BlockTranslator::shift_cl(const Instruction& in, const Plan& plan) {
    constexpr u32 ids[] = {x86::Inst::kIdRol, x86::Inst::kIdRor, 0, 0, x86::Inst::kIdShl, x86::Inst::kIdShr,
                           x86::Inst::kIdShl, x86::Inst::kIdSar};
    const x86::Gp to = gp(plan.size, in.rm);
    if (live_ != 0 && plan.number < 2)
        return run_handlers(in, 1);
    host_flags_ = 0;
    if (live_ == 0) {
        state_ = FlagState::Dead;
        a_.emit(ids[plan.number], to, x86::cl);
        return;
    }
    spill();
    const FlagsOf of = plan.number == 5 ? FlagsOf::Shr : plan.number == 7 ? FlagsOf::Sar : FlagsOf::Shl;
    const Label none = a_.newLabel();
    a_.mov(x86::r9d, x86::ecx);
    a_.and_(x86::r9d, Imm(31));
    if (!TRANSLATOR_MUTANT(ShiftByZeroSetsFlags))
        a_.long_().jz(none);
    a_.mov(field(offsetof(Frame, a), plan.size), to);
    a_.mov(field(offsetof(Frame, b)), x86::r9d);
    emit_record_word(flags_record(of, plan.size));
    a_.emit(ids[plan.number], to, x86::cl);
    a_.bind(none);
    known_ = false;
}

void BlockTranslator::multiply(const Instruction& in, const Plan& plan) {
    const u8 size = plan.size;
    if (plan.reads_memory)
        access(in, size, false);
    if (live_ != 0)
        a_.mov(field(offsetof(Frame, b)), Imm(0));
    const HostOperand source = plan.reads_memory ? HostOperand(operand_memory(size)) : gp(size, in.rm);
    if (plan.shape == Shape::MultiplyImmediate)
        a_.emit(x86::Inst::kIdImul, gp(size, plan.reg), source, immediate(in.immediate, size));
    else
        a_.emit(x86::Inst::kIdImul, gp(size, plan.reg), source);
    if (live_ != 0)
        a_.setc(field(offsetof(Frame, b), 1));
    sets_flags({FlagsOf::Multiply, size, {Where::Register, plan.reg}, {Where::Frame}, kFlagC | kFlagO});
}

void BlockTranslator::multiply_wide(const Instruction& in, const Plan& plan) {
    if (plan.reads_memory)
        access(in, 4, false);
    if (live_ != 0)
        a_.mov(field(offsetof(Frame, b)), Imm(0));
    const HostOperand source = plan.reads_memory ? HostOperand(operand_memory(4)) : gp(4, in.rm);
    const u32 id = plan.number == 0 ? x86::Inst::kIdMul : x86::Inst::kIdImul;
    a_.emit(id, source);
    if (live_ != 0)
        a_.setc(field(offsetof(Frame, b), 1));
    sets_flags({FlagsOf::Multiply, 4, {Where::Register, kEax}, {Where::Frame}, kFlagC | kFlagO});
}

// --- Stack

// Below the stack pointer, which moves once the bytes are there.
void BlockTranslator::push_slot(const HostOperand& value) {
    a_.emit(x86::Inst::kIdMov, operand_memory(4), value);
    writes_register(kEsp);
    a_.lea(x86::r15d, x86::ptr(x86::r15, -4));
}

void BlockTranslator::push(const Instruction& in, const Plan& plan) {
    if (plan.shape == Shape::PushMemory) {
        access(in, 4, false);
        a_.mov(x86::r8d, operand_memory(4));
        a_.mov(field(offsetof(Frame, eip)), x86::r8d);
    }
    a_.lea(x86::r8d, x86::ptr(x86::r15, -4));
    access_at(in, 4, true);
    if (plan.shape == Shape::PushMemory) {
        a_.mov(x86::r9d, field(offsetof(Frame, eip)));
        return push_slot(x86::r9d);
    }
    push_slot(plan.shape == Shape::PushImmediate ? HostOperand(immediate(in.immediate, 4)) : gp(4, plan.reg));
}

void BlockTranslator::pop(const Instruction& in, const Plan& plan) {
    a_.mov(x86::r8d, x86::r15d);
    access_at(in, 4, false);
    writes_register(kEsp);
    writes_register(plan.reg);
    a_.mov(gp(4, plan.reg), operand_memory(4));
    if (plan.reg != kEsp)
        a_.lea(x86::r15d, x86::ptr(x86::r15, 4));
}

void BlockTranslator::leave(const Instruction& in) {
    a_.mov(x86::r8d, x86::ebp);
    access_at(in, 4, false);
    writes_register(kEsp);
    writes_register(kEbp);
    a_.lea(x86::r15d, x86::ptr(x86::rbp, 4));
    a_.mov(x86::ebp, operand_memory(4));
}

} // namespace forkscope::translator
