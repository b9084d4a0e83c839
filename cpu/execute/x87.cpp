#include "cpu/execute/x87.hpp"

#include <algorithm>
#include <span>

namespace forkscope::handlers {

namespace {

Step x87_not_available(Context& cpu) { return cpu.fault(kDeviceNotAvailable); }

// The present instruction waits, and starts anew after the next interrupt.
Step freeze(Context& cpu) {
    cpu.attention().lift_shadow();
    cpu.attention().cancel_step();
    cpu.attention().await_float_error();
    return Step::Repeat;
}

// A waiting instruction with an exception pending (SDM 1, D.2.1): FERR# is high already, and the processor waits for
// what comes of it.
Step x87_report(Context& cpu) {
    if ((cpu.regs().cr0 & kCr0Ne) != 0)
        return cpu.fault(kFloatingPoint);
    return cpu.attention().float_error_ignored() ? Step::Next : freeze(cpu);
}

// How instructions start that do not wait for exceptions.
#define X87_BEGIN_WITHOUT_WAIT                                                                                         \
    X87State& x87 = cpu.regs().x87;                                                                                    \
    if ((cpu.regs().cr0 & (kCr0Em | kCr0Ts)) != 0) [[unlikely]]                                                        \
    return x87_not_available(cpu)

Access<Float80> read_extended(Context& cpu, const Instruction& in, u32 offset) {
    const auto significand = cpu.read<u64>(in.segment, offset);
    if (!significand.ok)
        return Access<Float80>::fault();
    const auto sign_exponent = cpu.read<u16>(in.segment, (offset + 8) & counter_mask(in));
    if (!sign_exponent.ok)
        return Access<Float80>::fault();
    return {Float80{significand.value, sign_exponent.value}};
}

// Ten bytes that must be aligned to eight (SDM 3A, table 6-7).
Access<void> probe_extended(Context& cpu, const Instruction& in, u32 offset) {
    const auto writable = cpu.probe_write(in.segment, offset, 10);
    return writable.ok ? cpu.probe_write(in.segment, offset, 8) : writable;
}

Access<void> write_extended(Context& cpu, const Instruction& in, u32 offset, u64 low, u16 high) {
    if (const auto writable = probe_extended(cpu, in, offset); !writable.ok)
        return writable;
    if (const auto written = cpu.write<u64>(in.segment, offset, low); !written.ok)
        return written;
    return cpu.write<u16>(in.segment, (offset + 8) & counter_mask(in), high);
}

// Registers of an image go by words: the image as a whole must be aligned to its environment's fields, and no more.

constexpr u32 kRegisterWords = 5;

Access<Float80> read_register(Context& cpu, const Instruction& in, u32 offset) {
    u64 words[kRegisterWords];
    for (u32 i = 0; i < kRegisterWords; ++i) {
        const auto word = cpu.read<u16>(in.segment, (offset + 2 * i) & counter_mask(in));
        if (!word.ok)
            return Access<Float80>::fault();
        words[i] = word.value;
    }
    return {Float80{words[0] | words[1] << 16 | words[2] << 32 | words[3] << 48, static_cast<u16>(words[4])}};
}

// After probe_write over the whole image.
Access<void> write_register(Context& cpu, const Instruction& in, u32 offset, const Float80& number) {
    for (u32 i = 0; i < kRegisterWords; ++i) {
        const u64 word = i < 4 ? number.significand >> (16 * i) : number.sign_exponent;
        const auto written = cpu.write<u16>(in.segment, (offset + 2 * i) & counter_mask(in), static_cast<u16>(word));
        if (!written.ok)
            return written;
    }
    return {};
}

// --- The environment in memory (SDM 1, figures 8-9 to 8-12): seven words or doublewords.

constexpr u32 kEnvironmentFields = 7;

bool uses_protected_layout(const Context& cpu) { return cpu.state().protected_mode() && !cpu.state().virtual_8086(); }

u32 environment_size(const Instruction& in) { return kEnvironmentFields * in.operand_size; }

struct Environment {
    u32 fields[kEnvironmentFields] = {};
};

Environment make_environment(const Context& cpu, const Instruction& in) {
    const X87State& x87 = cpu.state().x87;
    const u32 unused = in.operand_size == 4 ? 0xFFFF0000u : 0;
    Environment out{{x87.control | unused, x87.status_word() | unused, x87.tag_word() | unused}};
    u32* pointers = out.fields + 3;
    if (uses_protected_layout(cpu)) {
        pointers[0] = x87.instruction_offset;
        pointers[1] = x87.instruction_selector | (in.operand_size == 4 ? u32{x87.opcode} << 16 : 0);
        pointers[2] = x87.data_offset;
        pointers[3] = x87.data_selector | unused;
        return out;
    }
    const u32 instruction = x87.instruction_selector * 16u + x87.instruction_offset;
    const u32 data = x87.data_selector * 16u + x87.data_offset;
    pointers[0] = (instruction & 0xFFFF) | unused;
    pointers[1] = (instruction >> 16 << 12) | x87.opcode;
    pointers[2] = (data & 0xFFFF) | unused;
    pointers[3] = data >> 16 << 12;
    if (in.operand_size == 4) {
        pointers[1] &= 0x0FFFFFFF;
        pointers[3] &= 0x0FFFFFFF;
    }
    return out;
}

void take_environment(Context& cpu, const Instruction& in, const Environment& environment) {
    X87State& x87 = cpu.regs().x87;
    x87.set_control_word(static_cast<u16>(environment.fields[0]));
    x87.set_status_word(static_cast<u16>(environment.fields[1]));
    x87.set_tag_word(static_cast<u16>(environment.fields[2]));
    const u32* pointers = environment.fields + 3;
    if (uses_protected_layout(cpu)) {
        x87.instruction_offset = pointers[0];
        x87.instruction_selector = static_cast<u16>(pointers[1]);
        x87.opcode = in.operand_size == 4 ? pointers[1] >> 16 & 0x7FF : 0;
        x87.data_offset = pointers[2];
        x87.data_selector = static_cast<u16>(pointers[3]);
        return;
    }
    // Linear addresses, which segment 0 stands for.
    const u32 upper = in.operand_size == 4 ? 0xFFFF : 0xF;
    x87.instruction_offset = (pointers[0] & 0xFFFF) | (pointers[1] >> 12 & upper) << 16;
    x87.opcode = pointers[1] & 0x7FF;
    x87.data_offset = (pointers[2] & 0xFFFF) | (pointers[3] >> 12 & upper) << 16;
    x87.instruction_selector = x87.data_selector = 0;
}

Access<void> read_environment(Context& cpu, const Instruction& in, u32 offset, Environment& out) {
    for (u32 i = 0; i < kEnvironmentFields; ++i) {
        const u32 at = (offset + i * in.operand_size) & counter_mask(in);
        if (in.operand_size == 4) {
            const auto field = cpu.read<u32>(in.segment, at);
            if (!field.ok)
                return Access<void>::fault();
            out.fields[i] = field.value;
        } else {
            const auto field = cpu.read<u16>(in.segment, at);
            if (!field.ok)
                return Access<void>::fault();
            out.fields[i] = field.value;
        }
    }
    return {};
}

// After probe_write over the whole image.
Access<void> write_environment(Context& cpu, const Instruction& in, u32 offset, const Environment& environment) {
    for (u32 i = 0; i < kEnvironmentFields; ++i) {
        const u32 at = (offset + i * in.operand_size) & counter_mask(in);
        const auto written = in.operand_size == 4
                                 ? cpu.write<u32>(in.segment, at, environment.fields[i])
                                 : cpu.write<u16>(in.segment, at, static_cast<u16>(environment.fields[i]));
        if (!written.ok)
            return written;
    }
    return {};
}

} // namespace

Step x87_refuse(Context& cpu) {
    if ((cpu.regs().cr0 & (kCr0Em | kCr0Ts)) != 0)
        return x87_not_available(cpu);
    return x87_report(cpu);
}

Step x87_wait(Context& cpu, const Instruction&) {
    constexpr u32 kBoth = kCr0Mp | kCr0Ts;
    if ((cpu.regs().cr0 & kBoth) == kBoth)
        return x87_not_available(cpu);
    return cpu.regs().x87.error_pending() ? x87_report(cpu) : Step::Next;
}

// --- Loads and stores

Step x87_load_extended(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    const u32 offset = cpu.offset_of(in);
    TRY(value, read_extended(cpu, in, offset));
    x87_note_operand(cpu, in, offset);
    FloatContext context = x87.context();
    x87_push(cpu, context, value);
    return Step::Next;
}

Step x87_load_decimal(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    const u32 offset = cpu.offset_of(in);
    TRY(bits, read_extended(cpu, in, offset));
    x87_note_operand(cpu, in, offset);
    FloatContext context = x87.context();
    x87_push(cpu, context, float_from_decimal({bits.significand, static_cast<u16>(bits.sign_exponent)}));
    return Step::Next;
}

Step x87_load_register(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87.context();
    Float80 value = x87.st(in.rm);
    if (x87.is_empty(in.rm)) {
        x87_underflow(context);
        value = Float80::indefinite();
    }
    x87_push(cpu, context, value);
    return Step::Next;
}

Step x87_store_extended(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    const u32 offset = cpu.offset_of(in);
    FloatContext context = x87.context();
    Float80 value = x87.st(0);
    if (x87.is_empty(0)) {
        x87_underflow(context);
        value = Float80::indefinite();
    }
    if (!context.stopped())
        TRY_VOID(write_extended(cpu, in, offset, value.significand, static_cast<u16>(value.sign_exponent)));
    else
        TRY_VOID(probe_extended(cpu, in, offset));
    x87_note_operand(cpu, in, offset);
    x87_flag(cpu, context);
    if (!context.stopped())
        x87.pop();
    return Step::Next;
}

Step x87_store_decimal(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    const u32 offset = cpu.offset_of(in);
    FloatContext context = x87.context();
    Float80 value = x87.st(0);
    if (x87.is_empty(0)) {
        x87_underflow(context);
        value = Float80::indefinite();
    }
    const PackedDecimal decimal = float_to_decimal(context, value);
    if (!context.stopped())
        TRY_VOID(write_extended(cpu, in, offset, decimal.low, decimal.high));
    else
        TRY_VOID(probe_extended(cpu, in, offset));
    x87_note_operand(cpu, in, offset);
    x87_flag(cpu, context);
    if (!context.stopped())
        x87.pop();
    return Step::Next;
}

// FSTPNCE, which no manual has: FSTP without the stack fault: with ST(0) empty it only pops.
Step x87_store_unchecked(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    if (!x87.is_empty(0))
        x87.set(in.rm, x87.st(0));
    x87.set_condition(0, kX87C1);
    x87.pop();
    return Step::Next;
}

Step x87_exchange(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    Float80 first = x87.st(0);
    Float80 other = x87.st(in.rm);
    if (!x87.is_empty(0) && !x87.is_empty(in.rm)) [[likely]] {
        x87.registers[x87.physical(0)] = other;
        x87.registers[x87.physical(in.rm)] = first;
        x87.set_condition(0, kX87C1);
        return Step::Next;
    }
    FloatContext context = x87.context();
    x87_underflow(context);
    first = x87.is_empty(0) ? Float80::indefinite() : first;
    other = x87.is_empty(in.rm) ? Float80::indefinite() : other;
    x87_flag(cpu, context);
    if (!context.stopped()) {
        x87.set(0, other);
        x87.set(in.rm, first);
    }
    return Step::Next;
}

// --- Looking

Step x87_test(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87.context();
    return x87_compare_with<0>(cpu, Float80{}, context, x87.is_empty(0), FloatCompare::Ordered);
}

Step x87_examine(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    u16 bits = kX87C3 | kX87C0; // empty
    if (!x87.is_empty(0)) {
        switch (x87.st(0).classify()) {
        case FloatClass::Zero:
            bits = kX87C3;
            break;
        case FloatClass::Normal:
            bits = kX87C2;
            break;
        case FloatClass::Denormal:
            bits = kX87C3 | kX87C2;
            break;
        case FloatClass::Infinity:
            bits = kX87C2 | kX87C0;
            break;
        case FloatClass::QuietNan:
        case FloatClass::SignallingNan:
            bits = kX87C0;
            break;
        case FloatClass::Unsupported:
            bits = 0;
            break;
        }
    }
    x87.set_condition(bits | (x87.st(0).sign() ? kX87C1 : 0), kX87Conditions);
    return Step::Next;
}

// --- Operations with two results, or conditions

Step x87_angle_pair(Context& cpu, const Instruction& in, FloatAngle (*operation)(FloatContext&, Float80)) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87.context();
    FloatAngle angle{Float80::indefinite(), Float80::indefinite()};
    if (x87.is_empty(0))
        x87_underflow(context);
    else if (!x87.is_empty(7))
        x87_overflow(context);
    else
        angle = operation(context, x87.st(0));
    x87.set_condition(angle.out_of_range ? kX87C2 : 0, kX87C2);
    x87_flag(cpu, context);
    if (!angle.out_of_range && !context.stopped()) {
        x87.set(0, angle.first);
        x87.push(angle.second);
    }
    return Step::Next;
}

