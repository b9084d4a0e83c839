#include "cpu/cost/bus_use.hpp"

#include <algorithm>
#include <initializer_list>

namespace forkscope {

namespace {

bool one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

struct MemoryOperand {
    Operand kind;
    u8 bytes;          // 0: the operand size
    u8 more_bytes = 0; // on top
};
constexpr MemoryOperand kMemoryOperands[] = {
    {Operand::Eb, 1}, {Operand::Ew, 2}, {Operand::Ed, 4}, {Operand::Ev, 0},  {Operand::Edw, 2}, {Operand::Mb, 1},
    {Operand::Mw, 2}, {Operand::Md, 4}, {Operand::Mq, 8}, {Operand::Mt, 10}, {Operand::Mv, 0},  {Operand::Mp, 0, 2},
    {Operand::Ma, 0}, {Operand::Ms, 6}, {Operand::M, 4},  {Operand::Ob, 1},  {Operand::Ov, 0},
};

const MemoryOperand* memory_operand(Operand kind) {
    const auto* found = std::find_if(std::begin(kMemoryOperands), std::end(kMemoryOperands),
                                     [&](const MemoryOperand& one) { return one.kind == kind; });
    return found != std::end(kMemoryOperands) ? found : nullptr;
}

bool only_writes(std::string_view name) {
    return one_of(name, {"mov", "pop", "sldt", "str", "smsw", "sgdt", "sidt", "fnsave", "fbstp"}) ||
           name.starts_with("set") || name.starts_with("fst") || name.starts_with("fist") || name.starts_with("fnst");
}

bool only_reads(std::string_view name) {
    return one_of(name, {"cmp", "test", "push", "bt", "jmp", "call", "mul", "imul", "div", "idiv", "lldt", "ltr",
                         "lmsw", "verr", "verw", "lgdt", "lidt"}) ||
           name.starts_with('f');
}

void add_memory(const Form& form, FormBusUse& use) {
    for (u32 i = 0; i < std::size(form.operands); ++i) {
        const MemoryOperand* memory = memory_operand(form.operands[i]);
        if (memory == nullptr)
            continue;
        const bool written = i == 0 && (only_writes(form.mnemonic) || !only_reads(form.mnemonic));
        const u8 times = form.operands[i] == Operand::Ma ? 2 : 1;
        use.memory_reads = i != 0 || !only_writes(form.mnemonic) ? times : u8{0};
        use.memory_writes = written ? times : u8{0};
        use.bytes = memory->bytes;
        use.more_bytes = memory->more_bytes;
    }
    use.locks = form.mnemonic == "xchg";
    constexpr u8 kEnvironment = 28, kWholeState = 108; // bytes
    if (one_of(form.mnemonic, {"fldenv", "fnstenv"}))
        use.bytes = kEnvironment;
    else if (one_of(form.mnemonic, {"frstor", "fnsave"}))
        use.bytes = kWholeState;
}

void add_string(const Form& form, FormBusUse& use) {
    std::string_view name = form.mnemonic;
    if (name.back() == 'b') {
        name.remove_suffix(1);
        use.bytes = 1;
    }
    use.other_reads = name == "cmps" ? 2 : name == "stos" ? 0 : 1;
    use.other_writes = one_of(name, {"movs", "stos", "ins", "outs"}) ? 1 : 0;
}

// The stack, ports, and the table of XLAT.
void add_others(const Form& form, FormBusUse& use) {
    const std::string_view name = form.mnemonic;
    if (one_of(name, {"push", "call", "pushf"}))
        use.other_writes = 1;
    else if (one_of(name, {"pop", "ret", "popf", "leave"}))
        use.other_reads = 1;
    else if (name == "pusha")
        use.other_writes = 8;
    else if (name == "popa")
        use.other_reads = 8;
    else if (name == "in" || name == "xlatb")
        use.other_reads = 1;
    else if (name == "out")
        use.other_writes = 1;
    use.nests = name == "enter";
    if (name == "xlatb" || form.operands[0] == Operand::Al || form.operands[1] == Operand::Al)
        use.bytes = 1;
}

} // namespace

FormBusUse bus_use_of_form(u16 form_number) {
    FormBusUse use;
    const Form& form = form_at(form_number);
    const bool late = one_of(form.mnemonic, {"lcall", "ljmp", "retf", "int", "int3", "int1", "into", "iret"});
    if (late || one_of(form.mnemonic, {"lea", "invlpg"}))
        return use;
    add_memory(form, use);
    if ((form.attributes & kString) != 0)
        add_string(form, use);
    else
        add_others(form, use);
    return use;
}

BusUse bus_use(const FormBusUse& form, const Instruction& in) {
    u32 reads = form.other_reads, writes = form.other_writes;
    if (in.has_memory()) {
        reads += form.memory_reads;
        writes += form.memory_writes;
    }
    if (form.nests) { // the frame pointers of the outer levels, then its own, and the caller's first
        const u32 level = in.immediate2 & 31;
        reads += level > 1 ? level - 1 : 0;
        writes += 1 + level;
    }
    const u32 bytes = (form.bytes != 0 ? form.bytes : in.operand_size) + form.more_bytes;
    return {static_cast<u8>(reads), static_cast<u8>(writes), static_cast<u8>(bytes)};
}

} // namespace forkscope
