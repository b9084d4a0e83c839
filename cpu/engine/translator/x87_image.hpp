// Owns: X87Image, the guest's x87 as FXSAVE and FXRSTOR have the host's. Callers: the translator engine, and the code
// that takes the host's x87 over and gives it back. Promises: registers keep what they hold, empty ones too.
#pragma once

#include <array>

#include "cpu/x87_state.hpp"

namespace forkscope::translator {

struct alignas(64) X87Image {
    struct Register {
        u64 significand = 0, sign_exponent = 0;
    };
    u16 control = 0, status = 0;
    u8 occupied = 0; // by physical number, as in X87State
    u8 reserved = 0;
    u16 opcode = 0;
    u64 instruction = 0, operand = 0; // the host's, of no interest
    u32 mxcsr = 0, mxcsr_mask = 0;
    std::array<Register, 8> stack; // ST(0) first
    std::array<u8, 304> vectors{};
    // FXSAVE leaves the rest alone.
    u16 abi_control = 0x037F; // what C++ code counts on
    std::array<u8, 46> rest{};
};
static_assert(sizeof(X87Image) == 512 && offsetof(X87Image, stack) == 32 && offsetof(X87Image, abi_control) == 464);

// Whether the host's x87 gives what the handlers do from this state on: nothing unmasked would trap, and no precision
// that the manual reserves.
constexpr bool host_may_run(u16 control) {
    return (control & kFloatAll) == kFloatAll && (control >> 8 & 3) != static_cast<u32>(Precision::Reserved);
}

void to_image(const X87State& x87, X87Image& image);
// All but the control word, which the guest's code stores itself, and the last instruction.
void from_image(const X87Image& image, X87State& x87);

} // namespace forkscope::translator
