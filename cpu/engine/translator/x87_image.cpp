#include "cpu/engine/translator/x87_image.hpp"

#include "cpu/engine/translator/mutant.hpp"

namespace forkscope::translator {

void to_image(const X87State& x87, X87Image& image) {
    image.control = x87.control;
    image.status = x87.status_word();
    image.occupied = x87.occupied;
    for (u32 i = 0; i < 8; ++i)
        image.stack[i] = {x87.st(i).significand, x87.st(i).sign_exponent};
    image.mxcsr = __builtin_ia32_stmxcsr(); // FXRSTOR loads it
}

void from_image(const X87Image& image, X87State& x87) {
    x87.set_status_word(image.status);
    x87.occupied = image.occupied;
    for (u32 i = 0; i < 8; ++i)
        if (!x87.is_empty(i) || !TRANSLATOR_MUTANT(EmptyRegistersForgotten))
            x87.registers[x87.physical(i)] = {image.stack[i].significand, image.stack[i].sign_exponent & 0xFFFF};
}

} // namespace forkscope::translator
