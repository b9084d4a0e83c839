#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/view/view.hpp"

namespace forkscope {

MemoryView observe_memory(const Observed& from) {
    constexpr u32 kPerRow = 16, kRows = 64, kRowsBefore = 8;
    const CpuState& registers = from.machine.registers();
    const Choices::Memory stack{registers.segments[kSs].base + registers.esp(), false, std::nullopt};
    const Choices::Memory& wanted = from.choices != nullptr && from.choices->memory ? *from.choices->memory : stack;
    const u32 space = wanted.space ? wanted.space->now(from.tracer) : from.shown_space();
    const PagingState& paging = from.machine.mmu().paging();
    const bool physical = wanted.physical || !paging.control().paging();
    const AddressSpaceReader reader(paging);
    MemoryView view;
    view.place = wanted.physical ? "physical" : &wanted == &stack ? "the stack" : "linear";
    if (!physical && space != from.space())
        view.place += fmt::format(", in space {:08x}", space);
    const u64 address = wanted.address & ~u64{kPerRow - 1};
    const u64 first = address - std::min<u64>(address, kRowsBefore * kPerRow);
    for (u64 at = first; at < first + kRows * kPerRow && at >> 32 == 0; at += kPerRow) {
        MemoryRow row;
        row.address = at;
        for (u32 i = 0; i < kPerRow; ++i) {
            std::array<u8, 1> byte{};
            const bool there = physical
                                   ? paging.memory().read(PhysicalAddress(at + i), byte)
                                   : reader.read(AddressSpace(space), LinearAddress(static_cast<u32>(at + i)), byte);
            row.bytes += there ? fmt::format("{:02x}", byte[0]) : "--";
            row.bytes += i % 4 == 3 ? "  " : " ";
            row.letters += !there ? ' ' : byte[0] >= 0x20 && byte[0] < 0x7F ? static_cast<char>(byte[0]) : '.';
        }
        for (u32 i = 0; i < row.words.size(); ++i)
            row.words[i] = physical ? Subject(PhysicalSubject{at + 4 * i})
                                    : Subject(WordSubject{space, static_cast<u32>(at + 4 * i)});
        if (at == address)
            view.chosen = view.rows.size();
        view.rows.push_back(std::move(row));
    }
    return view;
}

} // namespace forkscope
