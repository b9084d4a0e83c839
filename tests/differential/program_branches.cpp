// The generator's branches: near and far, relative, through registers, memory and the stack.
#include "program_generator.hpp"

namespace forkscope::test {

namespace {

constexpr u32 kCode64 = 0x30; // the host's 64-bit code

} // namespace

// Where a far transfer goes: mostly to where the program is already, else to another of the code segments (of the other
// size, too), or to what is none.
u16 ProgramGenerator::far_selector(const Form& form) {
    const u16 here = state().segments[kCs].selector;
    if (random_.chance(24)) {
        const u16 any = selector();
        return (any & ~3u) == kCode64 ? u16{0} : any;
    }
    constexpr u16 kCode[] = {kFlatCode, ldt_selector(kCode32), ldt_selector(kCode16), ldt_selector(kExecuteOnly)};
    u16 there = style_->segments && random_.chance(2) ? kCode[random_.below(std::size(kCode))] : here;
    if ((form.mnemonic == "ljmp" || form.mnemonic == "lcall" || random_.chance(24)) && random_.chance(4))
        there = static_cast<u16>((there & ~3u) | random_.below(4)); // SDM 3A 5.8.1: any RPL up to CPL will do for these
    return there;
}

// What has to lie on the stack for a transfer, but for the offset on top.
std::vector<u32> ProgramGenerator::beneath_offset(const Form& form, u16 cs) {
    if (form.mnemonic == "ret" || form.operands[0] == Operand::Ev)
        return {};
    if (form.mnemonic == "iret") {
        const u32 flags = interesting() & ~u32{kFlagAc | kFlagNt | kFlagT};
        return {random_.chance(16) ? flags | (random_.chance(2) ? kFlagT : kFlagAc) : flags, cs};
    }
    return {cs};
}

// A branch to behind the filler that follows it.
bool ProgramGenerator::add_branch(Draft& draft) {
    const std::vector<u8> skipped = filler();
    const Form& form = form_at(draft.form);
    Choice& choice = draft.choice;
    const u32 skip = static_cast<u32>(skipped.size());
    const bool far_memory = form.operands[0] == Operand::Mp;
    const bool memory = far_memory || (form.operands[0] == Operand::Ev && random_.chance(2));
    const bool from_stack = memory || is_one_of(form.mnemonic, {"ret", "retf", "iret"});
    if (memory && random_.chance(8)) // at any words: mostly a fault
        return aim(draft) && append(bytes_of(draft)) == Append::Continues;
    if (memory)
        aim_at_top(draft);
    const u32 length = static_cast<u32>(bytes_of(draft).size());
    const bool far = far_memory || is_one_of(form.mnemonic, {"retf", "iret"});
    const u16 target_cs = far || form.operands[0] == Operand::Ap ? far_selector(form) : state().segments[kCs].selector;
    const u32 base = code_base(static_cast<u16>(target_cs | 3));
    const u32 usual = mode().default_32 ? 4 : 2;
    if (form.operands[0] == Operand::Jb || form.operands[0] == Operand::Jz) {
        choice.immediate = skip;
    } else if (form.operands[0] == Operand::Ap) {
        choice.immediate = linear_of(test_->code_size + length + skip) - base;
        choice.immediate2 = target_cs;
    } else if (from_stack) {
        const std::vector<u32> beneath = beneath_offset(form, target_cs);
        const u32 push_length = 1u + choice.operand_size + (choice.operand_size != usual ? 1u : 0u);
        const u32 pushes = static_cast<u32>(beneath.size()) + 1;
        const u32 wanted = linear_of(test_->code_size + pushes * push_length + length + skip) - base;
        for (const u32 value : beneath)
            if (!push(value, choice.operand_size))
                return false;
        if (!push(wanted, choice.operand_size))
            return false;
    } else {
        const u32 move_length = mode().default_32 ? 5 : 6;
        if (!set_register(choice.rm, linear_of(test_->code_size + move_length + length + skip) - base))
            return false;
    }
    std::vector<u8> bytes = bytes_of(draft);
    bytes.insert(bytes.end(), skipped.begin(), skipped.end());
    return append(bytes) == Append::Continues;
}

} // namespace forkscope::test
