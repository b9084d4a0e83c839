// Owns: what the generator must know about x87, MMX and SSE: registers to start from, what suits an instruction.
// Callers: program_generator.cpp, host_cpu_test.cpp. Promises: pure functions of the random numbers; every kind of
// number that x87_host.hpp and simd_host.hpp know comes up.
#pragma once

#include <array>

#include "cpu/decode/decoder.hpp"
#include "cpu/state.hpp"
#include "emu/base/random.hpp"
#include "native_protocol.hpp"

namespace forkscope::test {

FloatRegisters random_floats(Random& random);
// A vector for memory: of floating-point numbers of one precision, or of extended precision.
std::array<u8, 16> random_float_bytes(Random& random);
// For FLDCW: mostly with all exceptions masked.
u16 random_x87_control(Random& random);
u32 random_sse_control(Random& random);

// Is the operand in memory one that must be aligned to 16 bytes, or that goes beyond a quadword?
bool wants_vector_alignment(const Form& form);
// Are the registers that an x87 instruction takes in use, and is the one free that it fills?
bool suits_x87_stack(const Form& form, u8 rm, const X87State& x87);
// Loads the whole state of the x87, or its environment: exceptions are pending afterwards, more often than not.
bool loads_float_state(const Form& form);

} // namespace forkscope::test
