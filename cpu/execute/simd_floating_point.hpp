// Owns: handlers of SSE and SSE2 that compute with floating-point numbers.
// Callers: dispatch.cpp through opcodes_simd.def. Promises: an unmasked exception leaves the destination and EFLAGS as
// they were; its flag in MXCSR is set, as on hardware.
#pragma once

#include "cpu/execute/simd.hpp"
#include "cpu/numbers/simd_operations.hpp"

namespace forkscope::handlers {

// Sets the flags of MXCSR; #XM, or #UD without CR4.OSXMMEXCPT, if one is unmasked.
Step simd_flag(Context& cpu, u8 raised);

// kBytes of an XMM register or memory; 16 of memory must be aligned.
template <u32 kBytes, bool kMemory> Access<Vector128> read_source(Context& cpu, const Instruction& in) {
    if constexpr (!kMemory || kBytes == 16) {
        return read_xmm<kMemory>(cpu, in);
    } else {
        using Bits = std::conditional_t<kBytes == 8, u64, u32>;
        const auto loaded = cpu.read<Bits>(in.segment, cpu.offset_of(in));
        return {{loaded.value, 0}, loaded.ok};
    }
}

template <template <class> class Operation, class Shape, bool kMemory>
Step simd_float(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY(source, (read_source<kShapeBytes<Shape>, kMemory>(cpu, in)));
    const SimdResult result =
        simd_compute<Operation<Shape>>(cpu.regs().mxcsr, xmm(cpu, in.reg), source, cpu.host_sse());
    if (const Step step = simd_flag(cpu, result.raised); step != Step::Next) [[unlikely]]
        return step;
    xmm(cpu, in.reg) = result.value;
    return Step::Next;
}

template <class Shape, bool kMemory> Step simd_compare(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY(source, (read_source<kShapeBytes<Shape>, kMemory>(cpu, in)));
    SimdContext context(cpu.regs().mxcsr);
    const Vector128 result = simd_compare_lanes<Shape>(context, xmm(cpu, in.reg), source, in.immediate & 7);
    if (const Step step = simd_flag(cpu, context.raised); step != Step::Next) [[unlikely]]
        return step;
    xmm(cpu, in.reg) = result;
    return Step::Next;
}

template <class Lane, FloatCompare kKind, bool kMemory> Step simd_compare_flags(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY(source, (read_source<sizeof(Lane), kMemory>(cpu, in)));
    SimdContext context(cpu.regs().mxcsr);
    const FloatRelation relation =
        simd_relation(context, static_cast<Lane>(xmm(cpu, in.reg).low), static_cast<Lane>(source.low), kKind);
    if (const Step step = simd_flag(cpu, context.raised); step != Step::Next) [[unlikely]]
        return step;
    constexpr u32 kFlags[] = {0, kFlagC, kFlagZ, kFlagZ | kFlagP | kFlagC}; // by FloatRelation
    cpu.regs().flags.unpack(kFlags[static_cast<u8>(relation)]);
    return Step::Next;
}

// --- Conversion: where the source comes from, where the result goes.

template <u32 kBytes> struct FromXmm {
    template <bool> static constexpr bool kUsesMm = false;
    template <bool kMemory> static Access<Vector128> read(Context& cpu, const Instruction& in) {
        return read_source<kBytes, kMemory>(cpu, in);
    }
};
// With its operand in memory CVTPI2PS touches no MM register, nor does CVTPI2PD. The manual says so of the latter
// alone; processors treat both alike.
struct FromMm {
    template <bool kMemory> static constexpr bool kUsesMm = !kMemory;
    template <bool kMemory> static Access<Vector128> read(Context& cpu, const Instruction& in) {
        const auto source = read_mm<kMemory>(cpu, in);
        return {{source.value, 0}, source.ok};
    }
};
struct FromGeneral {
    template <bool> static constexpr bool kUsesMm = false;
    template <bool kMemory> static Access<Vector128> read(Context& cpu, const Instruction& in) {
        const auto source = read_rm<u32, kMemory>(cpu, in);
        return {{source.value, 0}, source.ok};
    }
};
struct ToXmm {
    static constexpr bool kUsesMm = false;
    static void write(Context& cpu, u8 number, const Vector128& value) { xmm(cpu, number) = value; }
};
struct ToMm {
    static constexpr bool kUsesMm = true;
    static void write(Context& cpu, u8 number, const Vector128& value) { set_mm(cpu, number, value.low); }
};
struct ToGeneral {
    static constexpr bool kUsesMm = false;
    static void write(Context& cpu, u8 number, const Vector128& value) {
        cpu.regs().set_reg<u32>(number, static_cast<u32>(value.low));
    }
};

template <class Source, class Target, class Operation, bool kMemory>
Step simd_convert(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    constexpr bool kUsesMm = Source::template kUsesMm<kMemory> || Target::kUsesMm;
    if constexpr (kUsesMm) {
        MMX_BEGIN;
    }
    TRY(source, (Source::template read<kMemory>(cpu, in)));
    const SimdResult result = simd_compute<Operation>(cpu.regs().mxcsr, xmm(cpu, in.reg), source, cpu.host_sse());
    if constexpr (kUsesMm)
        enter_mmx(cpu); // before the exception is raised, as the host does
    if (const Step step = simd_flag(cpu, result.raised); step != Step::Next) [[unlikely]]
        return step;
    Target::write(cpu, in.reg, result.value);
    return Step::Next;
}

} // namespace forkscope::handlers
