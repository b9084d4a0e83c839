// Owns: the few macros and functions that handlers are written with: fetch operand, TRY, write back.
// Callers: handlers. Promises: load, compute, store, then commit registers and flags.
#pragma once

#include "cpu/execute/context.hpp"

// Unpacks an Access<T>, or leaves the handler with Step::Fault.
#define TRY(name, expression)                                                                                          \
    const auto name##_access = (expression);                                                                           \
    if (!name##_access.ok) [[unlikely]]                                                                                \
        return Step::Fault;                                                                                            \
    const auto name = name##_access.value
#define TRY_VOID(expression)                                                                                           \
    do {                                                                                                               \
        if (!(expression).ok) [[unlikely]]                                                                             \
            return Step::Fault;                                                                                        \
    } while (false)

namespace forkscope::handlers {

// The r/m operand for reading.
template <class T, bool kMemory> Access<T> read_rm(Context& cpu, const Instruction& in) {
    if constexpr (kMemory)
        return cpu.read<T>(in.segment, cpu.offset_of(in));
    else
        return {cpu.regs().reg<T>(in.rm)};
}

template <class T, bool kMemory> Access<void> write_rm(Context& cpu, const Instruction& in, T value) {
    if constexpr (kMemory) {
        return cpu.write<T>(in.segment, cpu.offset_of(in), value);
    } else {
        cpu.regs().set_reg<T>(in.rm, value);
        return {};
    }
}

// The r/m operand for reading and writing: after success put_rm cannot fault.
template <class T, bool kMemory> Access<T> get_rm(Context& cpu, const Instruction& in) {
    if constexpr (kMemory)
        return cpu.read_for_update<T>(in.segment, cpu.offset_of(in));
    else
        return {cpu.regs().reg<T>(in.rm)};
}

template <class T, bool kMemory> void put_rm(Context& cpu, const Instruction& in, T value) {
    if constexpr (kMemory)
        cpu.finish_update<T>(value);
    else
        cpu.regs().set_reg<T>(in.rm, value);
}

// Address-size registers: ECX/CX, ESI/SI, EDI/DI.
inline u32 counter_mask(const Instruction& in) { return in.address_size == 4 ? 0xFFFFFFFFu : 0xFFFFu; }
inline void set_by_address_size(Context& cpu, const Instruction& in, u8 reg, u32 value) {
    if (in.address_size == 4)
        cpu.regs().set_reg<u32>(reg, value);
    else
        cpu.regs().set_reg<u16>(reg, static_cast<u16>(value));
}

enum class LoopKind : u8 { Always, Equal, NotEqual };
enum class Verify : u8 { Read, Write };
enum class Table : u8 { Gdt, Idt };

} // namespace forkscope::handlers
