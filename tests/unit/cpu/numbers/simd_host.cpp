#include "simd_host.hpp"

#include <cstdio>
#include <cstring>

#include "emu/base/assert.hpp"

#ifdef FORKSCOPE_HAS_HOST_SIMD
#include <csignal>
#include <sys/mman.h>
#include <ucontext.h>
#endif

namespace forkscope::test {

namespace {

constexpr CodeMode k32{true};
constexpr u32 kMemory = 0x2000;

// Registers that operands may be: not EDX and EDI, which point to memory, and not ESP.
constexpr u8 kGeneral[] = {kEax, kEcx, kEbx, kEbp, kEsi};

bool is_general(Operand operand) { return operand == Operand::Gd || operand == Operand::Ed || operand == Operand::Edw; }

} // namespace

bool is_simd(const Form& form) {
    return form.map >= kMapNone || (form.map == 2 && form.opcode == 0x18 && form.mnemonic != "nop");
}

std::string describe(const SimdMachine& machine) {
    char text[200];
    std::snprintf(text, sizeof(text),
                  "MXCSR %04x%s flags %03x eax %08x ecx %08x ebx %08x ebp %08x esi %08x top %u "
                  "valid %02x mem ",
                  machine.mxcsr, machine.faulted ? " FAULT" : "", machine.flags, machine.gpr[0], machine.gpr[1],
                  machine.gpr[3], machine.gpr[5], machine.gpr[6], machine.x87.top, machine.x87.occupied);
    std::string out = text;
    for (int i = 15; i >= 0; --i) {
        std::snprintf(text, sizeof(text), "%02x", machine.memory[static_cast<size_t>(i)]);
        out += text;
    }
    for (u32 i = 0; i < 8; ++i) {
        std::snprintf(text, sizeof(text), "\n      mm%u %04x:%016llx  xmm%u %016llx'%016llx", i,
                      static_cast<unsigned>(machine.x87.registers[i].sign_exponent),
                      static_cast<unsigned long long>(machine.x87.registers[i].significand), i,
                      static_cast<unsigned long long>(machine.xmm[i].high),
                      static_cast<unsigned long long>(machine.xmm[i].low));
        out += text;
    }
    return out;
}

std::string difference(const SimdMachine& a, const SimdMachine& b) {
    std::string out;
    if (a.faulted != b.faulted)
        out += " fault";
    if (a.mxcsr != b.mxcsr)
        out += " MXCSR";
    if (a.flags != b.flags)
        out += " EFLAGS";
    if (a.gpr != b.gpr)
        out += " general registers";
    if (a.memory != b.memory)
        out += " memory";
    if (a.xmm != b.xmm)
        out += " XMM";
    if (a.x87.registers != b.x87.registers)
        out += " MM";
    if (a.x87.occupied != b.x87.occupied || a.x87.top != b.x87.top)
        out += " tags";
    return out;
}

SimdInstruction::SimdInstruction(u16 form_index, Kind kind, Random& random) {
    const Form& row = form_at(form_index);
    bool general_reg = false;
    bool general_rm = false;
    bool immediate = false;
    for (const Operand operand : row.operands) {
        general_reg |= operand == Operand::Gd;
        general_rm |= is_general(operand) && operand != Operand::Gd;
        immediate |= operand == Operand::Ib;
    }
    if (row.map >= kMap66)
        bytes_.push_back(row.map == kMap66 ? 0x66 : row.map == kMapF3 ? 0xF3 : 0xF2);
    bytes_.push_back(0x0F);
    bytes_.push_back(row.opcode);
    if (row.operands[0] != Operand::None || row.group >= 0) {
        u32 reg = general_reg ? kGeneral[random.below(5)] : static_cast<u32>(random.below(8));
        u32 rm = general_rm ? kGeneral[random.below(5)] : static_cast<u32>(random.below(8));
        if (row.group >= 0)
            reg = static_cast<u32>(row.group);
        bytes_.push_back(static_cast<u8>(kind == Kind::Memory ? reg << 3 | kEdx : 0xC0 | reg << 3 | rm));
    }
    if (immediate) // as often below a lane's width as not
        bytes_.push_back(static_cast<u8>(random.chance(2) ? random.below(20) : random.next()));
    std::vector<u8> padded = bytes_;
    padded.resize(15);
    const DecodeStatus status = decode(padded, k32, in_);
    EMU_ASSERT(status == DecodeStatus::Ok && in_.form == form_index, "{} does not decode", row.mnemonic);
    in_.handler = handler_of(in_);
    text_ = to_text(in_, 0);
}

SimdOurs::SimdOurs() : memory_(u64{1} << 20), mmu_(memory_, bus_, tracer_), cpu_(mmu_, bus_, tracer_) {
    CpuState& state = cpu_.regs();
    state.cr0 = kCr0Pe | kCr0Mp | kCr0Et | kCr0Ne;
    state.cr4 = kCr4OsFxsr | kCr4OsXmmExcpt;
    SegmentFields flat;
    flat.limit = 0xFFFFF;
    flat.granular = flat.big = true;
    flat.access = kAccessPresent | kAccessNotSystem | kAccessReadWrite | kAccessAccessed;
    for (SegmentCache& segment : state.segments)
        segment = SegmentCache::from(0x10, Descriptor::of(flat));
    cpu_.set_host_float(HostFloat::WhereExact);
}

void SimdOurs::run(const SimdInstruction& instruction, SimdMachine& machine) {
    CpuState& r = cpu_.regs();
    r.x87 = machine.x87;
    r.xmm = machine.xmm;
    r.mxcsr = machine.mxcsr;
    for (const u8 number : kGeneral)
        r.set_reg<u32>(number, machine.gpr[number]);
    r.set_reg<u32>(kEdx, kMemory);
    r.set_reg<u32>(kEdi, kMemory);
    r.flags.unpack(machine.flags);
    u8* const memory = memory_.host(PhysicalAddress(kMemory));
    std::memcpy(memory, machine.memory.data(), machine.memory.size());
    machine.faulted = instruction.decoded().handler(cpu_, instruction.decoded()) == Step::Fault;
    std::memcpy(machine.memory.data(), memory, machine.memory.size());
    machine.x87 = r.x87;
    machine.xmm = r.xmm;
    machine.mxcsr = r.mxcsr;
    for (const u8 number : kGeneral)
        machine.gpr[number] = r.reg<u32>(number);
    machine.flags = r.flags.pack();
}

#ifdef FORKSCOPE_HAS_HOST_SIMD

namespace {

// What the stub loads and saves; the image is FXSAVE's.
struct alignas(64) StubState {
    u8 image[512]; // at 0
    u64 gpr[8];    // at 512, by number; ESP's is not used
    u64 flags;     // at 576
};
static_assert(offsetof(StubState, gpr) == 512 && offsetof(StubState, flags) == 576);

struct Trap {
    u64 resume = 0; // where to continue after a SIMD exception; 0: nothing is running
    u32 mxcsr = 0;
    bool happened = false;
};
Trap trap;

void on_float_error(int, siginfo_t*, void* context) {
    auto* machine = &static_cast<ucontext_t*>(context)->uc_mcontext;
    if (trap.resume == 0) {
        std::signal(SIGFPE, SIG_DFL);
        return;
    }
    trap.happened = true;
    trap.mxcsr = machine->fpregs->mxcsr;
    machine->fpregs->mxcsr = kMxcsrReset;
    machine->gregs[REG_RIP] = static_cast<greg_t>(trap.resume);
}

void install_handler() {
    struct sigaction action = {};
    action.sa_sigaction = on_float_error;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGFPE, &action, nullptr);
}

void put_image(const SimdMachine& machine, u8* image) {
    const X87State& x87 = machine.x87;
    std::memset(image, 0, 512);
    const u16 status = x87.status_word();
    std::memcpy(image, &x87.control, 2);
    std::memcpy(image + 2, &status, 2);
    image[4] = x87.occupied;
    std::memcpy(image + 24, &machine.mxcsr, 4);
    for (u32 i = 0; i < 8; ++i) {
        std::memcpy(image + 32 + 16 * i, &x87.st(i).significand, 8);
        std::memcpy(image + 40 + 16 * i, &x87.st(i).sign_exponent, 2);
        std::memcpy(image + 160 + 16 * i, &machine.xmm[i], 16);
    }
}

void get_image(const u8* image, SimdMachine& machine) {
    X87State& x87 = machine.x87;
    u16 status = 0;
    std::memcpy(&status, image + 2, 2);
    x87.set_status_word(status);
    x87.occupied = image[4];
    std::memcpy(&machine.mxcsr, image + 24, 4);
    for (u32 i = 0; i < 8; ++i) {
        Float80& number = x87.registers[x87.physical(i)];
        std::memcpy(&number.significand, image + 32 + 16 * i, 8);
        std::memcpy(&number.sign_exponent, image + 40 + 16 * i, 2);
        std::memcpy(&machine.xmm[i], image + 160 + 16 * i, 16);
    }
}

} // namespace

