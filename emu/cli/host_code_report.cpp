#include "emu/cli/host_code_report.hpp"

#include "emu/base/log.hpp"
#include "emu/view/host_code_view.hpp"

namespace forkscope {

namespace {

Object row_data(const HostCodeRow& row) {
    Object data;
    data.text("guest", row.guest == 0 ? "" : fmt::format("{:08x}", row.guest)).text("instruction", row.instruction);
    data.word("host", row.host).text("code", row.code);
    return data;
}

} // namespace

Document host_code_document(Machine& machine, u32 address, const AddressName& name) {
    Document document;
    const std::vector<HostCode> blocks = machine.cpu().host_code(address);
    document.data.address("address", address).text("name", name(address));
    Rows rows;
    std::size_t bytes = 0;
    for (const HostCode& block : blocks) {
        bytes += block.bytes.size();
        for (const HostCodeRow& row : host_code_rows(block, machine.mmu()))
            rows.push_back(row_data(row));
    }
    document.data.number("blocks", blocks.size()).number("host_bytes", bytes).rows("rows", std::move(rows));
    Section& section = document.section("");
    if (blocks.empty()) {
        section.blocks.push_back(
            Line{{},
                 "No host code at {address}, {name}: what runs seldom, and what the translator does not know, "
                 "is interpreted (cpu/engine/translator).",
                 Line::Place::Margin});
        return document;
    }
    section.blocks.push_back(
        Line{{}, "Host code at {address}, {name}: {blocks} blocks, {host_bytes} bytes", Line::Place::Margin});
    section.blocks.push_back(Table{.rows = "rows",
                                   .columns = {{.key = "guest", .title = "guest", .width = 8},
                                               {.key = "instruction", .title = "instruction", .width = 40, .lead = " "},
                                               {.key = "host", .title = "host", .width = 14, .lead = " "},
                                               {.key = "code", .title = "code", .lead = " "}},
                                   .indent = ""});
    return document;
}

} // namespace forkscope
