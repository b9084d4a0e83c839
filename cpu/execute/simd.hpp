// Owns: handlers of MMX, and of SSE and SSE2 without arithmetic on floating-point numbers: moves, integers, logic.
// Callers: dispatch.cpp through opcodes_simd.def. Promises: load, compute, store, then commit; an MMX instruction that
// completes leaves the x87 with TOP 0 and no register empty.
#pragma once

#include "cpu/execute/operands.hpp"
#include "cpu/numbers/simd_integer.hpp"

namespace forkscope::handlers {

// #UD, #NM, or a pending x87 exception; Step::Next if the instruction may go on after all (SDM 3A, tables 2-2 and 2-3).
Step mmx_refuse(Context& cpu);
Step sse_refuse(Context& cpu);

// How every instruction starts that touches MM registers, and every one that touches XMM registers or MXCSR.
#define MMX_BEGIN                                                                                                      \
    if ((cpu.regs().cr0 & (kCr0Em | kCr0Ts)) != 0 || cpu.regs().x87.error_pending()) [[unlikely]]                      \
        if (const Step refused = mmx_refuse(cpu); refused != Step::Next)                                               \
    return refused
#define SSE_BEGIN                                                                                                      \
    if ((cpu.regs().cr0 & (kCr0Em | kCr0Ts)) != 0 || (cpu.regs().cr4 & kCr4OsFxsr) == 0) [[unlikely]]                  \
    return sse_refuse(cpu)

enum class Alignment : u8 { Any, Required };
enum class Half : u8 { Low, High };
enum class ByteShift : u8 { Left, Right };

Access<Vector128> read_vector(Context& cpu, const Instruction& in, Alignment alignment);
Access<void> write_vector(Context& cpu, const Instruction& in, const Vector128& value, Alignment alignment);

// --- MM registers

inline u64 mm(Context& cpu, u8 number) { return cpu.regs().x87.registers[number].significand; }
inline void enter_mmx(Context& cpu) {
    cpu.regs().x87.top = 0;
    cpu.regs().x87.occupied = 0xFF;
}
inline void set_mm(Context& cpu, u8 number, u64 value) {
    enter_mmx(cpu);
    cpu.regs().x87.registers[number] = {value, 0xFFFF};
}
template <bool kMemory> Access<u64> read_mm(Context& cpu, const Instruction& in) {
    if constexpr (kMemory)
        return cpu.read<u64>(in.segment, cpu.offset_of(in));
    else
        return {mm(cpu, in.rm)};
}

template <u64 (*kOperation)(u64, u64), bool kMemory> Step mmx_lanes(Context& cpu, const Instruction& in) {
    MMX_BEGIN;
    TRY(source, (read_mm<kMemory>(cpu, in)));
    set_mm(cpu, in.reg, kOperation(mm(cpu, in.reg), source));
    return Step::Next;
}

template <u64 (*kOperation)(u64, u64), bool kMemory> Step mmx_shift(Context& cpu, const Instruction& in) {
    return mmx_lanes<kOperation, kMemory>(cpu, in);
}

template <u64 (*kOperation)(u64, u64), bool kMemory> Step mmx_shift_imm(Context& cpu, const Instruction& in) {
    MMX_BEGIN;
    set_mm(cpu, in.rm, kOperation(mm(cpu, in.rm), in.immediate));
    return Step::Next;
}

template <class Operation> constexpr bool kReadsLowHalf = false;
template <class Lane> constexpr bool kReadsLowHalf<Unpack<Lane, 0>> = true;

// PUNPCKL reads no more of memory than it needs.
template <class Operation, bool kMemory> Step mmx_whole(Context& cpu, const Instruction& in) {
    MMX_BEGIN;
    if constexpr (kMemory && kReadsLowHalf<Operation>) {
        TRY(source, cpu.read<u32>(in.segment, cpu.offset_of(in)));
        set_mm(cpu, in.reg, Operation::apply(mm(cpu, in.reg), u64{source}));
    } else {
        TRY(source, (read_mm<kMemory>(cpu, in)));
        set_mm(cpu, in.reg, Operation::apply(mm(cpu, in.reg), source));
    }
    return Step::Next;
}

template <bool kMemory> Step movd_mm_rm(Context& cpu, const Instruction& in) {
    MMX_BEGIN;
    TRY(source, (read_rm<u32, kMemory>(cpu, in)));
    set_mm(cpu, in.reg, source);
    return Step::Next;
}

template <bool kMemory> Step movd_rm_mm(Context& cpu, const Instruction& in) {
    MMX_BEGIN;
    TRY_VOID((write_rm<u32, kMemory>(cpu, in, static_cast<u32>(mm(cpu, in.reg)))));
    enter_mmx(cpu);
    return Step::Next;
}

template <bool kMemory> Step movq_mm_rm(Context& cpu, const Instruction& in) {
    MMX_BEGIN;
    TRY(source, (read_mm<kMemory>(cpu, in)));
    set_mm(cpu, in.reg, source);
    return Step::Next;
}

template <bool kMemory> Step movq_rm_mm(Context& cpu, const Instruction& in) {
    MMX_BEGIN;
    const u64 value = mm(cpu, in.reg);
    if constexpr (kMemory) {
        TRY_VOID(cpu.write<u64>(in.segment, cpu.offset_of(in), value));
        enter_mmx(cpu);
    } else {
        set_mm(cpu, in.rm, value);
    }
    return Step::Next;
}

template <bool kMemory> Step pshufw(Context& cpu, const Instruction& in) {
    MMX_BEGIN;
    TRY(source, (read_mm<kMemory>(cpu, in)));
    set_mm(cpu, in.reg, shuffle_words(source, in.immediate));
    return Step::Next;
}

inline u64 with_word(u64 value, u32 index, u16 word) {
    return (value & ~(u64{0xFFFF} << 16 * index)) | u64{word} << 16 * index;
}

template <bool kMemory> Step pinsrw_mm(Context& cpu, const Instruction& in) {
    MMX_BEGIN;
    TRY(word, (read_rm<u16, kMemory>(cpu, in)));
    set_mm(cpu, in.reg, with_word(mm(cpu, in.reg), in.immediate & 3, word));
    return Step::Next;
}

template <bool> Step pextrw_mm(Context& cpu, const Instruction& in) {
    MMX_BEGIN;
    cpu.regs().set_reg<u32>(in.reg, static_cast<u32>(mm(cpu, in.rm) >> 16 * (in.immediate & 3) & 0xFFFF));
    enter_mmx(cpu);
    return Step::Next;
}

template <bool> Step pmovmskb_mm(Context& cpu, const Instruction& in) {
    MMX_BEGIN;
    cpu.regs().set_reg<u32>(in.reg, sign_mask<u8>(mm(cpu, in.rm)));
    enter_mmx(cpu);
    return Step::Next;
}

Step emms(Context& cpu, const Instruction& in);
// Stores those of `size` bytes of `value` whose byte in `mask` has its top bit set, to DS:eDI.
Access<void> store_masked(Context& cpu, const Instruction& in, const Vector128& value, const Vector128& mask, u32 size);

template <bool> Step maskmovq(Context& cpu, const Instruction& in) {
    MMX_BEGIN;
    TRY_VOID(store_masked(cpu, in, {mm(cpu, in.reg), 0}, {mm(cpu, in.rm), 0}, 8));
    enter_mmx(cpu);
    return Step::Next;
}

// --- XMM registers

inline Vector128& xmm(Context& cpu, u8 number) { return cpu.regs().xmm[number]; }
template <bool kMemory>
Access<Vector128> read_xmm(Context& cpu, const Instruction& in, Alignment alignment = Alignment::Required) {
    if constexpr (kMemory)
        return read_vector(cpu, in, alignment);
    else
        return {xmm(cpu, in.rm)};
}

template <u64 (*kOperation)(u64, u64), bool kMemory> Step xmm_lanes(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY(source, (read_xmm<kMemory>(cpu, in)));
    const Vector128 old = xmm(cpu, in.reg);
    xmm(cpu, in.reg) = {kOperation(old.low, source.low), kOperation(old.high, source.high)};
    return Step::Next;
}

template <u64 (*kOperation)(u64, u64), bool kMemory> Step xmm_shift(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY(source, (read_xmm<kMemory>(cpu, in)));
    const Vector128 old = xmm(cpu, in.reg);
    xmm(cpu, in.reg) = {kOperation(old.low, source.low), kOperation(old.high, source.low)};
    return Step::Next;
}

template <u64 (*kOperation)(u64, u64), bool kMemory> Step xmm_shift_imm(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    const Vector128 old = xmm(cpu, in.rm);
    xmm(cpu, in.rm) = {kOperation(old.low, in.immediate), kOperation(old.high, in.immediate)};
    return Step::Next;
}

template <ByteShift kDirection, bool> Step xmm_shift_bytes(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    Lanes<u8, Vector128> result{};
    const auto old = lanes_of<u8>(xmm(cpu, in.rm));
    for (u32 i = in.immediate; i < 16; ++i) {
        if constexpr (kDirection == ByteShift::Left)
            result[i] = old[i - in.immediate];
        else
            result[i - in.immediate] = old[i];
    }
    xmm(cpu, in.rm) = from_lanes<Vector128>(result);
    return Step::Next;
}

template <class Operation, bool kMemory> Step xmm_whole(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY(source, (read_xmm<kMemory>(cpu, in)));
    xmm(cpu, in.reg) = Operation::apply(xmm(cpu, in.reg), source);
    return Step::Next;
}

template <Vector128 (*kShuffle)(const Vector128&, const Vector128&, u32), bool kMemory>
Step xmm_shuffle(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY(source, (read_xmm<kMemory>(cpu, in)));
    xmm(cpu, in.reg) = kShuffle(xmm(cpu, in.reg), source, in.immediate);
    return Step::Next;
}

template <bool kMemory> Step movd_xmm_rm(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY(source, (read_rm<u32, kMemory>(cpu, in)));
    xmm(cpu, in.reg) = {source, 0};
    return Step::Next;
}

template <bool kMemory> Step movd_rm_xmm(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY_VOID((write_rm<u32, kMemory>(cpu, in, static_cast<u32>(xmm(cpu, in.reg).low))));
    return Step::Next;
}

template <bool kMemory> Step movq_xmm_rm(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    if constexpr (kMemory) {
        TRY(source, cpu.read<u64>(in.segment, cpu.offset_of(in)));
        xmm(cpu, in.reg) = {source, 0};
    } else {
        xmm(cpu, in.reg) = {xmm(cpu, in.rm).low, 0};
    }
    return Step::Next;
}

template <bool kMemory> Step movq_rm_xmm(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    const u64 value = xmm(cpu, in.reg).low;
    if constexpr (kMemory)
        TRY_VOID(cpu.write<u64>(in.segment, cpu.offset_of(in), value));
    else
        xmm(cpu, in.rm) = {value, 0};
    return Step::Next;
}

template <Alignment kAlignment, bool kMemory> Step mov_xmm_rm(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY(source, (read_xmm<kMemory>(cpu, in, kAlignment)));
    xmm(cpu, in.reg) = source;
    return Step::Next;
}

template <Alignment kAlignment, bool kMemory> Step mov_rm_xmm(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    if constexpr (kMemory)
        TRY_VOID(write_vector(cpu, in, xmm(cpu, in.reg), kAlignment));
    else
        xmm(cpu, in.rm) = xmm(cpu, in.reg);
    return Step::Next;
}

// MOVLPS, MOVHPS and their like: memory only.
template <Half kHalf, bool> Step mov_half_rm(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY(source, cpu.read<u64>(in.segment, cpu.offset_of(in)));
    (kHalf == Half::Low ? xmm(cpu, in.reg).low : xmm(cpu, in.reg).high) = source;
    return Step::Next;
}

template <Half kHalf, bool> Step mov_rm_half(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    const u64 value = kHalf == Half::Low ? xmm(cpu, in.reg).low : xmm(cpu, in.reg).high;
    TRY_VOID(cpu.write<u64>(in.segment, cpu.offset_of(in), value));
    return Step::Next;
}

template <bool> Step movhlps(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    xmm(cpu, in.reg).low = xmm(cpu, in.rm).high;
    return Step::Next;
}

template <bool> Step movlhps(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    xmm(cpu, in.reg).high = xmm(cpu, in.rm).low;
    return Step::Next;
}

// `value` with lane 0 replaced.
template <class Lane> Vector128 with_first(const Vector128& value, Lane first) {
    auto lanes = lanes_of<Lane>(value);
    lanes[0] = first;
    return from_lanes<Vector128>(lanes);
}

// MOVSS, MOVSD: from memory the rest of the register is cleared, from a register it stays.
template <class Lane, bool kMemory> Step mov_scalar_rm(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    if constexpr (kMemory) {
        TRY(source, cpu.read<Lane>(in.segment, cpu.offset_of(in)));
        xmm(cpu, in.reg) = {source, 0};
    } else {
        xmm(cpu, in.reg) = with_first(xmm(cpu, in.reg), static_cast<Lane>(xmm(cpu, in.rm).low));
    }
    return Step::Next;
}

template <class Lane, bool kMemory> Step mov_rm_scalar(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    const Lane value = static_cast<Lane>(xmm(cpu, in.reg).low);
    if constexpr (kMemory)
        TRY_VOID(cpu.write<Lane>(in.segment, cpu.offset_of(in), value));
    else
        xmm(cpu, in.rm) = with_first(xmm(cpu, in.rm), value);
    return Step::Next;
}

template <class Lane, bool> Step mov_mask(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    cpu.regs().set_reg<u32>(in.reg, sign_mask<Lane>(xmm(cpu, in.rm)));
    return Step::Next;
}

template <bool> Step pmovmskb_xmm(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    cpu.regs().set_reg<u32>(in.reg, sign_mask<u8>(xmm(cpu, in.rm)));
    return Step::Next;
}

template <bool kMemory> Step pinsrw_xmm(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY(word, (read_rm<u16, kMemory>(cpu, in)));
    auto lanes = lanes_of<u16>(xmm(cpu, in.reg));
    lanes[in.immediate & 7] = word;
    xmm(cpu, in.reg) = from_lanes<Vector128>(lanes);
    return Step::Next;
}

template <bool> Step pextrw_xmm(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    cpu.regs().set_reg<u32>(in.reg, lanes_of<u16>(xmm(cpu, in.rm))[in.immediate & 7]);
    return Step::Next;
}

template <bool> Step maskmovdqu(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY_VOID(store_masked(cpu, in, xmm(cpu, in.reg), xmm(cpu, in.rm), 16));
    return Step::Next;
}

// --- Both kinds

template <bool> Step movq2dq(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    MMX_BEGIN;
    xmm(cpu, in.reg) = {mm(cpu, in.rm), 0};
    enter_mmx(cpu);
    return Step::Next;
}

template <bool> Step movdq2q(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    MMX_BEGIN;
    set_mm(cpu, in.reg, xmm(cpu, in.rm).low);
    return Step::Next;
}

// A store like any other: there are no caches to pass by.
template <bool> Step movnti(Context& cpu, const Instruction& in) {
    TRY_VOID(cpu.write<u32>(in.segment, cpu.offset_of(in), cpu.regs().reg<u32>(in.reg)));
    return Step::Next;
}

Step fxsave(Context& cpu, const Instruction& in);
Step fxrstor(Context& cpu, const Instruction& in);
Step ldmxcsr(Context& cpu, const Instruction& in);
Step stmxcsr(Context& cpu, const Instruction& in);
Step clflush(Context& cpu, const Instruction& in);

} // namespace forkscope::handlers
