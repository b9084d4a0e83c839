// Owns: handlers of the x87: moves, arithmetic, comparison, transcendentals; those without a template in x87.cpp.
// Callers: dispatch.cpp through opcodes_x87.def. Promises: load, compute, store, then commit; exceptions are flagged in
// the status word and reported by the next waiting instruction (SDM 1, 8.7).
#pragma once

#include "cpu/execute/operands.hpp"
#include "cpu/numbers/float80_fast.hpp"

namespace forkscope::handlers {

// #NM, #MF, or waiting for IRQ 13; Step::Next if the instruction may go on after all.
Step x87_refuse(Context& cpu);

// How every waiting instruction starts.
#define X87_BEGIN                                                                                                      \
    X87State& x87 = cpu.regs().x87;                                                                                    \
    if ((cpu.regs().cr0 & (kCr0Em | kCr0Ts)) != 0 || x87.error_pending()) [[unlikely]]                                 \
        if (const Step refused = x87_refuse(cpu); refused != Step::Next)                                               \
    return refused

inline void x87_note_instruction(Context& cpu, const Instruction& in) {
    X87State& x87 = cpu.regs().x87;
    x87.opcode = static_cast<u16>(in.immediate);
    x87.instruction_selector = cpu.regs().segments[kCs].selector;
    x87.instruction_offset = cpu.present_eip(in);
}

inline void x87_note_operand(Context& cpu, const Instruction& in, u32 offset) {
    x87_note_instruction(cpu, in);
    cpu.regs().x87.data_selector = cpu.regs().segments[in.segment].selector;
    cpu.regs().x87.data_offset = offset;
}

inline FloatContext x87_context(const Context& cpu) {
    FloatContext context = cpu.state().x87.context();
    context.host = cpu.host_x87();
    return context;
}

// The status word after an operation.
inline void x87_flag(Context& cpu, const FloatContext& context) {
    X87State& x87 = cpu.regs().x87;
    x87.set_condition(static_cast<u16>(context.raised | (context.rounded_up ? u32{kX87C1} : 0)), kX87C1);
    if ((context.raised & ~context.masked & kFloatAll) != 0) [[unlikely]]
        cpu.float_error_changed();
}

inline void x87_underflow(FloatContext& context) { context.raised |= kFloatInvalid | kFloatStackFault; }
inline void x87_overflow(FloatContext& context) {
    context.raised |= kFloatInvalid | kFloatStackFault;
    context.rounded_up = true; // C1 tells it from an underflow
}

template <int kPops> void x87_pop(X87State& x87) {
    for (int i = 0; i < kPops; ++i)
        x87.pop();
}

// --- Memory operands: bits, and what they mean.

struct Single {
    using Bits = u32;
    static Float80 load(FloatContext& context, u32 bits) { return fast_from_32(context, bits); }
    static u32 store(FloatContext& context, Float80 value) { return fast_to_32(context, value); }
};
struct Double {
    using Bits = u64;
    static Float80 load(FloatContext& context, u64 bits) { return fast_from_64(context, bits); }
    static u64 store(FloatContext& context, Float80 value) { return fast_to_64(context, value); }
};
template <class T> struct Integer {
    using Bits = T;
    static Float80 load(FloatContext&, T bits) {
        return float_from_integer(static_cast<i64>(static_cast<std::make_signed_t<T>>(bits)));
    }
    static T store(FloatContext& context, Float80 value) {
        return static_cast<T>(float_to_integer(context, value, kBits<T>));
    }
};

// --- Loads and stores

// Pushes a value that an instruction loads, or the indefinite where there is no room.
inline void x87_push(Context& cpu, FloatContext& context, Float80 value) {
    X87State& x87 = cpu.regs().x87;
    if (!x87.is_empty(7) && (context.raised & kFloatStackFault) == 0) [[unlikely]] {
        context.raised = 0;
        x87_overflow(context);
        value = Float80::indefinite();
    }
    x87_flag(cpu, context);
    // An unmasked denormal does not keep the number from being loaded.
    if ((context.raised & kFloatInvalid) == 0 || context.is_masked(kFloatInvalid))
        x87.push(value);
}

template <class Source> Step x87_load(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    const u32 offset = cpu.offset_of(in);
    TRY(bits, cpu.read<typename Source::Bits>(in.segment, offset));
    x87_note_operand(cpu, in, offset);
    FloatContext context = x87_context(cpu);
    Float80 value = Source::load(context, bits);
    if (value.exponent() == Float80::kMaxExponent && value.classify() == FloatClass::SignallingNan) [[unlikely]]
        value = float_nan(context, value);
    if (context.denormal_operand) [[unlikely]]
        context.raised |= kFloatDenormal;
    x87_push(cpu, context, value);
    return Step::Next;
}

template <class Target, int kPops> Step x87_store(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    const u32 offset = cpu.offset_of(in);
    FloatContext context = x87_context(cpu);
    Float80 value = x87.st(0);
    if (x87.is_empty(0)) [[unlikely]] {
        x87_underflow(context);
        value = Float80::indefinite();
    }
    const auto bits = Target::store(context, value);
    const bool stopped = context.store_stopped();
    if (!stopped)
        TRY_VOID(cpu.write<typename Target::Bits>(in.segment, offset, bits));
    else // the operand's own faults come first, as on the host
        TRY_VOID(cpu.probe_write(in.segment, offset, sizeof bits));
    x87_note_operand(cpu, in, offset);
    x87_flag(cpu, context);
    if (!stopped)
        x87_pop<kPops>(x87);
    return Step::Next;
}

template <int kPops> Step x87_store_single(Context& cpu, const Instruction& in) {
    return x87_store<Single, kPops>(cpu, in);
}
template <int kPops> Step x87_store_double(Context& cpu, const Instruction& in) {
    return x87_store<Double, kPops>(cpu, in);
}
template <int kPops> Step x87_store_i16(Context& cpu, const Instruction& in) {
    return x87_store<Integer<u16>, kPops>(cpu, in);
}
template <int kPops> Step x87_store_i32(Context& cpu, const Instruction& in) {
    return x87_store<Integer<u32>, kPops>(cpu, in);
}
template <int kPops> Step x87_store_i64(Context& cpu, const Instruction& in) {
    return x87_store<Integer<u64>, kPops>(cpu, in);
}

template <int kPops> Step x87_store_register(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87_context(cpu);
    Float80 value = x87.st(0);
    if (x87.is_empty(0)) [[unlikely]] {
        x87_underflow(context);
        value = Float80::indefinite();
    }
    x87_flag(cpu, context);
    if (!context.stopped()) {
        x87.set(in.rm, value);
        x87_pop<kPops>(x87);
    }
    return Step::Next;
}

template <FloatConstant kConstant> Step x87_load_constant(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87_context(cpu);
    x87_push(cpu, context, float_constant(kConstant, context.rounding));
    return Step::Next;
}

// --- Arithmetic

using FloatOperation = Float80 (*)(FloatContext&, Float80, Float80);

template <FloatOperation kOperation, int kPops>
[[gnu::always_inline]] inline Step x87_combine(Context& cpu, u32 to, Float80 a, Float80 b, FloatContext& context,
                                               bool empty) {
    Float80 value;
    if (empty) [[unlikely]] {
        x87_underflow(context);
        value = Float80::indefinite();
    } else {
        value = kOperation(context, a, b);
    }
    x87_flag(cpu, context);
    if (!context.stopped()) [[likely]] {
        X87State& x87 = cpu.regs().x87;
        x87.set(to, value);
        x87_pop<kPops>(x87);
    }
    return Step::Next;
}

template <FloatOperation kOperation, class Source>
[[gnu::always_inline]] inline Step x87_with_memory(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    const u32 offset = cpu.offset_of(in);
    TRY(bits, cpu.read<typename Source::Bits>(in.segment, offset));
    x87_note_operand(cpu, in, offset);
    FloatContext context = x87_context(cpu);
    const Float80 b = Source::load(context, bits);
    return x87_combine<kOperation, 0>(cpu, 0, x87.st(0), b, context, x87.is_empty(0));
}

template <FloatOperation kOperation> Step x87_with_single(Context& cpu, const Instruction& in) {
    return x87_with_memory<kOperation, Single>(cpu, in);
}
template <FloatOperation kOperation> Step x87_with_double(Context& cpu, const Instruction& in) {
    return x87_with_memory<kOperation, Double>(cpu, in);
}
template <FloatOperation kOperation> Step x87_with_i16(Context& cpu, const Instruction& in) {
    return x87_with_memory<kOperation, Integer<u16>>(cpu, in);
}
template <FloatOperation kOperation> Step x87_with_i32(Context& cpu, const Instruction& in) {
    return x87_with_memory<kOperation, Integer<u32>>(cpu, in);
}

// ST(to) = operation(ST(to), ST(from)).
template <FloatOperation kOperation, int kPops>
[[gnu::always_inline]] inline Step x87_with_register(Context& cpu, const Instruction& in, u32 to, u32 from) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87_context(cpu);
    const bool empty = x87.is_empty(to) || x87.is_empty(from);
    return x87_combine<kOperation, kPops>(cpu, to, x87.st(to), x87.st(from), context, empty);
}

