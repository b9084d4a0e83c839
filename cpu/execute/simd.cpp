// MMX and SSE: what refuses them, vectors in memory, state in memory.
#include "cpu/execute/simd.hpp"

#include "cpu/execute/simd_floating_point.hpp"
#include "cpu/execute/x87.hpp"

namespace forkscope::handlers {

Step mmx_refuse(Context& cpu) {
    if ((cpu.regs().cr0 & kCr0Em) != 0)
        return cpu.fault(kInvalidOpcode);
    return x87_refuse(cpu);
}

Step sse_refuse(Context& cpu) {
    if ((cpu.regs().cr0 & kCr0Em) != 0 || (cpu.regs().cr4 & kCr4OsFxsr) == 0)
        return cpu.fault(kInvalidOpcode);
    return cpu.fault(kDeviceNotAvailable);
}

Step simd_flag(Context& cpu, u8 raised) {
    u32& mxcsr = cpu.regs().mxcsr;
    const u32 unmasked = raised & ~(mxcsr >> kMxcsrMaskShift);
    if (unmasked == 0) [[likely]] {
        mxcsr |= raised;
        return Step::Next;
    }
    // What comes before the computation keeps it from being done, in all lanes.
    constexpr u32 kBefore = kFloatInvalid | kFloatDenormal | kFloatZeroDivide;
    mxcsr |= (unmasked & kBefore) != 0 ? raised & kBefore : raised;
    return cpu.fault((cpu.regs().cr4 & kCr4OsXmmExcpt) != 0 ? kSimdFloatingPoint : kInvalidOpcode);
}

// --- Vectors in memory. Both halves of an aligned vector lie in one page: the second access cannot fail.

namespace {

constexpr u32 kVectorBytes = 16;

bool is_aligned(Context& cpu, const Instruction& in, u32 offset) {
    return ((cpu.regs().segments[in.segment].base + offset) & (kVectorBytes - 1)) == 0;
}

// The segment first, as for any operand, then the alignment.
Access<void> check_vector(Context& cpu, const Instruction& in, u32 offset, bool allowed, Alignment alignment) {
    if (!allowed)
        return cpu.segment_fault(in.segment);
    if (alignment == Alignment::Required && !is_aligned(cpu, in, offset))
        return cpu.fault(kGeneralProtection, 0);
    return {};
}

} // namespace

Access<Vector128> read_vector(Context& cpu, const Instruction& in, Alignment alignment) {
    const u32 offset = cpu.offset_of(in);
    const bool allowed = cpu.regs().segments[in.segment].may_read(offset, kVectorBytes);
    if (!check_vector(cpu, in, offset, allowed, alignment).ok) [[unlikely]]
        return Access<Vector128>::fault();
    const auto low = cpu.read<u64>(in.segment, offset);
    if (!low.ok) [[unlikely]]
        return Access<Vector128>::fault();
    const auto high = cpu.read<u64>(in.segment, offset + 8);
    return {{low.value, high.value}, high.ok};
}

Access<void> write_vector(Context& cpu, const Instruction& in, const Vector128& value, Alignment alignment) {
    const u32 offset = cpu.offset_of(in);
    const bool allowed = cpu.regs().segments[in.segment].may_write(offset, kVectorBytes);
    if (!check_vector(cpu, in, offset, allowed, alignment).ok) [[unlikely]]
        return Access<void>::fault();
    if (!is_aligned(cpu, in, offset)) { // perhaps in two pages
        if (const auto writable = cpu.probe_write(in.segment, offset, kVectorBytes); !writable.ok)
            return writable;
    }
    if (const auto written = cpu.write<u64>(in.segment, offset, value.low); !written.ok) [[unlikely]]
        return written;
    return cpu.write<u64>(in.segment, offset + 8, value.high);
}

Access<void> store_masked(Context& cpu, const Instruction& in, const Vector128& value, const Vector128& mask,
                          u32 size) {
    const u32 selected = sign_mask<u8>(mask);
    const u32 start = cpu.regs().reg<u32>(kEdi) & counter_mask(in);
    // Also where no byte is selected: SDM 2B, MASKMOVQ, leaves that open, and the host does so.
    if (const auto writable = cpu.probe_write(in.segment, start, size); !writable.ok)
        return writable;
    if (const auto aligned = cpu.probe_write(in.segment, start, 8); !aligned.ok)
        return aligned;
    const auto bytes = lanes_of<u8>(value);
    for (u32 i = 0; i < size; ++i) {
        if ((selected >> i & 1) == 0)
            continue;
        if (const auto written = cpu.write<u8>(in.segment, start + i, bytes[i]); !written.ok)
            return written;
    }
    return {};
}

// --- State

Step emms(Context& cpu, const Instruction&) {
    MMX_BEGIN;
    cpu.regs().x87.occupied = 0;
    cpu.regs().x87.top = 0;
    return Step::Next;
}

Step ldmxcsr(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY(value, cpu.read<u32>(in.segment, cpu.offset_of(in)));
    if ((value & ~u32{kMxcsrAll}) != 0)
        return cpu.fault(kGeneralProtection, 0);
    cpu.regs().mxcsr = value;
    return Step::Next;
}

Step stmxcsr(Context& cpu, const Instruction& in) {
    SSE_BEGIN;
    TRY_VOID(cpu.write<u32>(in.segment, cpu.offset_of(in), cpu.regs().mxcsr));
    return Step::Next;
}

// No cache to flush, but the byte must be one that can be read.
Step clflush(Context& cpu, const Instruction& in) {
    TRY_VOID(cpu.read<u8>(in.segment, cpu.offset_of(in)));
    return Step::Next;
}

// --- FXSAVE and FXRSTOR (SDM 1, 10.5.1). What the image holds, by quadwords; the rest of its 512 bytes is reserved or
// belongs to software, and is not written.

namespace {

constexpr u32 kImageBytes = 512;
constexpr u32 kImageStack = 4;    // quadword of ST(0)
constexpr u32 kImageVectors = 20; // quadword of XMM0
constexpr u32 kImageQuadwords = 36;
using Image = std::array<u64, kImageQuadwords>;

bool has_vectors(const Context& cpu) { return (cpu.state().cr4 & kCr4OsFxsr) != 0; }
u32 quadwords(const Context& cpu) { return has_vectors(cpu) ? kImageQuadwords : kImageVectors; }

Image make_image(const CpuState& r) {
    const X87State& x87 = r.x87;
    Image image{};
    image[0] = x87.control | u64{x87.status_word()} << 16 | u64{x87.occupied} << 32 | u64{x87.opcode} << 48;
    image[1] = x87.instruction_offset | u64{x87.instruction_selector} << 32;
    image[2] = x87.data_offset | u64{x87.data_selector} << 32;
    image[3] = r.mxcsr | u64{kMxcsrAll} << 32;
    for (u32 i = 0; i < 8; ++i) {
        image[kImageStack + 2 * i] = x87.st(i).significand;
        image[kImageStack + 2 * i + 1] = x87.st(i).sign_exponent;
        image[kImageVectors + 2 * i] = r.xmm[i].low;
        image[kImageVectors + 2 * i + 1] = r.xmm[i].high;
    }
    return image;
}

void take_x87(X87State& x87, const Image& image) {
    x87.set_control_word(static_cast<u16>(image[0]));
    x87.set_status_word(static_cast<u16>(image[0] >> 16));
    x87.occupied = static_cast<u8>(image[0] >> 32);
    x87.opcode = static_cast<u16>(image[0] >> 48 & 0x7FF);
    x87.instruction_offset = static_cast<u32>(image[1]);
    x87.instruction_selector = static_cast<u16>(image[1] >> 32);
    x87.data_offset = static_cast<u32>(image[2]);
    x87.data_selector = static_cast<u16>(image[2] >> 32);
    for (u32 i = 0; i < 8; ++i)
        x87.registers[x87.physical(i)] = {image[kImageStack + 2 * i], static_cast<u16>(image[kImageStack + 2 * i + 1])};
}

Access<void> check_image(Context& cpu, const Instruction& in, u32 offset, bool allowed) {
    if ((cpu.regs().cr0 & (kCr0Em | kCr0Ts)) != 0)
        return cpu.fault(kDeviceNotAvailable);
    return check_vector(cpu, in, offset, allowed, Alignment::Required);
}

} // namespace

Step fxsave(Context& cpu, const Instruction& in) {
    const u32 offset = cpu.offset_of(in);
    TRY_VOID(check_image(cpu, in, offset, cpu.regs().segments[in.segment].may_write(offset, kImageBytes)));
    TRY_VOID(cpu.probe_write(in.segment, offset, kImageBytes));
    const Image image = make_image(cpu.regs());
    for (u32 i = 0; i < quadwords(cpu); ++i)
        TRY_VOID(cpu.write<u64>(in.segment, offset + 8 * i, image[i]));
    return Step::Next;
}

Step fxrstor(Context& cpu, const Instruction& in) {
    const u32 offset = cpu.offset_of(in);
    TRY_VOID(check_image(cpu, in, offset, cpu.regs().segments[in.segment].may_read(offset, kImageBytes)));
    Image image{};
    for (u32 i = 0; i < quadwords(cpu); ++i) {
        TRY(quadword, cpu.read<u64>(in.segment, offset + 8 * i));
        image[i] = quadword;
    }
    TRY_VOID(cpu.read<u64>(in.segment, offset + kImageBytes - 8)); // its last page must be there too
    const u32 mxcsr = static_cast<u32>(image[3]);
    if (has_vectors(cpu) && (mxcsr & ~u32{kMxcsrAll}) != 0)
        return cpu.fault(kGeneralProtection, 0);
    take_x87(cpu.regs().x87, image);
    cpu.float_error_changed();
    if (!has_vectors(cpu))
        return Step::Next;
    cpu.regs().mxcsr = mxcsr;
    for (u32 i = 0; i < 8; ++i)
        cpu.regs().xmm[i] = {image[kImageVectors + 2 * i], image[kImageVectors + 2 * i + 1]};
    return Step::Next;
}

} // namespace forkscope::handlers
