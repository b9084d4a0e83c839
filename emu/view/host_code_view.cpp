#include "emu/view/host_code_view.hpp"

#include <fmt/format.h>

#include "emu/view/disassembler.hpp"

namespace forkscope {

namespace {

std::string text_of(const cs_insn* instruction) {
    return instruction == nullptr ? "??" : fmt::format("{:<6} {}", instruction->mnemonic, instruction->op_str);
}

} // namespace

std::vector<HostCodeRow> host_code_rows(const HostCode& code, const Mmu& mmu) {
    Disassembler guest(Disassembler::Bits::Code32), host(Disassembler::Bits::Code64);
    std::vector<HostCodeRow> rows;
    auto part = code.parts.begin();
    for (u32 at = 0; at < code.bytes.size();) {
        HostCodeRow row;
        if (at == 0)
            row.instruction = "(entry)";
        if (at == code.aside)
            row.instruction = "(slow ways, exits)";
        while (part != code.parts.end() && part->at <= at) {
            row.guest = part->guest;
            row.instruction = text_of(guest.decode(code_bytes(mmu, part->guest), part->guest));
            ++part;
        }
        row.host = code.address + at;
        const cs_insn* const instruction = host.decode(std::span(code.bytes).subspan(at), row.host);
        row.code = text_of(instruction);
        at += instruction == nullptr ? 1u : instruction->size;
        rows.push_back(std::move(row));
    }
    return rows;
}

} // namespace forkscope
