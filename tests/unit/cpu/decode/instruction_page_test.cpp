// docs/instructions.md, written from opcodes.def, cost_classes.def and the models. FORKSCOPE_UPDATE=1 writes it anew.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "cpu/models/model.hpp"

namespace forkscope::test {
namespace {

// What Form has no room for: names.
constexpr std::string_view kOperandNames[] = {
#define OPERAND(name, ...) #name,
#include "cpu/decode/operands.def"
#undef OPERAND
};
constexpr std::string_view kSinceNames[] = {"I386", "I486", "P5", "P6", "Mmx", "Fxsr", "Sse", "Sse2"};
constexpr std::string_view kGeneralNames[] = {"AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI"};
constexpr std::string_view kSegmentNames[] = {"ES", "CS", "SS", "DS", "FS", "GS"};

struct Cost {
    std::string_view name;
    int clocks, p6;
    std::string_view text;
};
constexpr Cost kCosts[] = {
#define COST_CLASS(name, flat, p6, text) {#name, flat, p6, text},
#include "cpu/cost/cost_classes.def"
#undef COST_CLASS
};

std::string hex(int byte) {
    char text[12];
    std::snprintf(text, sizeof text, "%02X", byte);
    return text;
}

bool register_in_opcode(const Form& form) {
    return std::any_of(form.operands.begin(), form.operands.end(),
                       [](Operand operand) { return kind_of(operand).place == Place::InOpcode; });
}

// Do the eight rows from `first` on differ by nothing but the register in the opcode?
bool is_run_of_eight(u16 first) {
    const Form& form = form_at(first);
    if (!register_in_opcode(form) || (form.opcode & 7) != 0)
        return false;
    for (u16 i = 1; i < 8; ++i) {
        const Form& other = form_at(first + i);
        if (other.map != form.map || other.opcode != form.opcode + i || other.mnemonic != form.mnemonic)
            return false;
    }
    return true;
}

bool has_mod_rm(const Form& form) {
    return std::any_of(form.operands.begin(), form.operands.end(),
                       [](Operand operand) { return kind_of(operand).by_mod_rm(); });
}

std::string bytes_of(const Form& form, bool eight) {
    static constexpr std::string_view kPrefixes[] = {"", "", "0F ", "NP 0F ", "66 0F ", "F3 0F ", "F2 0F "};
    std::string text = std::string(kPrefixes[form.map]) + hex(form.opcode) + (eight ? "+r" : "");
    if (form.group >= 0xC0)
        text += " " + hex(form.group);
    else if (form.group >= 0)
        text += " /" + std::to_string(form.group);
    else if (has_mod_rm(form))
        text += " /r";
    return text;
}

// Appends to a list.
void add(std::string& list, const std::string& item) { list += (list.empty() ? "" : ", ") + item; }

std::string operand_name(const FormOperand& operand) {
    static constexpr std::string_view kUses[] = {"", "", ":w", ":rw", ":-"};
    return std::string(kOperandNames[static_cast<u8>(operand.operand)]) +
           std::string(kUses[static_cast<u8>(operand.use)]);
}

std::string operands_of(const Form& form) {
    std::string text;
    for (const FormOperand& operand : form.operands)
        if (operand != Operand::None)
            add(text, operand_name(operand));
    return text;
}

std::string registers_of(u16 set) {
    if ((set & kGeneralRegisters) == kGeneralRegisters)
        return "all";
    std::string text;
    for (u8 i = 0; i < 8; ++i)
        text += (set & general_register_bit(i)) != 0 ? (text.empty() ? "" : " ") + std::string(kGeneralNames[i]) : "";
    for (u8 i = 0; i < kSegmentCount; ++i)
        text += (set & segment_register_bit(i)) != 0 ? (text.empty() ? "" : " ") + std::string(kSegmentNames[i]) : "";
    return text;
}

// Beside the operands.
std::string also_of(const Form& form) {
    std::string text;
    if (form.reads != 0)
        add(text, "reads " + registers_of(form.reads));
    if (form.writes != 0)
        add(text, "writes " + registers_of(form.writes));
    if (form.implied_memory != Operand::None)
        add(text, "memory " + operand_name(form.implied_memory));
    if (form.pushes != 0)
        add(text, "pushes " + std::to_string(form.pushes));
    if (form.pops != 0)
        add(text, "pops " + std::to_string(form.pops));
    return text;
}

std::string attributes_of(const Form& form) {
    static constexpr std::pair<u16, std::string_view> kWords[] = {{kLockable, "LOCK"},
                                                                  {kMemoryOnly, "memory"},
                                                                  {kRegisterOnly, "register"},
                                                                  {kString, "REP"},
                                                                  {kPrivileged, "privileged"}};
    std::string text;
    for (const auto& [attribute, word] : kWords)
        if ((form.attributes & attribute) != 0)
            add(text, std::string(word));
    if (form.transfer != Transfer::None)
        add(text, "control");
    if (form.port != Port::None)
        add(text, "I/O");
    return text;
}

std::string flags_of(const Form& form) {
    std::string text;
    if (!form.flags.read.empty())
        text += "r:" + std::string(form.flags.read);
    if (!form.flags.written.empty())
        text += (text.empty() ? "" : " ") + ("w:" + std::string(form.flags.written));
    if (!form.flags.undefined.empty())
        text += (text.empty() ? "" : " ") + ("u:" + std::string(form.flags.undefined));
    return text;
}

// Rows that exist in order to raise #UD, rows that only old models have, and all the rest.
std::string status_of(const Form& form) {
    if ((form.attributes & kUndefined) != 0)
        return form.mnemonic == "rsm" ? "#UD: no SMM" : "#UD";
    if (form.operands[0] == Operand::Td || form.operands[1] == Operand::Td)
        return "holds what is written; #UD from Pentium on";
    return "executed";
}

void write_forms(std::ostringstream& page) {
    page << "| bytes | mnemonic | operands | also | since | flags | attributes | cost class | clocks | status |\n"
            "|---|---|---|---|---|---|---|---|---|---|\n";
    for (u16 number = 1; number < form_count(); ++number) {
        const Form& form = form_at(number);
        const bool eight = is_run_of_eight(number);
        const Cost& cost = kCosts[static_cast<u8>(form.cost.value)];
        page << "| " << bytes_of(form, eight) << " | " << form.mnemonic << " | " << operands_of(form) << " | "
             << also_of(form) << " | " << kSinceNames[static_cast<u8>(form.since.value)] << " | " << flags_of(form)
             << " | " << attributes_of(form) << " | " << cost.name << " | " << cost.clocks << " | " << status_of(form)
             << " |\n";
        if (eight)
            number += 7;
    }
}

void write_models(std::ostringstream& page) {
    page << "| `--cpu` | processor | signature | CPUID.1:EDX | EFLAGS | CR0 | CR4 | forms since |\n"
            "|---|---|---|---|---|---|---|---|\n";
    for (const Model* one : all_models()) {
        const Model& model = *one;
        const auto mask = [&](u32 value) {
            char text[16];
            std::snprintf(text, sizeof text, "%08X", value);
            page << " | " << text;
        };
        page << "| " << model.name << " | " << model.text;
        mask(model.signature);
        if (model.leaves.empty())
            page << " | no CPUID";
        else
            mask(model.cpuid(1).edx);
        mask(model.eflags | 2);
        mask(model.cr0 | model.cr0_ones);
        mask(model.cr4);
        page << " |";
        for (u8 i = 0; i < std::size(kSinceNames); ++i)
            if (model.runs(static_cast<Since>(i)))
                page << " " << kSinceNames[i];
        page << " |\n";
    }
}

std::string page_text() {
    std::ostringstream page;
    page << "# Instructions\n\n"
            "Written from `cpu/decode/opcodes.def`, `cpu/cost/cost_classes.def` and `cpu/models` by the target\n"
            "`instruction_page`; do not edit. A test keeps it true.\n\n"
            "## Models\n\n";
    write_models(page);
    page
        << "\nNo model has UMOV, XBTS, IBTS (early 386), LOADALL, SMM with RSM, an APIC, MTRRs or machine "
           "checks.\n\n"
           "## Forms\n\n"
           "Operands are in the manual's notation (SDM 2, appendix A.2; `cpu/decode/operands.def`); they are read, or\n"
           "written (`:w`), or both (`:rw`), or neither (`:-`). Also: registers, memory and elements of the stack\n"
           "that an instruction uses beside its operands. Since: the generation or extension that brought the form; a\n"
           "model without it raises #UD. Flags: read, written, undefined, by letters of odiszapc. `NP`, `66`, `F3`,\n"
           "`F2` before `0F`: mandatory prefix, or none. Clocks are those of the flat cost model.\n\n";
    write_forms(page);
    page << "\n## Cost classes\n\n| class | clocks | p6 model | what |\n|---|---|---|---|\n";
    for (const Cost& cost : kCosts)
        page << "| " << cost.name << " | " << cost.clocks << " | " << cost.p6 << " | " << cost.text << " |\n";
    return page.str();
}

TEST(InstructionPage, IsWhatTheTablesSay) {
    const std::string path = FORKSCOPE_PAGE;
    const std::string text = page_text();
    if (std::getenv("FORKSCOPE_UPDATE") != nullptr) {
        std::ofstream(path, std::ios::binary) << text;
        return;
    }
    std::ifstream file(path, std::ios::binary);
    const std::string kept{std::istreambuf_iterator<char>(file), {}};
    EXPECT_TRUE(kept == text) << "docs/instructions.md is not up to date: ninja instruction_page, and commit it";
}

} // namespace
} // namespace forkscope::test
