#include "emu/report/stepper/register_report.hpp"

#include <fmt/format.h>

namespace forkscope {

namespace {

constexpr std::string_view kGeneral[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
constexpr std::string_view kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};

} // namespace

std::string registers_text(const Machine& machine) {
    const CpuState& r = machine.registers();
    std::string text;
    for (u8 i = 0; i < std::size(kGeneral); ++i)
        text += fmt::format("{:<6} {:08x}{}", kGeneral[i], r.reg<u32>(i), i % 4 == 3 ? "\n" : "  ");
    text += fmt::format("eip    {:08x}  eflags {:08x}  cpl {}{}\n", r.eip, r.eflags(), r.cpl,
                        machine.cpu().halted() ? "  halted" : "");
    const auto segment = [&text](std::string_view name, const SegmentCache& cache) {
        text += fmt::format("{:<4} {:04x}  base {:08x}  limit {:08x}  access {:02x}  {}\n", name, cache.selector,
                            cache.base, cache.limit, cache.access, cache.big ? "32-bit" : "16-bit");
    };
    for (u8 i = 0; i < kSegmentCount; ++i)
        segment(kSegments[i], r.segments[i]);
    segment("ldtr", r.ldtr);
    segment("tr", r.tr);
    text += fmt::format("gdtr       base {:08x}  limit {:08x}\nidtr       base {:08x}  limit {:08x}\n", r.gdtr.base,
                        r.gdtr.limit, r.idtr.base, r.idtr.limit);
    text += fmt::format("cr0    {:08x}  cr2    {:08x}  cr3    {:08x}  cr4    {:08x}  efer {:08x}\n", r.cr0, r.cr2,
                        r.cr3, r.cr4, machine.mmu().control().efer);
    return text +
           fmt::format("dr0    {:08x}  dr1    {:08x}  dr2    {:08x}  dr3    {:08x}\ndr6    {:08x}  dr7    {:08x}",
                       r.dr[0], r.dr[1], r.dr[2], r.dr[3], r.dr[6], r.dr[7]);
}

Object registers_data(const Machine& machine) {
    const CpuState& r = machine.registers();
    Object values;
    for (u8 i = 0; i < std::size(kGeneral); ++i)
        values.word(std::string(kGeneral[i]), r.reg<u32>(i));
    values.word("eip", r.eip).word("eflags", r.eflags());
    values.word("cr0", r.cr0).word("cr2", r.cr2).word("cr3", r.cr3).word("cr4", r.cr4);
    for (u8 i = 0; i < kSegmentCount; ++i)
        values.word(std::string(kSegments[i]), r.segments[i].selector);
    values.number("cpl", r.cpl);
    return values;
}

} // namespace forkscope