Step x87_extract(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87.context();
    FloatExtract parts{Float80::indefinite(), Float80::indefinite()};
    if (x87.is_empty(0))
        x87_underflow(context);
    else if (!x87.is_empty(7))
        x87_overflow(context);
    else
        parts = float_extract(context, x87.st(0));
    x87_flag(cpu, context);
    if (!context.stopped()) {
        x87.set(0, parts.exponent);
        x87.push(parts.significand);
    }
    return Step::Next;
}

Step x87_partial_remainder(Context& cpu, const Instruction& in, RemainderKind kind) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    FloatContext context = x87.context();
    FloatRemainder remainder{Float80::indefinite()};
    if (x87.is_empty(0) || x87.is_empty(1))
        x87_underflow(context);
    else
        remainder = float_remainder(context, x87.st(0), x87.st(1), kind);
    x87_flag(cpu, context);
    const u32 quotient = remainder.quotient;
    const u32 bits = (quotient >> 2 & 1) * kX87C0 | (quotient >> 1 & 1) * kX87C3 | (quotient & 1) * kX87C1;
    if (!remainder.complete)
        x87.set_condition(kX87C2, kX87Conditions);
    else if (context.stopped() || (context.raised & kFloatInvalid) != 0 ||
             remainder.value.exponent() == Float80::kMaxExponent)
        x87.set_condition(0, kX87C1 | kX87C2); // there is no quotient
    else
        x87.set_condition(static_cast<u16>(bits), kX87Conditions);
    if (!context.stopped())
        x87.set(0, remainder.value);
    return Step::Next;
}

