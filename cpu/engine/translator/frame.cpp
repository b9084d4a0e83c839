#include "cpu/engine/translator/frame.hpp"

namespace forkscope::translator {

namespace {

u32 compared_flags(u32 bytes) {
    const auto bit = [bytes](u32 byte, u32 flag) { return (bytes >> 8 * byte & 1) * flag; };
    return bit(0, kFlagC) | bit(1, kFlagP) | bit(2, kFlagZ);
}

template <class T> void settle(FlagsOf of, T a, T b, bool c, LazyFlags& flags) {
    switch (of) {
    case FlagsOf::Settled:
        break;
    case FlagsOf::Add:
        Add::apply<T>(flags, static_cast<T>(a - b), b);
        break;
    case FlagsOf::Sub:
        Sub::apply<T>(flags, static_cast<T>(a + b), b);
        break;
    case FlagsOf::Compare:
        Sub::apply<T>(flags, a, b);
        break;
    case FlagsOf::Logic:
        flags.set_logic<T>(a);
        break;
    case FlagsOf::Test:
        flags.set_logic<T>(a & b);
        break;
    case FlagsOf::Adc:
        flags.set<T>(a, add_carries<T>(static_cast<T>(a - b - c), b, a));
        break;
    case FlagsOf::Sbb:
        flags.set<T>(a, sub_borrows<T>(static_cast<T>(a + b + c), b, a));
        break;
    case FlagsOf::Inc:
        flags.set_c((b & 1) != 0);
        Inc::apply<T>(flags, static_cast<T>(a - 1));
        break;
    case FlagsOf::Dec:
        flags.set_c((b & 1) != 0);
        Dec::apply<T>(flags, static_cast<T>(a + 1));
        break;
    case FlagsOf::Neg:
        Sub::apply<T>(flags, 0, static_cast<T>(-a));
        break;
    case FlagsOf::Shl:
        Shl::apply<T>(flags, a, b);
        break;
    case FlagsOf::Shr:
        Shr::apply<T>(flags, a, b);
        break;
    case FlagsOf::Sar:
        Sar::apply<T>(flags, a, b);
        break;
    case FlagsOf::Multiply:
        flags.set_result<T>(a);
        flags.set_carries((b & 1) != 0, (b & 1) != 0);
        break;
    case FlagsOf::FloatCompare:
        flags.unpack(compared_flags(a));
        break;
    case FlagsOf::IncOver:
        Inc::apply<T>(flags, static_cast<T>(a - 1));
        break;
    case FlagsOf::DecOver:
        Dec::apply<T>(flags, static_cast<T>(a + 1));
        break;
    }
}

// Operands that carry (borrow) out of the same bits and give the same result: where they are equal, what comes in goes
// out; where not, the one (the other) decides.
template <class T> void find_operands(FlagsOf of, const LazyFlags& flags, Frame& frame) {
    const T r = static_cast<T>(flags.result);
    const T out = static_cast<T>(sizeof(T) == 4 ? flags.carry : flags.carry >> (32 - kBits<T>));
    const bool adds = of == FlagsOf::Add || of == FlagsOf::Adc;
    for (u32 in = 0; in < 2; ++in) {
        const T differ = static_cast<T>(r ^ static_cast<T>(out << 1) ^ in);
        const T b = adds ? static_cast<T>(out & ~differ) : static_cast<T>(out & differ);
        const T a = adds ? static_cast<T>(b | differ) : static_cast<T>(differ & ~out);
        frame.a = of == FlagsOf::Compare ? a : r;
        frame.b = b;
        frame.c = in;
        LazyFlags found;
        settle<T>(of, static_cast<T>(frame.a), b, in != 0, found);
        if (found.pack() == flags.pack())
            return;
    }
}

template <class T> void record(FlagsOf of, const LazyFlags& flags, Frame& frame) {
    switch (of) {
    case FlagsOf::Add:
    case FlagsOf::Sub:
    case FlagsOf::Compare:
    case FlagsOf::Adc:
    case FlagsOf::Sbb:
        return find_operands<T>(of, flags, frame);
    case FlagsOf::IncOver:
    case FlagsOf::DecOver:
        frame.over = static_cast<T>(flags.result);
        return;
    default:
        frame.a = static_cast<T>(flags.result);
        frame.b = of == FlagsOf::Test ? frame.a : u32{flags.c()};
    }
}

} // namespace

void settle_flags(Frame& frame, LazyFlags& flags) {
    const auto settle_record = [&](u32 record, u32 a, u32 b) {
        const auto of = static_cast<FlagsOf>(record >> 3);
        const bool c = (frame.c & 1) != 0;
        if ((record & 7) == 4)
            settle<u32>(of, a, b, c, flags);
        else if ((record & 7) == 2)
            settle<u16>(of, static_cast<u16>(a), static_cast<u16>(b), c, flags);
        else
            settle<u8>(of, static_cast<u8>(a), static_cast<u8>(b), c, flags);
    };
    if (frame.record != 0)
        settle_record(frame.record, frame.a, frame.b);
    if (frame.over_record != 0)
        settle_record(frame.over_record, frame.over, 0);
    frame.record = frame.over_record = 0;
}

void record_flags(Frame& frame, const LazyFlags& flags) {
    const auto of = static_cast<FlagsOf>(frame.expected >> 3);
    switch (frame.expected & 7) {
    case 1:
        return record<u8>(of, flags, frame);
    case 2:
        return record<u16>(of, flags, frame);
    default:
        return record<u32>(of, flags, frame);
    }
}

} // namespace forkscope::translator
