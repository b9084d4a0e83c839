// Owns: handlers of moves, ALU, shifts, bits, multiply and divide.
// Callers: dispatch.cpp through opcodes.def. Promises: load, compute, store, then commit.
#pragma once

#include "cpu/execute/operands.hpp"

namespace forkscope::handlers {

// --- ALU

template <class Op, class T, bool kMemory> Step alu_rm_r(Context& cpu, const Instruction& in) {
    const T b = cpu.regs().reg<T>(in.reg);
    if constexpr (Op::kWrites) {
        TRY(a, (get_rm<T, kMemory>(cpu, in)));
        put_rm<T, kMemory>(cpu, in, Op::template apply<T>(cpu.regs().flags, a, b));
    } else {
        TRY(a, (read_rm<T, kMemory>(cpu, in)));
        Op::template apply<T>(cpu.regs().flags, a, b);
    }
    return Step::Next;
}

template <class Op, class T, bool kMemory> Step alu_r_rm(Context& cpu, const Instruction& in) {
    TRY(b, (read_rm<T, kMemory>(cpu, in)));
    const T r = Op::template apply<T>(cpu.regs().flags, cpu.regs().reg<T>(in.reg), b);
    if constexpr (Op::kWrites)
        cpu.regs().set_reg<T>(in.reg, r);
    return Step::Next;
}

template <class Op, class T, bool> Step alu_a_imm(Context& cpu, const Instruction& in) {
    const T r = Op::template apply<T>(cpu.regs().flags, cpu.regs().reg<T>(kEax), static_cast<T>(in.immediate));
    if constexpr (Op::kWrites)
        cpu.regs().set_reg<T>(kEax, r);
    return Step::Next;
}

template <class Op, class T, bool kMemory> Step alu_rm_imm(Context& cpu, const Instruction& in) {
    const T b = static_cast<T>(in.immediate);
    if constexpr (Op::kWrites) {
        TRY(a, (get_rm<T, kMemory>(cpu, in)));
        put_rm<T, kMemory>(cpu, in, Op::template apply<T>(cpu.regs().flags, a, b));
    } else {
        TRY(a, (read_rm<T, kMemory>(cpu, in)));
        Op::template apply<T>(cpu.regs().flags, a, b);
    }
    return Step::Next;
}

template <class T, bool kMemory> Step test_rm_r(Context& cpu, const Instruction& in) {
    TRY(a, (read_rm<T, kMemory>(cpu, in)));
    cpu.regs().flags.set_logic(static_cast<T>(a & cpu.regs().reg<T>(in.reg)));
    return Step::Next;
}

template <class T, bool> Step test_a_imm(Context& cpu, const Instruction& in) {
    cpu.regs().flags.set_logic(static_cast<T>(cpu.regs().reg<T>(kEax) & in.immediate));
    return Step::Next;
}

template <class T, bool kMemory> Step test_rm_imm(Context& cpu, const Instruction& in) {
    TRY(a, (read_rm<T, kMemory>(cpu, in)));
    cpu.regs().flags.set_logic(static_cast<T>(a & in.immediate));
    return Step::Next;
}

template <class Op, class T, bool kMemory> Step unary_rm(Context& cpu, const Instruction& in) {
    TRY(a, (get_rm<T, kMemory>(cpu, in)));
    put_rm<T, kMemory>(cpu, in, Op::template apply<T>(cpu.regs().flags, a));
    return Step::Next;
}

template <class Op, class T> Step inc_dec_r(Context& cpu, const Instruction& in) {
    cpu.regs().set_reg<T>(in.reg, Op::template apply<T>(cpu.regs().flags, cpu.regs().reg<T>(in.reg)));
    return Step::Next;
}

// --- Moves

template <class T, bool kMemory> Step mov_rm_r(Context& cpu, const Instruction& in) {
    TRY_VOID((write_rm<T, kMemory>(cpu, in, cpu.regs().reg<T>(in.reg))));
    return Step::Next;
}

template <class T, bool kMemory> Step mov_r_rm(Context& cpu, const Instruction& in) {
    TRY(value, (read_rm<T, kMemory>(cpu, in)));
    cpu.regs().set_reg<T>(in.reg, value);
    return Step::Next;
}

template <class T, bool kMemory> Step mov_rm_imm(Context& cpu, const Instruction& in) {
    TRY_VOID((write_rm<T, kMemory>(cpu, in, static_cast<T>(in.immediate))));
    return Step::Next;
}

inline Step mov_r8_imm(Context& cpu, const Instruction& in) {
    cpu.regs().set_reg<u8>(in.reg, static_cast<u8>(in.immediate));
    return Step::Next;
}

template <class T> Step mov_r_imm(Context& cpu, const Instruction& in) {
    cpu.regs().set_reg<T>(in.reg, static_cast<T>(in.immediate));
    return Step::Next;
}

template <class T, bool> Step mov_a_moffs(Context& cpu, const Instruction& in) {
    TRY(value, cpu.read<T>(in.segment, in.displacement));
    cpu.regs().set_reg<T>(kEax, value);
    return Step::Next;
}

template <class T, bool> Step mov_moffs_a(Context& cpu, const Instruction& in) {
    TRY_VOID(cpu.write<T>(in.segment, in.displacement, cpu.regs().reg<T>(kEax)));
    return Step::Next;
}

template <class T> Step lea(Context& cpu, const Instruction& in) {
    cpu.regs().set_reg<T>(in.reg, static_cast<T>(cpu.offset_of(in)));
    return Step::Next;
}

template <class T, bool kMemory> Step xchg_rm_r(Context& cpu, const Instruction& in) {
    TRY(value, (get_rm<T, kMemory>(cpu, in)));
    put_rm<T, kMemory>(cpu, in, cpu.regs().reg<T>(in.reg));
    cpu.regs().set_reg<T>(in.reg, value);
    return Step::Next;
}

template <class T> Step xchg_a_r(Context& cpu, const Instruction& in) {
    const T a = cpu.regs().reg<T>(kEax);
    cpu.regs().set_reg<T>(kEax, cpu.regs().reg<T>(in.reg));
    cpu.regs().set_reg<T>(in.reg, a);
    return Step::Next;
}

inline Step nop(Context&, const Instruction&) { return Step::Next; }

inline Step xlat(Context& cpu, const Instruction& in) {
    const u32 offset = static_cast<u32>(cpu.regs().gpr[kEbx]) + cpu.regs().reg<u8>(kEax);
    TRY(value, cpu.read<u8>(in.segment, offset & counter_mask(in)));
    cpu.regs().set_reg<u8>(kEax, value);
    return Step::Next;
}

template <class From, class T, bool kMemory> Step movzx_r_rm(Context& cpu, const Instruction& in) {
    TRY(value, (read_rm<From, kMemory>(cpu, in)));
    cpu.regs().set_reg<T>(in.reg, static_cast<T>(value));
    return Step::Next;
}

template <class From, class T, bool kMemory> Step movsx_r_rm(Context& cpu, const Instruction& in) {
    using Raw = std::make_unsigned_t<From>;
    TRY(value, (read_rm<Raw, kMemory>(cpu, in)));
    cpu.regs().set_reg<T>(in.reg, static_cast<T>(static_cast<i32>(static_cast<From>(value))));
    return Step::Next;
}

template <class T> Step bswap(Context& cpu, const Instruction& in) {
    // With a 16-bit operand the result is undefined; processors give zero.
    if constexpr (sizeof(T) == 4)
        cpu.regs().set_reg<u32>(in.reg, __builtin_bswap32(cpu.regs().reg<u32>(in.reg)));
    else
        cpu.regs().set_reg<u16>(in.reg, 0);
    return Step::Next;
}

template <class T> // CBW, CWDE
Step cbw(Context& cpu, const Instruction&) {
    if constexpr (sizeof(T) == 4)
        cpu.regs().set_reg<u32>(kEax, static_cast<u32>(static_cast<i32>(static_cast<i16>(cpu.regs().reg<u16>(kEax)))));
    else
        cpu.regs().set_reg<u16>(kEax, static_cast<u16>(static_cast<i8>(cpu.regs().reg<u8>(kEax))));
    return Step::Next;
}

template <class T> // CWD, CDQ
Step cwd(Context& cpu, const Instruction&) {
    const bool negative = (cpu.regs().reg<T>(kEax) >> (kBits<T> - 1)) != 0;
    cpu.regs().set_reg<T>(kEdx, negative ? static_cast<T>(~T{0}) : T{0});
    return Step::Next;
}

template <class T, bool kMemory> Step cmpxchg_rm_r(Context& cpu, const Instruction& in) {
    TRY(value, (get_rm<T, kMemory>(cpu, in)));
    const T accumulator = cpu.regs().reg<T>(kEax);
    Sub::apply<T>(cpu.regs().flags, accumulator, value);
    // Memory is written in either case, as the manual says.
    const bool equal = accumulator == value;
    cpu.charge_operand(in, equal);
    if (equal) {
        put_rm<T, kMemory>(cpu, in, cpu.regs().reg<T>(in.reg));
    } else {
        if constexpr (kMemory)
            put_rm<T, kMemory>(cpu, in, value);
        cpu.regs().set_reg<T>(kEax, value);
    }
    return Step::Next;
}

template <class T, bool kMemory> Step xadd_rm_r(Context& cpu, const Instruction& in) {
    TRY(value, (get_rm<T, kMemory>(cpu, in)));
    const T sum = Add::apply<T>(cpu.regs().flags, value, cpu.regs().reg<T>(in.reg));
    if constexpr (kMemory) {
        put_rm<T, kMemory>(cpu, in, sum);
        cpu.regs().set_reg<T>(in.reg, value);
    } else { // XADD r,r with both the same leaves the sum
        cpu.regs().set_reg<T>(in.reg, value);
        cpu.regs().set_reg<T>(in.rm, sum);
    }
    return Step::Next;
}

inline Step cmpxchg8b(Context& cpu, const Instruction& in) {
    const u32 offset = cpu.offset_of(in);
    TRY(value, cpu.read_for_update<u64>(in.segment, offset));
    CpuState& r = cpu.regs();
    const u64 expected = (r.gpr[kEdx] << 32) | r.reg<u32>(kEax);
    const bool equal = value == expected;
    cpu.finish_update<u64>(equal ? (r.gpr[kEcx] << 32) | r.reg<u32>(kEbx) : value);
    if (!equal) {
        r.set_reg<u32>(kEax, static_cast<u32>(value));
        r.set_reg<u32>(kEdx, static_cast<u32>(value >> 32));
    }
    const u32 others = r.flags.pack() & ~u32{kFlagZ};
    r.flags.unpack(others | (equal ? u32{kFlagZ} : 0));
    return Step::Next;
}

// --- Shifts and bits

template <class Op, class T, bool kMemory> Step shift_by(Context& cpu, const Instruction& in, u32 count) {
    count &= 31;
    TRY(a, (get_rm<T, kMemory>(cpu, in)));
    if constexpr (std::is_same_v<Op, Rcl> || std::is_same_v<Op, Rcr>)
        cpu.charge_operand(in, count);
    if (count != 0)
        put_rm<T, kMemory>(cpu, in, Op::template apply<T>(cpu.regs().flags, a, count));
    else if constexpr (kMemory)
        put_rm<T, kMemory>(cpu, in, a);
    return Step::Next;
}
template <class Op, class T, bool kMemory> Step shift_rm_imm(Context& cpu, const Instruction& in) {
    return shift_by<Op, T, kMemory>(cpu, in, in.immediate);
}
template <class Op, class T, bool kMemory> Step shift_rm_1(Context& cpu, const Instruction& in) {
    return shift_by<Op, T, kMemory>(cpu, in, 1);
}
template <class Op, class T, bool kMemory> Step shift_rm_cl(Context& cpu, const Instruction& in) {
    return shift_by<Op, T, kMemory>(cpu, in, cpu.regs().reg<u8>(kEcx));
}

template <class Op, class T, bool kMemory> Step shift_double(Context& cpu, const Instruction& in, u32 count) {
    count &= 31;
    TRY(a, (get_rm<T, kMemory>(cpu, in)));
    if (count != 0)
        put_rm<T, kMemory>(cpu, in, Op::template apply<T>(cpu.regs().flags, a, cpu.regs().reg<T>(in.reg), count));
    else if constexpr (kMemory)
        put_rm<T, kMemory>(cpu, in, a);
    return Step::Next;
}
template <class Op, class T, bool kMemory> Step shift_double_imm(Context& cpu, const Instruction& in) {
    return shift_double<Op, T, kMemory>(cpu, in, in.immediate);
}
template <class Op, class T, bool kMemory> Step shift_double_cl(Context& cpu, const Instruction& in) {
    return shift_double<Op, T, kMemory>(cpu, in, cpu.regs().reg<u8>(kEcx));
}

struct Bt {
    static constexpr bool kWrites = false;
    static u32 apply(u32 value, u32) { return value; }
};
struct Bts {
    static constexpr bool kWrites = true;
    static u32 apply(u32 value, u32 mask) { return value | mask; }
};
struct Btr {
    static constexpr bool kWrites = true;
    static u32 apply(u32 value, u32 mask) { return value & ~mask; }
};
struct Btc {
    static constexpr bool kWrites = true;
    static u32 apply(u32 value, u32 mask) { return value ^ mask; }
};

template <class Op, class T> Step bit_in_memory(Context& cpu, const Instruction& in, u32 offset, u32 bit) {
    const u32 mask = 1u << bit;
    if constexpr (Op::kWrites) {
        TRY(value, cpu.read_for_update<T>(in.segment, offset));
        cpu.finish_update<T>(static_cast<T>(Op::apply(value, mask)));
        cpu.regs().flags.set_c((value & mask) != 0);
    } else {
        TRY(value, cpu.read<T>(in.segment, offset));
        cpu.regs().flags.set_c((value & mask) != 0);
    }
    return Step::Next;
}

template <class Op, class T> Step bit_in_register(Context& cpu, const Instruction& in, u32 bit) {
    const u32 mask = 1u << bit;
    const T value = cpu.regs().reg<T>(in.rm);
    if constexpr (Op::kWrites)
        cpu.regs().set_reg<T>(in.rm, static_cast<T>(Op::apply(value, mask)));
    cpu.regs().flags.set_c((value & mask) != 0);
    return Step::Next;
}

// With a register as bit number the memory operand is a bit string: the number reaches beyond the addressed word.
template <class Op, class T, bool kMemory> Step bit_rm_r(Context& cpu, const Instruction& in) {
    const auto number = static_cast<i32>(static_cast<std::make_signed_t<T>>(cpu.regs().reg<T>(in.reg)));
    const u32 bit = static_cast<u32>(number) & (kBits<T> - 1);
    if constexpr (!kMemory)
        return bit_in_register<Op, T>(cpu, in, bit);
    constexpr int kShift = sizeof(T) == 4 ? 5 : 4;
    const u32 distance = static_cast<u32>(number >> kShift) * u32{sizeof(T)};
    return bit_in_memory<Op, T>(cpu, in, (cpu.offset_of(in) + distance) & counter_mask(in), bit);
}

template <class Op, class T, bool kMemory> Step bit_rm_imm(Context& cpu, const Instruction& in) {
    const u32 bit = in.immediate & (kBits<T> - 1);
    if constexpr (kMemory)
        return bit_in_memory<Op, T>(cpu, in, cpu.offset_of(in), bit);
    else
        return bit_in_register<Op, T>(cpu, in, bit);
}

struct Bsf {
    static u32 apply(u32 value) { return static_cast<u32>(__builtin_ctz(value)); }
};
struct Bsr {
    static u32 apply(u32 value) { return 31u - static_cast<u32>(__builtin_clz(value)); }
};

// A zero source leaves the destination as it was (all models in fact, P6 and later as documented by AMD).
template <class Op, class T, bool kMemory> Step bit_scan(Context& cpu, const Instruction& in) {
    TRY(value, (read_rm<T, kMemory>(cpu, in)));
    cpu.charge_operand(in, value);
    const u32 others = cpu.regs().flags.pack() & ~u32{kFlagZ};
    if (value != 0)
        cpu.regs().set_reg<T>(in.reg, static_cast<T>(Op::apply(value)));
    cpu.regs().flags.unpack(others | (value == 0 ? u32{kFlagZ} : 0));
    return Step::Next;
}

// --- Multiply, divide

// Stores a double-width product in AX, DX:AX or EDX:EAX.
template <class T> void set_product(Context& cpu, u64 product) {
    if constexpr (sizeof(T) == 1) {
        cpu.regs().set_reg<u16>(kEax, static_cast<u16>(product));
    } else {
        cpu.regs().set_reg<T>(kEax, static_cast<T>(product));
        cpu.regs().set_reg<T>(kEdx, static_cast<T>(product >> kBits<T>));
    }
}

// SF, ZF and PF are undefined; processors since the P6 leave ZF alone and set SF and PF from the low half.
template <class T> void set_multiply_flags(Context& cpu, T low, bool overflow) {
    cpu.regs().flags.set_result(low);
    cpu.regs().flags.set_carries(overflow, overflow);
}

template <class T, bool kMemory> Step mul_rm(Context& cpu, const Instruction& in) {
    TRY(b, (read_rm<T, kMemory>(cpu, in)));
    cpu.charge_operand(in, b);
    const u64 product = static_cast<u64>(cpu.regs().reg<T>(kEax)) * b;
    set_product<T>(cpu, product);
    set_multiply_flags<T>(cpu, static_cast<T>(product), (product >> kBits<T>) != 0);
    return Step::Next;
}

template <class T> i64 sign_extend(T value) { return static_cast<i64>(static_cast<std::make_signed_t<T>>(value)); }

template <class T, bool kMemory> Step imul_rm(Context& cpu, const Instruction& in) {
    TRY(b, (read_rm<T, kMemory>(cpu, in)));
    cpu.charge_operand(in, b);
    const i64 product = sign_extend<T>(cpu.regs().reg<T>(kEax)) * sign_extend<T>(b);
    set_product<T>(cpu, static_cast<u64>(product));
    set_multiply_flags<T>(cpu, static_cast<T>(product), product != sign_extend<T>(static_cast<T>(product)));
    return Step::Next;
}

template <class T> void imul_into(Context& cpu, u8 reg, T a, T b) {
    const i64 product = sign_extend<T>(a) * sign_extend<T>(b);
    cpu.regs().set_reg<T>(reg, static_cast<T>(product));
    set_multiply_flags<T>(cpu, static_cast<T>(product), product != sign_extend<T>(static_cast<T>(product)));
}

template <class T, bool kMemory> Step imul_r_rm(Context& cpu, const Instruction& in) {
    TRY(b, (read_rm<T, kMemory>(cpu, in)));
    cpu.charge_operand(in, b);
    imul_into<T>(cpu, in.reg, cpu.regs().reg<T>(in.reg), b);
    return Step::Next;
}

template <class T, bool kMemory> Step imul_r_rm_imm(Context& cpu, const Instruction& in) {
    TRY(b, (read_rm<T, kMemory>(cpu, in)));
    cpu.charge_operand(in, static_cast<T>(in.immediate)); // the multiplier
    imul_into<T>(cpu, in.reg, b, static_cast<T>(in.immediate));
    return Step::Next;
}

// The double-width dividend.
template <class T> u64 dividend(Context& cpu) {
    if constexpr (sizeof(T) == 1)
        return cpu.regs().reg<u16>(kEax);
    else
        return (static_cast<u64>(cpu.regs().reg<T>(kEdx)) << kBits<T>) | cpu.regs().reg<T>(kEax);
}

template <class T> void set_quotient(Context& cpu, T quotient, T remainder) {
    if constexpr (sizeof(T) == 1) {
        cpu.regs().set_reg<u16>(kEax, static_cast<u16>((remainder << 8) | quotient));
    } else {
        cpu.regs().set_reg<T>(kEax, quotient);
        cpu.regs().set_reg<T>(kEdx, remainder);
    }
}

template <class T, bool kMemory> Step div_rm(Context& cpu, const Instruction& in) {
    TRY(divisor, (read_rm<T, kMemory>(cpu, in)));
    if (divisor == 0)
        return cpu.fault(kDivideError);
    const u64 n = dividend<T>(cpu);
    const u64 quotient = n / divisor;
    if ((quotient >> kBits<T>) != 0)
        return cpu.fault(kDivideError);
    set_quotient<T>(cpu, static_cast<T>(quotient), static_cast<T>(n % divisor));
    return Step::Next;
}

template <class T, bool kMemory> Step idiv_rm(Context& cpu, const Instruction& in) {
    TRY(raw, (read_rm<T, kMemory>(cpu, in)));
    const i64 divisor = sign_extend<T>(raw);
    i64 n = static_cast<i64>(dividend<T>(cpu));
    if constexpr (sizeof(T) == 1)
        n = static_cast<i16>(n);
    else if constexpr (sizeof(T) == 2)
        n = static_cast<i32>(n);
    // The only quotient that overflows 64 bits.
    if (divisor == 0 || (divisor == -1 && n == INT64_MIN))
        return cpu.fault(kDivideError);
    const i64 quotient = n / divisor;
    if (quotient != sign_extend<T>(static_cast<T>(quotient)))
        return cpu.fault(kDivideError);
    set_quotient<T>(cpu, static_cast<T>(quotient), static_cast<T>(n % divisor));
    return Step::Next;
}

// --- Conditions

template <int N, class T, bool kMemory> Step setcc(Context& cpu, const Instruction& in) {
    const bool holds = condition<N>(cpu.regs().flags);
    TRY_VOID((write_rm<T, kMemory>(cpu, in, static_cast<T>(holds ? 1 : 0))));
    cpu.charge_operand(in, holds);
    return Step::Next;
}

template <int N, class T, bool kMemory> Step cmov(Context& cpu, const Instruction& in) {
    TRY(value, (read_rm<T, kMemory>(cpu, in)));
    if (condition<N>(cpu.regs().flags))
        cpu.regs().set_reg<T>(in.reg, value);
    return Step::Next;
}

// Decimal and flag handlers (decimal.cpp).
Step daa(Context& cpu, const Instruction& in);
Step das(Context& cpu, const Instruction& in);
Step aaa(Context& cpu, const Instruction& in);
Step aas(Context& cpu, const Instruction& in);
Step aam(Context& cpu, const Instruction& in);
Step aad(Context& cpu, const Instruction& in);
Step sahf(Context& cpu, const Instruction& in);
Step lahf(Context& cpu, const Instruction& in);
Step cmc(Context& cpu, const Instruction& in);

// AL = CF ? FF : 0. In Intel's manuals only as an opcode that is not to be used, but every processor has it.
inline Step salc(Context& cpu, const Instruction&) {
    cpu.regs().set_reg<u8>(kEax, cpu.regs().flags.c() ? 0xFF : 0);
    return Step::Next;
}

template <int kValue> Step set_carry(Context& cpu, const Instruction&) {
    cpu.regs().flags.set_c(kValue != 0);
    return Step::Next;
}

template <int kValue> Step set_direction(Context& cpu, const Instruction&) {
    if constexpr (kValue != 0)
        cpu.regs().system_flags |= kFlagD;
    else
        cpu.regs().system_flags &= ~u32{kFlagD};
    return Step::Next;
}

} // namespace forkscope::handlers