// --- The stack

Step x87_step_stack(Context& cpu, const Instruction& in, u32 step) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    x87.top = (x87.top + step) & 7;
    x87.set_condition(0, kX87C1);
    return Step::Next;
}

Step x87_free(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    x87.free(in.rm);
    x87.set_condition(0, kX87C1);
    return Step::Next;
}

Step x87_free_pop(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    x87.free(in.rm);
    x87.set_condition(0, kX87C1);
    x87.pop();
    return Step::Next;
}

Step x87_nop(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    x87_note_instruction(cpu, in);
    return Step::Next;
}

// FENI, FDISI and FSETPM of older coprocessors.
Step x87_ignored(Context& cpu, const Instruction&) {
    X87_BEGIN_WITHOUT_WAIT;
    static_cast<void>(x87);
    return Step::Next;
}

// --- Control

Step x87_initialise(Context& cpu, const Instruction&) {
    X87_BEGIN_WITHOUT_WAIT;
    x87.initialise();
    cpu.float_error_changed();
    return Step::Next;
}

Step x87_clear_exceptions(Context& cpu, const Instruction&) {
    X87_BEGIN_WITHOUT_WAIT;
    x87.set_condition(0, X87State::kExceptionBits);
    cpu.float_error_changed();
    return Step::Next;
}