template <FloatOperation kOperation> Step x87_st0_sti(Context& cpu, const Instruction& in) {
    return x87_with_register<kOperation, 0>(cpu, in, 0, in.rm);
}
template <FloatOperation kOperation> Step x87_sti_st0(Context& cpu, const Instruction& in) {
    return x87_with_register<kOperation, 0>(cpu, in, in.rm, 0);
}
template <FloatOperation kOperation> Step x87_sti_st0_pop(Context& cpu, const Instruction& in) {
    return x87_with_register<kOperation, 1>(cpu, in, in.rm, 0);
}
// Of ST(0) and ST(1): FSCALE; FYL2X, FYL2XP1, FPATAN with the result in ST(1).
template <FloatOperation kOperation> Step x87_st0_st1(Context& cpu, const Instruction& in) {
    return x87_with_register<kOperation, 0>(cpu, in, 0, 1);
}
template <FloatOperation kOperation> Step x87_st1_st0_pop(Context& cpu, const Instruction& in) {
    return x87_with_register<kOperation, 1>(cpu, in, 1, 0);
}

template <Float80 (*kOperation)(FloatContext&, Float80)> Step x87_unary(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87_context(cpu);
    Float80 value;
    if (x87.is_empty(0)) [[unlikely]] {
        x87_underflow(context);
        value = Float80::indefinite();
    } else {
        value = kOperation(context, x87.st(0));
    }
    x87_flag(cpu, context);
    if (!context.stopped())
        x87.set(0, value);
    return Step::Next;
}