// void stub(StubState* state: rdi)
SimdHost::SimdHost(const SimdInstruction& instruction) {
    static const bool installed = (install_handler(), true);
    (void)installed;
    std::vector<u8> code = {
        0x53, 0x55, 0x41, 0x57,                         // push rbx; push rbp; push r15
        0x49, 0x89, 0xFF,                               // mov r15, rdi
        0x41, 0x0F, 0xAE, 0x0F,                         // fxrstor [r15]
        0x41, 0xFF, 0xB7, 0x40, 0x02, 0x00, 0x00, 0x9D, // push qword [r15+576]; popfq
    };
    const auto move = [&](u8 opcode, u8 number) { // mov between a register and [r15 + 512 + 8 * number]
        const u8 bytes[] = {0x49, opcode, static_cast<u8>(0x87 | number << 3), static_cast<u8>(8 * number), 0x02, 0, 0};
        code.insert(code.end(), std::begin(bytes), std::end(bytes));
    };
    for (const u8 number : {kEax, kEcx, kEdx, kEbx, kEbp, kEsi, kEdi})
        move(0x8B, number);
    code.insert(code.end(), instruction.bytes().begin(), instruction.bytes().end());
    const size_t end = code.size();
    const u8 save_flags[] = {0x9C, 0x41, 0x8F, 0x87, 0x40, 0x02, 0x00, 0x00}; // pushfq; pop qword [r15+576]
    code.insert(code.end(), std::begin(save_flags), std::end(save_flags));
    for (const u8 number : {kEax, kEcx, kEbx, kEbp, kEsi})
        move(0x89, number);
    const u8 leave[] = {
        0x41, 0x0F, 0xAE, 0x07, // fxsave [r15]
        0x0F, 0x77, 0xDB, 0xE3, // emms; fninit
        0x41, 0x5F, 0x5D, 0x5B, // pop r15; pop rbp; pop rbx
        0xFC, 0xC3,             // cld; ret
    };
    code.insert(code.end(), std::begin(leave), std::end(leave));
    stub_ = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memcpy(stub_, code.data(), code.size());
    mprotect(stub_, 4096, PROT_READ | PROT_EXEC);
    instruction_end_ = reinterpret_cast<u64>(stub_) + end;
}

