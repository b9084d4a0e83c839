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

// A row of the table as it is written there.
struct Row {
    int map, opcode, group;
    std::string mnemonic;
    std::string operands[3];
    std::string handler;
    std::string read, written, undefined;
    std::string attributes;
    std::string since, cost;

    bool operator==(const Row& other) const {
        return map == other.map && opcode == other.opcode && group == other.group && mnemonic == other.mnemonic;
    }
};

#define NOGROUP -1
#define OPCODE(map, opcode, group, mnemonic, first, second, third, handler, read, written, undefined, attributes,      \
               since, cost)                                                                                            \
    Row{map,       opcode,      group,  mnemonic, {#first, #second, #third}, #handler, read, written,                  \
        undefined, #attributes, #since, #cost},
const Row kRows[] = {
#include "cpu/decode/opcodes.def"
};
#undef OPCODE
#undef NOGROUP

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

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

bool register_in_opcode(const Row& row) { return contains(row.operands[0] + row.operands[1], "Z"); }

// Do the eight rows from `first` on differ by nothing but the register in the opcode?
bool is_run_of_eight(std::size_t first) {
    const Row& row = kRows[first];
    if (!register_in_opcode(row) || (row.opcode & 7) != 0 || first + 8 > std::size(kRows))
        return false;
    for (int i = 1; i < 8; ++i) {
        Row expected = row;
        expected.opcode += i;
        if (!(kRows[first + static_cast<std::size_t>(i)] == expected))
            return false;
    }
    return true;
}

bool has_mod_rm(const Row& row) {
    static constexpr std::string_view kNone[] = {
        "None", "Ib", "Ibs", "Iw", "Iz", "Iv", "Jb", "Jz",  "Ob", "Ov", "Zb", "Zd", "Zv", "Xb", "Xv",    "Yb",
        "Yv",   "Ap", "One", "Al", "Cl", "Ax", "Dx", "Eax", "Es", "Cs", "Ss", "Ds", "Fs", "Gs", "Three", "St0"};
    for (const std::string& operand : row.operands)
        if (std::find(std::begin(kNone), std::end(kNone), operand) == std::end(kNone))
            return true;
    return false;
}

std::string bytes_of(const Row& row, bool eight) {
    static constexpr std::string_view kPrefixes[] = {"", "", "0F ", "NP 0F ", "66 0F ", "F3 0F ", "F2 0F "};
    std::string text = std::string(kPrefixes[row.map]) + hex(row.opcode) + (eight ? "+r" : "");
    if (row.group >= 0xC0)
        text += " " + hex(row.group);
    else if (row.group >= 0)
        text += " /" + std::to_string(row.group);
    else if (has_mod_rm(row))
        text += " /r";
    return text;
}

std::string operands_of(const Row& row) {
    std::string text;
    for (const std::string& operand : row.operands)
        if (operand != "None")
            text += (text.empty() ? "" : ", ") + operand;
    return text;
}

std::string attributes_of(const Row& row) {
    static constexpr std::pair<std::string_view, std::string_view> kWords[] = {
        {"kLockable", "LOCK"}, {"kMemoryOnly", "memory"},     {"kRegisterOnly", "register"},
        {"kString", "REP"},    {"kPrivileged", "privileged"}, {"kControl", "control"},
        {"kIo", "I/O"}};
    std::string text;
    for (const auto& [name, word] : kWords)
        if (contains(row.attributes, name))
            text += (text.empty() ? "" : ", ") + std::string(word);
    return text;
}

std::string flags_of(const Row& row) {
    std::string text;
    if (!row.read.empty())
        text += "r:" + row.read;
    if (!row.written.empty())
        text += (text.empty() ? "" : " ") + ("w:" + row.written);
    if (!row.undefined.empty())
        text += (text.empty() ? "" : " ") + ("u:" + row.undefined);
    return text;
}

// Rows that exist in order to raise #UD, rows that only old models have, and all the rest.
std::string status_of(const Row& row) {
    if (contains(row.handler, "ud2"))
        return row.mnemonic == "rsm" ? "#UD: no SMM" : "#UD";
    if (contains(row.handler, "_test"))
        return "holds what is written; #UD from Pentium on";
    return "executed";
}

int clocks_of(const std::string& cost) {
    for (const Cost& row : kCosts)
        if (row.name == cost)
            return row.clocks;
    return 0;
}

void write_forms(std::ostringstream& page) {
    page << "| bytes | mnemonic | operands | since | flags | attributes | cost class | clocks | status |\n"
            "|---|---|---|---|---|---|---|---|---|\n";
    for (std::size_t i = 0; i < std::size(kRows); ++i) {
        const Row& row = kRows[i];
        const bool eight = is_run_of_eight(i);
        page << "| " << bytes_of(row, eight) << " | " << row.mnemonic << " | " << operands_of(row) << " | " << row.since
             << " | " << flags_of(row) << " | " << attributes_of(row) << " | " << row.cost << " | "
             << clocks_of(row.cost) << " | " << status_of(row) << " |\n";
        if (eight)
            i += 7;
    }
}

void write_models(std::ostringstream& page) {
    page << "| `--cpu` | processor | signature | CPUID.1:EDX | EFLAGS | CR0 | CR4 | forms since |\n"
            "|---|---|---|---|---|---|---|---|\n";
    for (const Model& model : all_models()) {
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
        constexpr std::string_view kSince[] = {"I386", "I486", "P5", "P6", "Mmx", "Fxsr", "Sse", "Sse2"};
        page << " |";
        for (u8 i = 0; i < std::size(kSince); ++i)
            if (model.runs(static_cast<Since>(i)))
                page << " " << kSince[i];
        page << " |\n";
    }
}

std::string page_text() {
    std::ostringstream page;
    page << "# Instructions\n\n"
            "Written from `cpu/decode/opcodes.def`, `cpu/cost/cost_classes.def` and `cpu/models/model.cpp` by the "
            "target "
            "`instruction_page`;\n"
            "do not edit. A test keeps it true.\n\n"
            "## Models\n\n";
    write_models(page);
    page << "\nNo model has UMOV, XBTS, IBTS (early 386), LOADALL, SMM with RSM, an APIC, MTRRs or machine "
            "checks.\n\n"
            "## Forms\n\n"
            "Operands are in the manual's notation (SDM 2, appendix A.2; `cpu/decode/instruction.hpp`). Since: the "
            "generation "
            "or\n"
            "extension that brought the form; a model without it raises #UD. Flags: read, written, undefined, by "
            "letters of\n"
            "odiszapc. `NP`, `66`, `F3`, `F2` before `0F`: mandatory prefix, or none. Clocks are those of the flat "
            "clock.\n\n";
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
