#include "cpu/cost/bus_use.hpp"

namespace forkscope {

namespace {

void add_memory(const Form& form, FormBusUse& use) {
    for (const FormOperand& operand : form.operands) {
        const OperandKind& kind = kind_of(operand);
        if (!kind.addressed())
            continue;
        use.memory_reads = reads(operand.use) ? kind.parts : u8{0};
        use.memory_writes = writes(operand.use) ? kind.parts : u8{0};
        use.bytes = static_cast<u8>(kind.bytes);
        use.more_bytes = kind.more_bytes;
    }
}

void add_strings(const Form& form, FormBusUse& use) {
    for (const FormOperand& operand : form.operands) {
        const OperandKind& kind = kind_of(operand);
        if (!kind.string())
            continue;
        use.other_reads = static_cast<u8>(use.other_reads + reads(operand.use));
        use.other_writes = static_cast<u8>(use.other_writes + writes(operand.use));
        use.bytes = static_cast<u8>(kind.bytes);
    }
}

// A byte goes to or comes from a port through AL, or through memory.
void add_port(const Form& form, FormBusUse& use) {
    use.other_reads = static_cast<u8>(use.other_reads + (form.port == Port::In));
    use.other_writes = static_cast<u8>(use.other_writes + (form.port == Port::Out));
    for (const FormOperand& operand : form.operands) {
        if (operand == Operand::Al)
            use.bytes = 1;
    }
}

void add_implied(const Form& form, FormBusUse& use) {
    if (form.implied_memory == Operand::None)
        return;
    use.other_reads = static_cast<u8>(use.other_reads + reads(form.implied_memory.use));
    use.other_writes = static_cast<u8>(use.other_writes + writes(form.implied_memory.use));
    use.bytes = static_cast<u8>(kind_of(form.implied_memory).bytes);
}

} // namespace

FormBusUse bus_use_of_form(u16 form_number) {
    FormBusUse use;
    const Form& form = form_at(form_number);
    if (is_far(form.transfer))
        return use;
    add_memory(form, use);
    add_strings(form, use);
    if (form.port != Port::None)
        add_port(form, use);
    add_implied(form, use);
    use.nests = (form.attributes & kNestsFrames) != 0;
    use.locks = (form.attributes & kLocks) != 0;
    if (!use.nests) {
        use.other_reads = static_cast<u8>(use.other_reads + form.pops);
        use.other_writes = static_cast<u8>(use.other_writes + form.pushes);
    }
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