SimdHost::~SimdHost() { munmap(stub_, 4096); }

void SimdHost::run(SimdMachine& machine) const {
    StubState state;
    put_image(machine, state.image);
    for (u32 i = 0; i < 8; ++i)
        state.gpr[i] = machine.gpr[i];
    state.gpr[kEdx] = state.gpr[kEdi] = reinterpret_cast<u64>(machine.memory.data());
    state.flags = machine.flags | 0x202;
    trap = {instruction_end_, 0, false};
    reinterpret_cast<void (*)(StubState*)>(stub_)(&state);
    __builtin_ia32_ldmxcsr(kMxcsrReset);
    trap.resume = 0;
    get_image(state.image, machine);
    machine.faulted = trap.happened;
    if (trap.happened)
        machine.mxcsr = trap.mxcsr;
    for (const u8 number : kGeneral)
        machine.gpr[number] = static_cast<u32>(state.gpr[number]);
    machine.flags = static_cast<u32>(state.flags) & kFlagsArithmetic;
}

#endif

namespace {

template <class Bits> struct Layout;
template <> struct Layout<u32> {
    static constexpr u32 kFraction = 23;
    static constexpr u32 kMax = 0xFF;
};
template <> struct Layout<u64> {
    static constexpr u32 kFraction = 52;
    static constexpr u32 kMax = 0x7FF;
};

// Random, few bits at the top, few at the bottom, all ones, one bit.
u64 random_fraction(Random& random, u32 bits) {
    const u64 all = (u64{1} << bits) - 1;
    const u64 value = random.next() & all;
    switch (random.below(7)) {
    case 0:
        return 0;
    case 1:
        return all;
    case 2:
        return value >> (bits - 6) << (bits - 6);
    case 3:
        return value & 7;
    case 4:
        return u64{1} << random.below(bits);
    case 5: // half of a double's fraction, so that products of two such are ties
        return value >> bits / 2 << bits / 2;
    default:
        return value;
    }
}

} // namespace