inline Float80 float_absolute(FloatContext&, Float80 a) { return a.with_sign(false); }
inline Float80 float_change_sign(FloatContext&, Float80 a) { return a.with_sign(!a.sign()); }

// --- Comparison

inline u16 x87_conditions(FloatRelation relation) {
    switch (relation) {
    case FloatRelation::Greater:
        return 0;
    case FloatRelation::Less:
        return kX87C0;
    case FloatRelation::Equal:
        return kX87C3;
    case FloatRelation::Unordered:
        break;
    }
    return kX87C0 | kX87C2 | kX87C3;
}

// C3, C2 and C0 are set even if an exception stops the instruction: the manual has it otherwise (SDM 2A, FCOM, note to
// the table), processors and Bochs do not.
template <int kPops>
Step x87_compare_with(Context& cpu, Float80 b, FloatContext& context, bool empty, FloatCompare kind) {
    X87State& x87 = cpu.regs().x87;
    FloatRelation relation = FloatRelation::Unordered;
    if (empty) [[unlikely]]
        x87_underflow(context);
    else
        relation = float_compare(context, x87.st(0), b, kind);
    x87.set_condition(x87_conditions(relation), kX87C0 | kX87C2 | kX87C3);
    x87_flag(cpu, context);
    if (!context.stopped())
        x87_pop<kPops>(x87);
    return Step::Next;
}

template <class Source, int kPops> Step x87_compare_memory(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    const u32 offset = cpu.offset_of(in);
    TRY(bits, cpu.read<typename Source::Bits>(in.segment, offset));
    x87_note_operand(cpu, in, offset);
    FloatContext context = x87_context(cpu);
    const Float80 b = Source::load(context, bits);
    return x87_compare_with<kPops>(cpu, b, context, x87.is_empty(0), FloatCompare::Ordered);
}

template <int kPops> Step x87_compare_single(Context& cpu, const Instruction& in) {
    return x87_compare_memory<Single, kPops>(cpu, in);
}
template <int kPops> Step x87_compare_double(Context& cpu, const Instruction& in) {
    return x87_compare_memory<Double, kPops>(cpu, in);
}
template <int kPops> Step x87_compare_i16(Context& cpu, const Instruction& in) {
    return x87_compare_memory<Integer<u16>, kPops>(cpu, in);
}
template <int kPops> Step x87_compare_i32(Context& cpu, const Instruction& in) {
    return x87_compare_memory<Integer<u32>, kPops>(cpu, in);
}

template <FloatCompare kKind, int kPops> Step x87_compare_register(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87_context(cpu);
    const bool empty = x87.is_empty(0) || x87.is_empty(in.rm);
    return x87_compare_with<kPops>(cpu, x87.st(in.rm), context, empty, kKind);
}

template <int kPops> Step x87_compare_ordered(Context& cpu, const Instruction& in) {
    return x87_compare_register<FloatCompare::Ordered, kPops>(cpu, in);
}
template <int kPops> Step x87_compare_unordered(Context& cpu, const Instruction& in) {
    return x87_compare_register<FloatCompare::Unordered, kPops>(cpu, in);
}

