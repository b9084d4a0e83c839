#include "emu/view/view.hpp"

namespace forkscope {

static std::vector<StackWord> stack_words(const Observed& from) {
    constexpr std::size_t kWords = 32;
    const CpuState& registers = from.machine.registers();
    const SegmentCache& ss = registers.segments[kSs];
    const u32 offset = ss.big ? registers.esp() : registers.esp() & 0xFFFF;
    std::vector<StackWord> words;
    for (u32 address = ss.base + offset; words.size() < kWords; address += 4) {
        std::array<u8, 4> bytes{};
        if (!from.machine.mmu().peek(LinearAddress(address), bytes))
            break;
        StackWord word;
        word.address = address;
        for (std::size_t i = 0; i < bytes.size(); ++i)
            word.value |= u32{bytes[i]} << (8 * i);
        const Location location = from.symbols.lookup(from.space(), word.value);
        if (location.known() && location.line != 0)
            word.name = location.symbol;
        words.push_back(std::move(word));
    }
    return words;
}

RegistersView observe_registers(const Observed& from) {
    RegistersView view;
    view.now = from.machine.registers();
    view.halted = from.machine.cpu().halted();
    view.stack = stack_words(from);
    view.space = from.space();
    return view;
}

} // namespace forkscope
