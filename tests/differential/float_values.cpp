#include "float_values.hpp"

#include "tests/unit/cpu/numbers/simd_host.hpp"
#include "tests/unit/cpu/numbers/x87_host.hpp"

namespace forkscope::test {

namespace {

bool starts_with(std::string_view text, std::string_view beginning) {
    return text.substr(0, beginning.size()) == beginning;
}

bool is_x87(const Form& form) { return form.map == 1 && (form.opcode & 0xF8) == 0xD8; }

u64 random_lanes(Random& random) {
    if (random.chance(2))
        return random_number<u64>(random);
    const u64 low = random_number<u32>(random);
    return low | u64{random_number<u32>(random)} << 32;
}

} // namespace

u16 random_x87_control(Random& random) {
    const u16 bits = static_cast<u16>(random.next()) & X87State::kControlBits;
    return static_cast<u16>(X87State::kControlFixed | bits | (random.chance(4) ? 0u : u32{kFloatAll}));
}

u32 random_sse_control(Random& random) { return random_mxcsr(random); }

FloatRegisters random_floats(Random& random) {
    FloatRegisters floats;
    floats.control = random_x87_control(random);
    const u64 bits = random.next();
    // Only what is masked may be flagged already, or no instruction would run.
    const u32 flags = static_cast<u32>(bits) & floats.control & kFloatAll;
    floats.status = static_cast<u16>((bits >> 8 & (u32{kX87Conditions} | 7u << 11)) | flags);
    const u32 top = floats.status >> 11 & 7;
    floats.occupied =
        random.chance(8) ? static_cast<u8>(bits >> 32) : static_cast<u8>(0x0F0F >> (8 - top) | 0x0F << top);
    const bool multimedia = random.chance(4);
    for (FloatRegisters::Stacked& number : floats.stack) {
        const Float80 value = random_float(random);
        number.significand = multimedia && random.chance(2) ? random.next() : value.significand;
        number.sign_exponent = multimedia ? u16{0xFFFF} : static_cast<u16>(value.sign_exponent);
    }
    for (auto& vector : floats.xmm)
        for (u64& half : vector)
            half = random.chance(3) ? random.next() : random_lanes(random);
    floats.mxcsr = random_mxcsr(random);
    return floats;
}

std::array<u8, 16> random_float_bytes(Random& random) {
    std::array<u8, 16> bytes;
    u64 halves[2] = {random_lanes(random), random_lanes(random)};
    if (random.chance(3)) {
        const Float80 number = random_float(random);
        halves[0] = number.significand;
        halves[1] = (halves[1] & ~u64{0xFFFF}) | number.sign_exponent;
    }
    std::memcpy(bytes.data(), halves, sizeof(halves));
    return bytes;
}

bool wants_vector_alignment(const Form& form) {
    for (const Operand operand : form.operands)
        if (operand == Operand::Wx || operand == Operand::Mx)
            return true;
    return form.mnemonic == "fxrstor";
}

bool suits_x87_stack(const Form& form, u8 rm, const X87State& x87) {
    if (!is_x87(form) || form.cost == CostClass::FloatState)
        return true;
    const std::string_view name = form.mnemonic;
    constexpr std::string_view kControl[] = {"fnop",          "fdecstp", "fincstp", "ffree",  "ffreep",
                                             "feni8087_nop",  "fxam",    "fsetpm",  "fnclex", "fnstsw",
                                             "fdisi8087_nop", "fldcw",   "fnstcw",  "fstpnce"};
    for (const std::string_view control : kControl)
        if (name == control)
            return true;
    const bool names_register = form.operands[0] == Operand::Sti || form.operands[1] == Operand::Sti;
    if (starts_with(name, "fld") || starts_with(name, "fild") || starts_with(name, "fbld"))
        return x87.is_empty(7) && !(names_register && x87.is_empty(rm & 7u));
    const bool takes_second = name == "fscale" || starts_with(name, "fprem") || name == "fcompp" || name == "fucompp";
    if (name == "fxtract" && !x87.is_empty(7))
        return false;
    const bool fills = starts_with(name, "fst"); // ST(i) may be empty
    return !x87.is_empty(0) && !(takes_second && x87.is_empty(1)) &&
           !(names_register && !fills && x87.is_empty(rm & 7u));
}

bool loads_float_state(const Form& form) {
    return form.mnemonic == "fldenv" || form.mnemonic == "frstor" || form.mnemonic == "fxrstor";
}

} // namespace forkscope::test
