#include "cpu/cost/instruction_use.hpp"

#include <algorithm>
#include <initializer_list>
#include <vector>

namespace forkscope {

namespace {

constexpr u16 bit(u8 reg) { return static_cast<u16>(1u << reg); }
constexpr u16 kAx = 1u << kEax, kCx = 1u << kEcx, kDx = 1u << kEdx, kBx = 1u << kEbx, kSp = 1u << kEsp,
              kBp = 1u << kEbp, kSi = 1u << kEsi, kDi = 1u << kEdi;
constexpr u16 kAll = 0xFF;

bool one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

// Byte registers 4 to 7 are the upper halves of 0 to 3.
u16 general(u8 reg, Operand kind) {
    const bool byte = kind == Operand::Eb || kind == Operand::Gb || kind == Operand::Zb;
    return bit(byte ? reg & 3 : reg);
}

// The general register that an operand names, 0 if it names none.
u16 register_of(const Instruction& in, Operand kind) {
    switch (kind) {
    case Operand::Gb:
    case Operand::Gw:
    case Operand::Gd:
    case Operand::Gv:
    case Operand::Zb:
    case Operand::Zd:
    case Operand::Zv:
        return general(in.reg, kind);
    case Operand::Eb:
    case Operand::Ew:
    case Operand::Ed:
    case Operand::Ev:
    case Operand::Edw:
        return in.has_memory() ? u16{0} : general(in.rm, kind);
    case Operand::Rd:
    case Operand::Rv:
        return bit(in.rm);
    case Operand::Al:
    case Operand::Ax:
    case Operand::Eax:
        return kAx;
    case Operand::Cl:
        return kCx;
    case Operand::Dx:
        return kDx;
    default:
        return 0;
    }
}

// Instructions that only read their first operand.
bool only_reads(std::string_view name) {
    return one_of(name, {"cmp", "test", "push", "bt",   "jmp", "call", "mul",   "div",   "idiv", "lldt",
                         "ltr", "lmsw", "verr", "verw", "out", "outs", "outsb", "bound", "int",  "enter"});
}

// Registers that the mnemonic alone implies.
struct Implied {
    std::string_view name;
    u16 read, written;
};
constexpr Implied kImplied[] = {
    {"mul", kAx, kAx | kDx},
    {"div", kAx | kDx, kAx | kDx},
    {"idiv", kAx | kDx, kAx | kDx},
    {"cbw", kAx, kAx},
    {"cwd", kAx, kDx},
    {"aaa", kAx, kAx},
    {"aas", kAx, kAx},
    {"aam", kAx, kAx},
    {"aad", kAx, kAx},
    {"daa", kAx, kAx},
    {"das", kAx, kAx},
    {"lahf", 0, kAx},
    {"sahf", kAx, 0},
    {"salc", 0, kAx},
    {"xlatb", kAx | kBx, kAx},
    {"cpuid", kAx, kAll & ~(kSp | kBp | kSi | kDi)},
    {"rdtsc", 0, kAx | kDx},
    {"rdpmc", kCx, kAx | kDx},
    {"rdmsr", kCx, kAx | kDx},
    {"wrmsr", kAx | kCx | kDx, 0},
    {"cmpxchg", kAx, kAx},
    {"cmpxchg8b", kAx | kBx | kCx | kDx, kAx | kDx},
    {"pusha", kAll, 0},
    {"popa", 0, kAll & ~kSp},
    {"leave", kBp, kSp | kBp},
    {"enter", kBp, kBp},
    {"jcxz", kCx, 0},
    {"loop", kCx, kCx},
    {"loope", kCx, kCx},
    {"loopne", kCx, kCx},
    {"sysexit", kCx | kDx, kSp},
    {"sysenter", 0, kSp},
};

struct ImpliedString {
    std::string_view name;
    u16 address;
    u16 data_read, data_written;
};
constexpr ImpliedString kStrings[] = {
    {"movs", kSi | kDi, 0, 0}, {"cmps", kSi | kDi, 0, 0}, {"stos", kDi, kAx, 0}, {"scas", kDi, kAx, 0},
    {"lods", kSi, 0, kAx},     {"ins", kDi, kDx, 0},      {"outs", kSi, kDx, 0},
};

// What the form alone tells, found once: names are compared here only.
struct FormUse {
    bool writes_first = false; // its first operand; the others too where it exchanges
    bool exchanges = false;
    bool reads_first = false;
    bool stack = false;
    u16 read = 0, written = 0, address = 0; // implied
};

void add_string(const Form& form, FormUse& use) {
    std::string_view name = form.mnemonic;
    if (name.back() == 'b')
        name.remove_suffix(1);
    for (const ImpliedString& string : kStrings) {
        if (string.name == name) {
            use.address |= string.address;
            use.read |= string.data_read;
            use.written |= static_cast<u16>(string.data_written | string.address);
        }
    }
}

FormUse form_use(const Form& form) {
    FormUse use;
    use.exchanges = form.mnemonic == "xchg" || form.mnemonic == "xadd";
    use.writes_first = !only_reads(form.mnemonic);
    use.reads_first = !one_of(form.mnemonic, {"mov", "lea", "pop", "movzx", "movsx", "in", "bsf", "bsr", "lar", "lsl"});
    use.stack = one_of(form.mnemonic, {"push", "pop", "call", "ret", "pusha", "popa", "pushf", "popf", "enter", "leave",
                                       "lcall", "retf", "int", "int3", "into", "iret"});
    for (const Implied& implied : kImplied) {
        if (implied.name == form.mnemonic) {
            use.read |= implied.read;
            use.written |= implied.written;
        }
    }
    if (form.mnemonic == "imul" && form.operands[1] == Operand::None) {
        use.read |= kAx;
        use.written |= kAx | kDx;
    }
    if ((form.attributes & kString) != 0)
        add_string(form, use);
    return use;
}

const FormUse& use_of_form(u16 number) {
    static const std::vector<FormUse> uses = [] {
        std::vector<FormUse> all;
        for (u16 form = 0; form < form_count(); ++form)
            all.push_back(form_use(form_at(form)));
        return all;
    }();
    return uses[number];
}

u32 immediate_bytes(const Instruction& in, Operand kind) {
    switch (kind) {
    case Operand::Ib:
    case Operand::Ibs:
    case Operand::Jb:
        return 1;
    case Operand::Iw:
        return 2;
    case Operand::Iz:
    case Operand::Iv:
    case Operand::Jz:
        return in.operand_size;
    case Operand::Ap:
        return in.operand_size + 2u;
    default:
        return 0;
    }
}

// A SIB byte that names a base alone, other than ESP, counts as a displacement.
void add_parts(const Instruction& in, const Form& form, InstructionUse& use) {
    const u32 modrm = (in.flags & kHasModRm) != 0 ? 1 : 0;
    const u32 opcode = form.map == 1 ? 1 : 2;
    const bool sib =
        modrm != 0 && in.has_memory() && in.address_size == 4 && (in.index != kNoRegister || in.base == kEsp);
    u32 fixed = in.prefixes + opcode + modrm + (sib ? 1 : 0);
    u32 immediate = 0;
    for (const Operand kind : form.operands)
        immediate += immediate_bytes(in, kind);
    use.immediate = immediate != 0;
    use.displacement = in.has_memory() && in.length > fixed + immediate;
    use.components = static_cast<u8>(fixed + (use.displacement ? 1 : 0) + (use.immediate ? 1 : 0));
}

} // namespace

// The x87's, MMX's and SSE's own registers are no part of it; nor are FS, GS and the like.
InstructionUse use_of(const Instruction& in) {
    const Form& form = form_at(in.form);
    const FormUse& always = use_of_form(in.form);
    InstructionUse use;
    use.read = always.read;
    use.written = always.written;
    use.address = always.address;
    use.stack = always.stack;
    if (in.has_memory()) {
        use.address |= in.base != kNoRegister ? bit(in.base) : u16{0};
        use.address |= in.index != kNoRegister ? bit(in.index) : u16{0};
    }
    for (u32 i = 0; i < 3 && form.operands[i] != Operand::None; ++i) {
        const u16 named = register_of(in, form.operands[i]);
        if (i == 0 ? always.writes_first : always.exchanges)
            use.written |= named;
        if (i != 0 || always.reads_first)
            use.read |= named;
    }
    if ((form.attributes & kString) != 0 && in.repeats()) {
        use.read |= kCx;
        use.written |= kCx;
    }
    add_parts(in, form, use);
    use.read |= use.address;
    return use;
}

} // namespace forkscope