Step x87_load_control(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    TRY(value, cpu.read<u16>(in.segment, cpu.offset_of(in)));
    x87.set_control_word(value);
    cpu.float_error_changed();
    return Step::Next;
}

Step x87_store_control(Context& cpu, const Instruction& in) {
    X87_BEGIN_WITHOUT_WAIT;
    TRY_VOID(cpu.write<u16>(in.segment, cpu.offset_of(in), x87.control));
    return Step::Next;
}

Step x87_store_status(Context& cpu, const Instruction& in) {
    X87_BEGIN_WITHOUT_WAIT;
    TRY_VOID(cpu.write<u16>(in.segment, cpu.offset_of(in), x87.status_word()));
    return Step::Next;
}

Step x87_store_status_ax(Context& cpu, const Instruction&) {
    X87_BEGIN_WITHOUT_WAIT;
    cpu.regs().set_reg<u16>(kEax, x87.status_word());
    return Step::Next;
}

Step x87_load_environment(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    static_cast<void>(x87);
    Environment environment;
    TRY_VOID(read_environment(cpu, in, cpu.offset_of(in), environment));
    take_environment(cpu, in, environment);
    cpu.float_error_changed();
    return Step::Next;
}

Step x87_store_environment(Context& cpu, const Instruction& in) {
    X87_BEGIN_WITHOUT_WAIT;
    const u32 offset = cpu.offset_of(in);
    TRY_VOID(cpu.probe_write(in.segment, offset, environment_size(in)));
    TRY_VOID(write_environment(cpu, in, offset, make_environment(cpu, in)));
    x87.control |= kFloatAll;
    cpu.float_error_changed();
    return Step::Next;
}

Step x87_restore(Context& cpu, const Instruction& in) {
    X87_BEGIN;
    const u32 offset = cpu.offset_of(in);
    Environment environment;
    TRY_VOID(read_environment(cpu, in, offset, environment));
    std::array<Float80, 8> stack;
    for (u32 i = 0; i < 8; ++i) {
        TRY(value, read_register(cpu, in, offset + environment_size(in) + 10 * i));
        stack[i] = value;
    }
    take_environment(cpu, in, environment);
    for (u32 i = 0; i < 8; ++i)
        x87.registers[x87.physical(i)] = stack[i];
    cpu.float_error_changed();
    return Step::Next;
}

Step x87_save(Context& cpu, const Instruction& in) {
    X87_BEGIN_WITHOUT_WAIT;
    const u32 offset = cpu.offset_of(in);
    TRY_VOID(cpu.probe_write(in.segment, offset, environment_size(in) + 80));
    TRY_VOID(write_environment(cpu, in, offset, make_environment(cpu, in)));
    for (u32 i = 0; i < 8; ++i) {
        TRY_VOID(write_register(cpu, in, offset + environment_size(in) + 10 * i, x87.st(i)));
    }
    x87.initialise();
    cpu.float_error_changed();
    return Step::Next;
}

} // namespace forkscope::handlers
