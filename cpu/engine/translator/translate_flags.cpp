// Flags: those that an instruction sets stay in the host's, and as operands from which they can be had again, until
// somebody needs them in the frame.
#include "cpu/engine/translator/block_translator.hpp"
#include "cpu/engine/translator/mutant.hpp"

namespace forkscope::translator {

using namespace asmjit;

void BlockTranslator::sets_flags(const Pending& pending) {
    host_flags_ = pending.native;
    state_ = live_ == 0 ? FlagState::Dead : FlagState::Pending;
    pending_ = pending;
    known_ = false;
}

// Into the frame. Leaves the host's flags alone.
void BlockTranslator::spill() {
    if (state_ == FlagState::Pending) {
        emit_record(pending_);
        known_ = true;
        for (Part* const part : {&pending_.a, &pending_.b})
            if (part->where == Where::Register)
                part->where = Where::Frame;
    }
    state_ = FlagState::InFrame;
}

void BlockTranslator::emit_record(const Pending& pending) {
    const u32 record = flags_record(pending.of, pending.size);
    if (lies_over(pending.of)) {
        emit_part(offsetof(Frame, over), pending.a, pending.size);
        a_.mov(field(offsetof(Frame, over_record)), Imm(record));
        return;
    }
    emit_part(offsetof(Frame, a), pending.a, pending.size);
    emit_part(offsetof(Frame, b), pending.b, pending.size);
    emit_record_word(record);
}

// With none over it.
void BlockTranslator::emit_record_word(u32 record) {
    static_assert(offsetof(Frame, over_record) == offsetof(Frame, record) + 4);
    a_.mov(field(offsetof(Frame, record), TRANSLATOR_MUTANT(OlderFlagsLieOver) ? 4 : 8), Imm(record));
}

void BlockTranslator::emit_part(u32 offset, const Part& part, u8 size) {
    if (part.where == Where::Register)
        a_.mov(field(offset, size), gp(size, part.reg));
    else if (part.where == Where::Immediate)
        a_.mov(field(offset), immediate(part.value, 4));
}

// Before a register is written that they come from.
void BlockTranslator::writes_register(u8 reg) {
    if (state_ != FlagState::Pending)
        return;
    const auto holds = [this, reg](const Part& part) {
        const u8 whole = pending_.size == 1 ? part.reg & 3 : part.reg;
        return part.where == Where::Register && whole == reg;
    };
    if (!holds(pending_.a) && !holds(pending_.b))
        return;
    if (live_ == 0)
        state_ = FlagState::Dead;
    else
        spill();
}

u32 BlockTranslator::condition_flags(u8 condition) const {
    constexpr u32 flags[] = {kFlagO, kFlagC, kFlagZ,          kFlagC | kFlagZ,
                             kFlagS, kFlagP, kFlagS | kFlagO, kFlagZ | kFlagS | kFlagO};
    return flags[condition >> 1];
}

// The host's flags are the guest's, as far as these bits go. r9 and r10 are lost, r8 is kept.
void BlockTranslator::need_flags(u32 bits) {
    if ((host_flags_ & bits) == bits)
        return;
    const bool at_hand = state_ == FlagState::Pending || (state_ == FlagState::InFrame && known_);
    if (at_hand && (pending_.native & bits) == bits) {
        emit_again(pending_);
        host_flags_ = pending_.native;
        return;
    }
    spill();
    a_.call(Imm(around_.flags_code));
    host_flags_ = kFlagsArithmetic;
}

// An operand for an instruction whose other one is r9.
HostOperand BlockTranslator::operand_of(const Part& part, u32 offset, u8 size) {
    switch (part.where) {
    case Where::Register:
        return byte_safe(size, part.reg);
    case Where::Immediate:
        return immediate(part.value, size);
    default:
        return field(offset, size);
    }
}

void BlockTranslator::load_part(const Part& part, u32 offset, u8 size) {
    const x86::Gp r9 = scratch(size);
    const HostOperand from = operand_of(part, offset, size);
    a_.emit(x86::Inst::kIdMov, r9, from);
}

// The instruction again, or another that gives the same flags.
void BlockTranslator::emit_again(const Pending& p) {
    if (p.of == FlagsOf::Multiply || p.of == FlagsOf::FloatCompare) {
        emit_record(p);
        a_.call(Imm(around_.flags_code));
        return;
    }
    const x86::Gp r9 = scratch(p.size);
    load_part(p.a, lies_over(p.of) ? offsetof(Frame, over) : offsetof(Frame, a), p.size);
    switch (p.of) {
    case FlagsOf::IncOver:
        a_.dec(r9);
        a_.inc(r9);
        return;
    case FlagsOf::DecOver:
        a_.inc(r9);
        a_.dec(r9);
        return;
    case FlagsOf::Inc:
        a_.dec(r9);
        a_.bt(field(offsetof(Frame, b)), Imm(0));
        a_.inc(r9);
        return;
    case FlagsOf::Dec:
        a_.inc(r9);
        a_.bt(field(offsetof(Frame, b)), Imm(0));
        a_.dec(r9);
        return;
    case FlagsOf::Neg:
        a_.neg(r9);
        a_.neg(r9);
        return;
    case FlagsOf::Logic:
        a_.test(r9, r9);
        return;
    default:
        emit_again_with(p);
    }
}

// Those of two operands; the first is in r9.
void BlockTranslator::emit_again_with(const Pending& p) {
    const HostOperand b = operand_of(p.b, offsetof(Frame, b), p.size);
    const auto by = [&](u32 id) { a_.emit(id, scratch(p.size), b); };
    const auto carry = [&] { a_.bt(field(offsetof(Frame, c)), Imm(0)); };
    switch (p.of) {
    case FlagsOf::Add:
        by(x86::Inst::kIdSub);
        return by(x86::Inst::kIdAdd);
    case FlagsOf::Sub:
        by(x86::Inst::kIdAdd);
        return by(x86::Inst::kIdSub);
    case FlagsOf::Compare:
        return by(x86::Inst::kIdCmp);
    case FlagsOf::Test:
        return by(x86::Inst::kIdAnd);
    case FlagsOf::Adc:
        carry();
        by(x86::Inst::kIdSbb);
        carry();
        return by(x86::Inst::kIdAdc);
    case FlagsOf::Sbb:
        carry();
        by(x86::Inst::kIdAdc);
        carry();
        return by(x86::Inst::kIdSbb);
    case FlagsOf::Shl:
        return by(x86::Inst::kIdShl);
    case FlagsOf::Shr:
        return by(x86::Inst::kIdShr);
    case FlagsOf::Sar:
        return by(x86::Inst::kIdSar);
    default:
        return;
    }
}

} // namespace forkscope::translator