// FCOMI and its kin set ZF, PF and CF, and clear the other three, as above also if an exception stops them.
template <FloatCompare kKind, int kPops> Step x87_compare_flags(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87_context(cpu);
    FloatRelation relation = FloatRelation::Unordered;
    if (x87.is_empty(0) || x87.is_empty(in.rm)) [[unlikely]]
        x87_underflow(context);
    else
        relation = float_compare(context, x87.st(0), x87.st(in.rm), kKind);
    x87_flag(cpu, context);
    constexpr u32 kFlags[] = {0, kFlagC, kFlagZ, kFlagZ | kFlagP | kFlagC};
    cpu.regs().flags.unpack(kFlags[static_cast<u8>(relation)]);
    if (!context.stopped())
        x87_pop<kPops>(x87);
    return Step::Next;
}

template <int kPops> Step x87_compare_flags_ordered(Context& cpu, const Instruction& in) {
    return x87_compare_flags<FloatCompare::Ordered, kPops>(cpu, in);
}
template <int kPops> Step x87_compare_flags_unordered(Context& cpu, const Instruction& in) {
    return x87_compare_flags<FloatCompare::Unordered, kPops>(cpu, in);
}

// --- Conditional moves: B, E, BE, U and their opposites.

template <int kCondition> Step x87_cmov(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87_context(cpu);
    Float80 value = x87.st(in.rm);
    bool moves = condition<kCondition>(cpu.regs().flags);
    if (x87.is_empty(0) || x87.is_empty(in.rm)) [[unlikely]] {
        x87_underflow(context);
        x87_flag(cpu, context);
        value = Float80::indefinite();
        moves = true;
    }
    if (moves && !context.stopped())
        x87.set(0, value);
    return Step::Next;
}

// --- Angles, remainders (x87.cpp)

template <FloatAngle (*kOperation)(FloatContext&, Float80)> Step x87_angle(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87_context(cpu);
    FloatAngle angle{Float80::indefinite(), {}};
    if (x87.is_empty(0)) [[unlikely]]
        x87_underflow(context);
    else
        angle = kOperation(context, x87.st(0));
    x87.set_condition(angle.out_of_range ? kX87C2 : 0, kX87C2);
    x87_flag(cpu, context);
    if (!angle.out_of_range && !context.stopped())
        x87.set(0, angle.first);
    return Step::Next;
}

Step x87_angle_pair(Context& cpu, const Instruction& in, FloatAngle (*operation)(FloatContext&, Float80));
template <FloatAngle (*kOperation)(FloatContext&, Float80)> Step x87_two_results(Context& cpu, const Instruction& in) {
    return x87_angle_pair(cpu, in, kOperation);
}
Step x87_extract(Context& cpu, const Instruction& in);
Step x87_partial_remainder(Context& cpu, const Instruction& in, RemainderKind kind);
template <RemainderKind kKind> Step x87_remainder(Context& cpu, const Instruction& in) {
    return x87_partial_remainder(cpu, in, kKind);
}

// --- Registers and state (x87.cpp)

Step x87_load_extended(Context& cpu, const Instruction& in);
Step x87_load_decimal(Context& cpu, const Instruction& in);
Step x87_load_register(Context& cpu, const Instruction& in);
Step x87_store_extended(Context& cpu, const Instruction& in);
Step x87_store_decimal(Context& cpu, const Instruction& in);
Step x87_store_unchecked(Context& cpu, const Instruction& in);
Step x87_exchange(Context& cpu, const Instruction& in);
Step x87_test(Context& cpu, const Instruction& in);
Step x87_examine(Context& cpu, const Instruction& in);
Step x87_step_stack(Context& cpu, const Instruction& in, u32 step);
template <int kStep> Step x87_rotate(Context& cpu, const Instruction& in) {
    return x87_step_stack(cpu, in, static_cast<u32>(kStep));
}
Step x87_free(Context& cpu, const Instruction& in);
Step x87_free_pop(Context& cpu, const Instruction& in);
Step x87_nop(Context& cpu, const Instruction& in);
Step x87_ignored(Context& cpu, const Instruction& in);
Step x87_wait(Context& cpu, const Instruction& in);
Step x87_initialise(Context& cpu, const Instruction& in);
Step x87_clear_exceptions(Context& cpu, const Instruction& in);
Step x87_load_control(Context& cpu, const Instruction& in);
Step x87_store_control(Context& cpu, const Instruction& in);
Step x87_store_status(Context& cpu, const Instruction& in);
Step x87_store_status_ax(Context& cpu, const Instruction& in);
Step x87_load_environment(Context& cpu, const Instruction& in);
Step x87_store_environment(Context& cpu, const Instruction& in);
Step x87_restore(Context& cpu, const Instruction& in);
Step x87_save(Context& cpu, const Instruction& in);

} // namespace forkscope::handlers
