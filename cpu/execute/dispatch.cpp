// Binds each row of opcodes.def to its handlers and its flat cost.
#include "cpu/execute/dispatch.hpp"

#include <array>

#include "cpu/execute/control.hpp"
#include "cpu/execute/data.hpp"
#include "cpu/execute/simd_floating_point.hpp"
#include "cpu/execute/string.hpp"
#include "cpu/execute/system.hpp"
#include "cpu/execute/x87.hpp"

namespace forkscope {

namespace {

using namespace handlers;

// By operand size (16, 32) and operand kind (register, memory).
struct HandlerSet {
    Handler by[2][2];
};

// In parentheses: macros of the table pass it on as one argument.
#define HANDLERS(narrow, narrow_memory, wide, wide_memory) (HandlerSet{{{narrow, narrow_memory}, {wide, wide_memory}}})
#define B_ONE(f) HANDLERS((f<u8, false>), (f<u8, true>), (f<u8, false>), (f<u8, true>))
#define B_TWO(f, x) HANDLERS((f<x, u8, false>), (f<x, u8, true>), (f<x, u8, false>), (f<x, u8, true>))
#define V_ONE(f) HANDLERS((f<u16, false>), (f<u16, true>), (f<u32, false>), (f<u32, true>))
#define V_TWO(f, x) HANDLERS((f<x, u16, false>), (f<x, u16, true>), (f<x, u32, false>), (f<x, u32, true>))
#define S_ONE(f) HANDLERS(f<u16>, f<u16>, f<u32>, f<u32>)
#define S_TWO(f, x) HANDLERS((f<x, u16>), (f<x, u16>), (f<x, u32>), (f<x, u32>))
#define N_ONE(f) HANDLERS(f, f, f, f)
#define N_TWO(f, x) HANDLERS(f<x>, f<x>, f<x>, f<x>)
#define M(f, ...)                                                                                                      \
    HANDLERS((f<__VA_ARGS__ __VA_OPT__(, ) false>), (f<__VA_ARGS__ __VA_OPT__(, ) true>),                              \
             (f<__VA_ARGS__ __VA_OPT__(, ) false>), (f<__VA_ARGS__ __VA_OPT__(, ) true>))
#define PICK(_1, _2, name, ...) name
#define B(...) PICK(__VA_ARGS__, B_TWO, B_ONE, )(__VA_ARGS__)
#define V(...) PICK(__VA_ARGS__, V_TWO, V_ONE, )(__VA_ARGS__)
#define S(...) PICK(__VA_ARGS__, S_TWO, S_ONE, )(__VA_ARGS__)
#define N(...) PICK(__VA_ARGS__, N_TWO, N_ONE, )(__VA_ARGS__)

constexpr HandlerSet kHandlers[] = {
    N(undefined_opcode),
#define OPCODE(map, opcode, mnemonic, handler, ...) handler,
#include "cpu/decode/opcodes.def"
#undef OPCODE
};

} // namespace

Handler handler_of(const Instruction& in) {
    return kHandlers[in.form].by[in.operand_size == 4 ? 1 : 0][in.has_memory() ? 1 : 0];
}

Handler too_long_handler() { return handlers::too_long; }

} // namespace forkscope
