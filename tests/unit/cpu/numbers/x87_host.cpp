#include "x87_host.hpp"

#include <cstdio>
#include <cstring>

#ifdef FORKSCOPE_HAS_HOST_X87
#include <sys/mman.h>
#endif

namespace forkscope::test {

namespace {

constexpr u32 kMemory = 0x2000; // our side's operand
constexpr u8 kEdxOperand = kEdx;

// FSAVE in 32-bit protected mode.
struct SaveArea {
    u32 control, status, tags, pointers[4];
    u8 stack[80];
};
static_assert(sizeof(SaveArea) == 108);

constexpr CodeMode k32{true};

void put_float(u8* at, const Float80& number) {
    std::memcpy(at, &number.significand, 8);
    std::memcpy(at + 8, &number.sign_exponent, 2); // of a little-endian word
}

} // namespace

std::string describe(const Float80& number) {
    char text[40];
    std::snprintf(text, sizeof(text), "%04x:%016llx", static_cast<unsigned>(number.sign_exponent),
                  static_cast<unsigned long long>(number.significand));
    return text;
}

std::string describe(const X87Machine& machine, bool longer) {
    const X87State& x87 = machine.x87;
    char text[120];
    std::snprintf(text, sizeof(text), "CW %04x SW %04x TW %04x flags %03x ax %04x mem ", x87.control, x87.status_word(),
                  x87.tag_word(), machine.flags, machine.ax);
    std::string out = text;
    for (int i = longer ? 107 : 9; i >= 0; --i) {
        std::snprintf(text, sizeof(text), "%02x", machine.memory[static_cast<size_t>(i)]);
        out += text;
    }
    for (u32 i = 0; i < 8; ++i)
        out += (i == 4 ? "\n      " : " ") + describe(x87.st(i)) + (x87.is_empty(i) ? "-" : "");
    return out;
}

X87Instruction::X87Instruction(u16 form_index, u8 rm, u8 operand_size) {
    const Form& form = form_at(form_index);
    if (operand_size == 2)
        bytes_ = {0x66};
    bytes_.insert(bytes_.end(), {form.opcode, 0});
    if (form.group >= 0xC0)
        bytes_.back() = static_cast<u8>(form.group);
    else if ((form.attributes & kMemoryOnly) != 0)
        bytes_.back() = static_cast<u8>(form.group << 3 | kEdxOperand);
    else
        bytes_.back() = static_cast<u8>(0xC0 | form.group << 3 | rm);
    decode(bytes_, k32, in_);
    in_.handler = handler_of(in_);
    text_ = to_text(in_, 0);
}

X87Ours::X87Ours() : memory_(u64{1} << 20), mmu_(memory_, bus_, tracer_), cpu_(mmu_, bus_, tracer_) {
    CpuState& state = cpu_.regs();
    state.cr0 = kCr0Pe | kCr0Mp | kCr0Et | kCr0Ne;
    SegmentFields flat;
    flat.limit = 0xFFFFF;
    flat.granular = flat.big = true;
    flat.access = kAccessPresent | kAccessNotSystem | kAccessReadWrite | kAccessAccessed;
    for (SegmentCache& segment : state.segments)
        segment = SegmentCache::from(0x10, Descriptor::of(flat));
    state.gpr[kEdx] = kMemory;
    cpu_.set_host_float(HostFloat::WhereExact);
}

void X87Ours::run(const X87Instruction& instruction, X87Machine& machine) {
    CpuState& r = cpu_.regs();
    r.x87 = machine.x87;
    r.flags.unpack(machine.flags);
    r.set_reg<u16>(kEax, machine.ax);
    u8* const memory = memory_.host(PhysicalAddress(kMemory));
    std::memcpy(memory, machine.memory.data(), machine.memory.size());
    instruction.decoded().handler(cpu_, instruction.decoded());
    std::memcpy(machine.memory.data(), memory, machine.memory.size());
    machine.x87 = r.x87;
    machine.flags = r.flags.pack();
    machine.ax = r.reg<u16>(kEax);
}

#ifdef FORKSCOPE_HAS_HOST_X87

namespace {

Float80 get_float(const u8* at) {
    Float80 number;
    std::memcpy(&number.significand, at, 8);
    std::memcpy(&number.sign_exponent, at + 8, 2);
    return number;
}

} // namespace

// void stub(SaveArea* before: rdi, SaveArea* after: rsi, memory: rdx, u64* flags: rcx, u64* ax: r8)
X87Host::X87Host(const X87Instruction& instruction) {
    std::vector<u8> code = {
        0xDD, 0x27,       // frstor [rdi]
        0xFF, 0x31, 0x9D, // push qword [rcx]; popfq
        0x49, 0x8B, 0x00, // mov rax, [r8]
    };
    code.insert(code.end(), instruction.bytes().begin(), instruction.bytes().end());
    const u8 end[] = {
        0x9C, 0x8F, 0x01, // pushfq; pop qword [rcx]
        0x49, 0x89, 0x00, // mov [r8], rax
        0xDD, 0x36,       // fnsave [rsi]
        0xFC, 0xC3,       // cld; ret
    };
    code.insert(code.end(), std::begin(end), std::end(end));
    stub_ = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memcpy(stub_, code.data(), code.size());
    mprotect(stub_, 4096, PROT_READ | PROT_EXEC);
}

X87Host::~X87Host() { munmap(stub_, 4096); }

void X87Host::run(X87Machine& machine) const {
    SaveArea before{};
    SaveArea after{};
    before.control = machine.x87.control;
    before.status = machine.x87.status_word();
    before.tags = machine.x87.tag_word();
    for (u32 i = 0; i < 8; ++i)
        put_float(before.stack + 10 * i, machine.x87.st(i));
    u64 flags = machine.flags | 0x202;
    u64 ax = machine.ax;
    reinterpret_cast<void (*)(SaveArea*, SaveArea*, u8*, u64*, u64*)>(stub_)(&before, &after, machine.memory.data(),
                                                                             &flags, &ax);
    machine.x87.control = static_cast<u16>(after.control);
    machine.x87.set_status_word(static_cast<u16>(after.status));
    machine.x87.set_tag_word(static_cast<u16>(after.tags));
    for (u32 i = 0; i < 8; ++i)
        machine.x87.registers[machine.x87.physical(i)] = get_float(after.stack + 10 * i);
    machine.flags = static_cast<u32>(flags) & kFlagsArithmetic;
    machine.ax = static_cast<u16>(ax);
}

#endif

namespace {

// Significands: random, few bits at the top, few bits off the top, all ones, the places where shorter formats end.
u64 random_significand(Random& random) {
    const u64 bits = random.next();
    switch (random.below(8)) {
    case 0:
        return u64{1} << 63;
    case 1:
        return ~u64{0};
    case 2:
        return u64{1} << 63 | bits >> 58 << 58;
    case 3:
        return u64{1} << 63 | u64{1} << random.below(63);
    case 4:
        return ~u64{0} << random.below(64);
    case 5: { // ties and their neighbours in single and double precision
        const u64 tie = random.chance(2) ? u64{1} << 39 : u64{1} << 10;
        return u64{1} << 63 | bits >> 52 << 40 | tie | random.below(2);
    }
    default:
        return u64{1} << 63 | bits;
    }
}

// Biased exponents, many of them near each other.
u32 random_exponent(Random& random) {
    switch (random.below(10)) {
    case 0:
        return static_cast<u32>(1 + random.below(0x7FFE));
    case 1:
        return static_cast<u32>(1 + random.below(80));
    case 2:
        return static_cast<u32>(0x7FFE - random.below(80));
    case 3: { // around the ends of single and double
        const u64 end = random.chance(2) ? 16383 + 128 : 16383 + 1024;
        return static_cast<u32>(end - random.below(4));
    }
    case 4:
        return static_cast<u32>(16383 - (random.chance(2) ? 127 + random.below(30) : 1023 + random.below(60)));
    case 5:
    case 6:
        return static_cast<u32>(16383 - 70 + random.below(140));
    default:
        return static_cast<u32>(16383 - 3 + random.below(6));
    }
}

} // namespace

Float80 random_float(Random& random, OperandClass kind) {
    const bool sign = random.chance(2);
    const u64 bits = random.next();
    switch (kind) {
    case OperandClass::Zero:
        return Float80::zero(sign);
    case OperandClass::Denormal:
        return Float80::make(sign, 0, (bits >> 1 >> random.below(63)) | 1);
    case OperandClass::PseudoDenormal:
        return Float80::make(sign, 0, u64{1} << 63 | bits >> random.below(63));
    case OperandClass::SmallInteger: { // or one and a half, two and a half ...
        const u64 value = 1 + random.below(40);
        const int shift = __builtin_clzll(value);
        return Float80::make(sign, static_cast<u32>(16383 + 63 - shift - static_cast<int>(random.below(3))),
                             value << shift);
    }
    case OperandClass::Infinity:
        return Float80::infinity(sign);
    case OperandClass::QuietNan:
        return Float80::make(sign, 0x7FFF, u64{3} << 62 | (random.chance(2) ? random.below(4) : bits >> 2));
    case OperandClass::SignallingNan:
        return Float80::make(sign, 0x7FFF, u64{1} << 63 | (random.chance(2) ? 1 + random.below(4) : bits >> 2 | 1));
    case OperandClass::Unnormal: {
        const u32 exponent = random_exponent(random);
        return Float80::make(sign, exponent, random.chance(3) ? 0 : bits >> 1);
    }
    case OperandClass::PseudoInfinity:
        return Float80::make(sign, 0x7FFF, 0);
    case OperandClass::PseudoNan:
        return Float80::make(sign, 0x7FFF, bits >> 1 | 1);
    case OperandClass::Normal:
    case OperandClass::Count:
        break;
    }
    const u32 exponent = random_exponent(random);
    return Float80::make(sign, exponent, random_significand(random));
}

Float80 random_float(Random& random) {
    return random_float(random, random.chance(2) ? OperandClass::Normal
                                                 : static_cast<OperandClass>(random.below(kOperandClasses)));
}

u32 random_single(Random& random) {
    const u32 sign = random.chance(2) ? 0x80000000u : 0;
    const u32 fraction = static_cast<u32>(random_significand(random) << 1 >> 41);
    switch (random.below(6)) {
    case 0:
        return sign | 0xFFu << 23 | (random.chance(3) ? 0 : fraction);
    case 1:
        return sign | (random.chance(4) ? 0 : fraction >> random.below(23));
    case 2:
        return static_cast<u32>(random.next());
    default:
        return sign | static_cast<u32>(124 + random.below(6)) << 23 | fraction;
    }
}

u64 random_double(Random& random) {
    const u64 sign = random.chance(2) ? u64{1} << 63 : 0;
    const u64 fraction = random_significand(random) << 1 >> 12;
    switch (random.below(6)) {
    case 0:
        return sign | u64{0x7FF} << 52 | (random.chance(3) ? 0 : fraction);
    case 1:
        return sign | (random.chance(4) ? 0 : fraction >> random.below(52));
    case 2:
        return random.next();
    default:
        return sign | (1020 + random.below(6)) << 52 | fraction;
    }
}

namespace {

// An environment or whole state with pointers of zero: the host's are its own affair.
void fill_state(Random& random, u32 word, std::array<u8, 112>& memory) {
    for (u32 i = 0; i < 3 * word; i += 2) {
        const u16 bits = static_cast<u16>(random.next());
        std::memcpy(memory.data() + i, &bits, 2);
    }
    for (u32 i = 0; i < 8; ++i)
        put_float(memory.data() + 7 * word + 10 * i, random_float(random));
}

void fill_memory(Random& random, const X87Instruction& instruction, std::array<u8, 112>& memory) {
    const Form& form = form_at(instruction.decoded().form);
    if (form.operands[0] == Operand::Menv || form.operands[0] == Operand::Mstate)
        return fill_state(random, instruction.decoded().operand_size, memory);
    u64 low = random.next();
    u16 high = static_cast<u16>(random.next());
    const bool integer = form.mnemonic.substr(0, 2) == "fi";
    if (form.mnemonic == "fbld") {
        low = 0;
        for (u32 digit = 0; digit < 16; ++digit)
            low |= random.below(10) << (4 * digit);
        high = static_cast<u16>(random.below(10) << 4);
        high = static_cast<u16>(high | random.below(10));
        high = static_cast<u16>(high | (random.chance(2) ? 0x8000u : 0u));
    } else if (integer) {
        low = random.chance(4) ? random.below(3) - 1 : low >> random.below(64);
    } else if (form.operands[0] == Operand::Md) {
        low = random_single(random);
    } else if (form.operands[0] == Operand::Mq) {
        low = random_double(random);
    } else if (form.operands[0] == Operand::Mt) {
        const Float80 number = random_float(random);
        low = number.significand;
        high = static_cast<u16>(number.sign_exponent);
    }
    std::memcpy(memory.data(), &low, 8);
    std::memcpy(memory.data() + 8, &high, 2);
}

} // namespace

X87Machine machine_in_cell(Random& random, const X87Instruction& instruction, u64 cell) {
    X87Machine machine;
    X87State& x87 = machine.x87;
    const u64 bits = random.next();
    const u32 masks = (bits & 1) != 0 ? 0x3F : static_cast<u32>(bits >> 1 & 0x3F);
    const u32 modes = static_cast<u32>(cell % 16) << 8; // rounding and precision
    cell /= 16;
    const OperandClass first = static_cast<OperandClass>(cell % kOperandClasses);
    const OperandClass second = static_cast<OperandClass>(cell / kOperandClasses % kOperandClasses);
    x87.set_control_word(static_cast<u16>((bits >> 8 & 0x1000) | modes | masks));
    // Only what is masked may be flagged already, or the instruction would not run.
    x87.set_status_word(static_cast<u16>((bits >> 24 & 0x7F40) | (bits >> 48 & masks)));
    const u64 occupancy = random.below(32);
    x87.occupied = occupancy == 0 ? static_cast<u8>(bits >> 56) : occupancy == 1 ? u8{0xFF} : u8{0x0F};
    if (occupancy > 1) // ST(0) to ST(3)
        x87.occupied = static_cast<u8>(0x0F0F >> (8 - x87.top) | 0x0F << x87.top);
    const u32 other = x87.physical(instruction.decoded().rm != 0 ? instruction.decoded().rm : 1);
    for (u32 i = 0; i < 8; ++i)
        x87.registers[i] = i == x87.top || i == other ? random_float(random, i == other ? second : first)
                                                      : Float80::make(false, 16383, bits | u64{1} << 63);
    // Often two numbers of much the same size.
    if (first == OperandClass::Normal && second == OperandClass::Normal && random.chance(2)) {
        const u32 exponent = static_cast<u32>(x87.st(0).exponent()) + static_cast<u32>(random.below(5)) - 2;
        if (exponent - 1 < 0x7FFE)
            x87.registers[other] =
                Float80::make(x87.registers[other].sign(), exponent, x87.registers[other].significand);
    }
    fill_memory(random, instruction, machine.memory);
    LazyFlags flags;
    flags.unpack(static_cast<u32>(random.next()) & kFlagsArithmetic);
    machine.flags = flags.pack();
    machine.ax = static_cast<u16>(random.next());
    return machine;
}

} // namespace forkscope::test
