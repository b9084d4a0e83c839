// The x87: the guest's instruction as it stands, on the host's x87, which holds all of the guest's state then: stack,
// tags, status and control word (x87_image.hpp). Taken over before the first such instruction, given back when the
// code is left. Kept here: which instruction and operand were the last.
#include "cpu/engine/translator/block_translator.hpp"
#include "cpu/engine/translator/mutant.hpp"
#include "cpu/engine/translator/x87_image.hpp"

namespace forkscope::translator {

using namespace asmjit;

void BlockTranslator::x87(const Instruction& in, const Plan& plan) {
    take_x87(in.number);
    switch (plan.shape) {
    case Shape::X87Compare:
        return x87_compare(in);
    case Shape::X87Word:
        return x87_word(in, plan);
    case Shape::X87LoadControl:
        return x87_load_control(in);
    case Shape::X87Wait: // nothing can be pending
        return;
    case Shape::X87Move:
        need_flags(condition_flags(plan.number));
        break;
    default:
        break;
    }
    if (plan.accesses())
        access(in, plan.size, plan.writes_memory);
    emit_x87(in);
    x87_last_.instruction = &in;
}

// The guest's bytes, without prefixes; memory is at r8.
void BlockTranslator::emit_x87(const Instruction& in) {
    const u32 mod_rm = in.immediate & 0xFF;
    if (in.has_memory())
        a_.db(0x41); // REX.B
    a_.db(static_cast<u8>(0xD8 | (in.immediate >> 8 & 7)));
    a_.db(static_cast<u8>(in.has_memory() ? mod_rm & 0x38 : mod_rm));
}

// The host holds the guest's x87 from here on, or the rest of the block runs by handlers: the x87 is off, or has an
// exception unmasked.
void BlockTranslator::take_x87(u32 number) {
    if (x87_taken_)
        return;
    TakeX87 take{a_.newLabel(), a_.newLabel(), rest_from(number)};
    a_.cmp(field(offsetof(Frame, x87_taken)), Imm(0));
    a_.long_().je(take.entry);
    a_.bind(take.done);
    host_flags_ = 0;
    x87_taken_ = true;
    x87_takes_.push_back(take);
}

// FCOMI and its kin. They clear C1 (SDM 2A, "FPU flags affected"), but not on AMD's processors; turning the stack there
// and back does.
void BlockTranslator::x87_compare(const Instruction& in) {
    emit_x87(in);
    x87_last_.instruction = &in;
    a_.fincstp();
    a_.fdecstp();
    if (live_ != 0 && !TRANSLATOR_MUTANT(FloatFlagsLost)) {
        a_.setc(field(offsetof(Frame, a), 1));
        a_.setp(field(offsetof(Frame, a) + 1, 1));
        a_.setz(field(offsetof(Frame, a) + 2, 1));
    }
    sets_flags({FlagsOf::FloatCompare, 4, {Where::Frame}, {}, kFlagZ | kFlagP | kFlagC});
}

void BlockTranslator::x87_word(const Instruction& in, const Plan& plan) {
    if (plan.fixed_register)
        writes_register(kEax);
    else
        access(in, plan.size, true);
    emit_x87(in);
}

// Unmasking anything is for the handler, and for what comes then.
void BlockTranslator::x87_load_control(const Instruction& in) {
    access(in, 2, false);
    const Label refused = rest_from(in.number);
    constexpr u32 kPrecisions = 3u << 8;
    constexpr u32 kReserved = static_cast<u32>(Precision::Reserved) << 8;
    a_.movzx(x86::r9d, operand_memory(2));
    a_.mov(x86::r10d, x86::r9d);
    a_.and_(x86::r10d, Imm(kPrecisions | kFloatAll));
    a_.cmp(x86::r10d, Imm(kReserved | kFloatAll)); // as host_may_run has it
    a_.long_().je(refused);
    a_.or_(x86::r10d, Imm(kPrecisions));
    a_.cmp(x86::r10d, Imm(kPrecisions | kFloatAll));
    a_.long_().jne(refused);
    a_.and_(x86::r9d, Imm(X87State::kControlBits));
    a_.or_(x86::r9d, Imm(X87State::kControlFixed));
    a_.mov(x86::r10, Imm(reinterpret_cast<u64>(around_.x87_control)));
    a_.mov(x86::word_ptr(x86::r10), x86::r9w);
    if (!TRANSLATOR_MUTANT(PrecisionIgnored))
        a_.fldcw(x86::word_ptr(x86::r10));
}

// The last operand's address. The instruction may have run by its handler.
void BlockTranslator::note_x87_operand(const Instruction& in) {
    address_of(in);
    a_.mov(field(offsetof(Frame, x87_operand)), x86::r8d);
    x87_last_.operand = &in;
}

// --- What is seldom run

// Where the block's instructions from `number` on run by their handlers, up to its end, as things stand here.
Label BlockTranslator::rest_from(u32 number) {
    rests_.push_back({a_.newLabel(), number, state_, pending_, x87_last_});
    return rests_.back().entry;
}

// Behind a slow instruction whose handler has run.
void BlockTranslator::take_x87_again(const Instruction& slow) {
    if (!TRANSLATOR_MUTANT(X87NotTakenAgain))
        a_.call(Imm(around_.take_x87_code));
    rests_.push_back({a_.newLabel(), slow.number + 1u, FlagState::InFrame, {}, {}});
    a_.long_().jz(rests_.back().entry);
}

void BlockTranslator::emit_x87_cold() {
    for (const TakeX87& take : x87_takes_) {
        a_.bind(take.entry);
        a_.call(Imm(around_.take_x87_code));
        a_.long_().jnz(take.done);
        a_.jmp(take.refused);
    }
    for (const Rest& rest : rests_) {
        a_.bind(rest.entry);
        if (rest.state == FlagState::Pending)
            emit_record(rest.pending);
        emit_x87_last(rest.last);
        const Block& block = *translation_.block;
        a_.mov(field(offsetof(Frame, handlers)), Imm(block.count - rest.number));
        a_.mov(x86::r8, Imm(reinterpret_cast<u64>(&block.first[rest.number])));
        a_.long_().jmp(common_); // the engine leaves behind the last one
    }
}

// Before somebody may look. Leaves the host's flags alone.
void BlockTranslator::emit_x87_last(const X87Last& last) {
    if (last.instruction != nullptr && !TRANSLATOR_MUTANT(LastX87InstructionLost)) {
        a_.mov(field(offsetof(Frame, x87_opcode)), Imm(last.instruction->immediate));
        a_.mov(field(offsetof(Frame, x87_eip)), immediate(translation_.eip + last.instruction->offset, 4));
    }
    if (last.operand != nullptr)
        a_.mov(field(offsetof(Frame, x87_segment)), Imm(last.operand->segment));
}

void BlockTranslator::store_x87_last() {
    emit_x87_last(x87_last_);
    x87_last_ = {};
}

} // namespace forkscope::translator