template <class Bits> Bits random_number(Random& random) {
    constexpr u32 kFraction = Layout<Bits>::kFraction;
    constexpr u64 kMax = Layout<Bits>::kMax;
    const u64 fraction = random_fraction(random, kFraction);
    const u64 sign = u64{random.chance(2)} << (8 * sizeof(Bits) - 1);
    u64 exponent = 0;
    switch (random.below(16)) {
    case 0: // zero, denormal
        return static_cast<Bits>(sign | (random.chance(3) ? 0 : fraction));
    case 1: // infinity, NaN
        exponent = kMax;
        break;
    case 2:
        exponent = 1 + random.below(3);
        break;
    case 3:
        exponent = kMax - 1 - random.below(3);
        break;
    case 4: // products and quotients of such are near the ends
        exponent = kMax / 4 + random.below(3) - 1;
        break;
    case 5:
        exponent = 3 * kMax / 4 + random.below(5) - 2;
        break;
    case 6:
        exponent = random.below(kMax);
        break;
    case 7: // around the limits of 32-bit integers, and of the whole part
        exponent = kMax / 2 + (random.chance(2) ? 31u : kFraction);
        exponent -= random.below(4);
        break;
    case 8: // around the limits of single precision, where double has them
        exponent = kMax / 2 + (random.chance(2) ? 128u : 0u - 126u);
        exponent -= random.chance(2) ? random.below(26) : 0;
        exponent &= kMax;
        break;
    case 9: // integers
        return static_cast<Bits>(sign | (kMax / 2 + random.below(kFraction)) << kFraction |
                                 (fraction >> (kFraction - 4) << (kFraction - 4)));
    default:
        exponent = kMax / 2 - 2 + random.below(5);
        break;
    }
    return static_cast<Bits>(sign | exponent << kFraction | fraction);
}
template u32 random_number<u32>(Random& random);
template u64 random_number<u64>(Random& random);

namespace {

u64 random_integers(Random& random) {
    u64 value = random.next();
    for (u32 i = 0; i < 4; ++i) { // words at the limits
        constexpr u64 kWords[] = {0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x80, 0x7F, 0xFF};
        if (random.chance(3))
            value = (value & ~(u64{0xFFFF} << 16 * i)) | kWords[random.below(8)] << 16 * i;
    }
    return random.chance(6) ? random.below(80) : value; // shift counts
}

u64 random_half(Random& random, u32 kind) {
    if (kind == 0)
        return random_integers(random);
    if (kind == 1)
        return random_number<u64>(random);
    const u64 low = random_number<u32>(random);
    return low | u64{random_number<u32>(random)} << 32;
}

} // namespace

Vector128 random_vector(Random& random, const Form& form) {
    const bool computes = form.cost == CostClass::SimdFloat || form.cost == CostClass::SimdDivide;
    u32 kind = static_cast<u32>(random.below(3));
    if (computes && random.chance(2)) // what it mostly computes with
        kind = form.mnemonic.back() == 'd' || form.mnemonic.find("sd2") != form.mnemonic.npos ||
                       form.mnemonic.find("pd2") != form.mnemonic.npos
                   ? 1
                   : 2;
    return {random_half(random, kind), random_half(random, kind)};
}

u32 random_mxcsr(Random& random) {
    u32 value = static_cast<u32>(random.next()) & (kMxcsrRounding | kMxcsrFlags);
    value |= random.chance(8) ? static_cast<u32>(random.next()) & kMxcsrMasks : u32{kMxcsrMasks};
    if (random.chance(3))
        value |= kMxcsrDenormalsAreZero;
    if (random.chance(3))
        value |= kMxcsrFlushToZero;
    return random.chance(2) ? value & ~u32{kMxcsrFlags} : value;
}

SimdMachine random_machine(Random& random, const SimdInstruction& instruction) {
    SimdMachine machine;
    const Form& form = instruction.form();
    machine.mxcsr = random_mxcsr(random);
    for (Vector128& value : machine.xmm)
        value = random_vector(random, form);
    const u64 bits = random.next();
    machine.x87.initialise();
    machine.x87.top = bits & 7;
    machine.x87.occupied = static_cast<u8>(bits >> 8);
    for (Float80& number : machine.x87.registers)
        number = {random_integers(random), random.chance(2) ? u16{0xFFFF} : static_cast<u16>(random.next())};
    for (const u8 number : kGeneral)
        machine.gpr[number] = static_cast<u32>(random_integers(random));
    LazyFlags flags;
    flags.unpack(static_cast<u32>(bits >> 16) & kFlagsArithmetic);
    machine.flags = flags.pack();
    const Vector128 memory = random_vector(random, form);
    std::memcpy(machine.memory.data(), &memory, 16);
    if (form.mnemonic == "ldmxcsr") { // reserved bits are another test
        const u32 value = random_mxcsr(random);
        std::memcpy(machine.memory.data(), &value, 4);
    }
    return machine;
}

} // namespace forkscope::test
