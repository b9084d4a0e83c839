// docs/clocks.md, written from the clock tables. FORKSCOPE_UPDATE=1 writes it anew.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/cost/latencies.hpp"
#include "rows_not_run.hpp"

namespace forkscope::test {
namespace {

constexpr std::string_view kModelNames[] = {"386", "486", "Pentium"};
constexpr std::string_view kPathNames[] = {
#define COST_PATH(name, i386, i486, pentium, sources, text) #name,
#include "cpu/cost/paths.def"
#undef COST_PATH
};

std::string hex(int byte) {
    char text[12];
    std::snprintf(text, sizeof text, "%02X", byte);
    return text;
}

std::string number(int value) { return std::to_string(value); }

// a for registers and b for memory, or one figure where they are the same.
std::string pair(const std::string& a, const std::string& b) { return a == b ? a : a + " / " + b; }
std::string both(const Latency& cell, const std::string& after = "") {
    return pair(number(cell.reg) + after, number(cell.mem) + after);
}

std::string rule_text(const Latency& cell, bool i386) {
    const std::string step = number(cell.step);
    const std::string m = i386 ? "+m" : "";
    switch (cell.rule) {
    case LatencyRule::Absent:
        return "—";
    case LatencyRule::Fixed:
        return both(cell);
    case LatencyRule::Jump:
        return both(cell, m);
    case LatencyRule::Branch:
        return number(cell.mem) + m + " taken, " + number(cell.reg) + " not";
    case LatencyRule::Width:
        return both(cell) + "; 32 bits: " + pair(step, number(cell.step + cell.mem - cell.reg));
    case LatencyRule::Condition:
        return "true " + both(cell) + ", false " + number(cell.reg - cell.step) + " / " + number(cell.mem + cell.step);
    case LatencyRule::Exchange:
        return both(cell) + ", unequal in memory " + number(cell.mem + cell.step);
    case LatencyRule::Multiply:
    case LatencyRule::MultiplySigned:
        return both(cell, "+max(3, bits)");
    case LatencyRule::MultiplySigned5:
        return both(cell, "+max(3, bits), negative: max(5, bits)");
    case LatencyRule::BitScan:
    case LatencyRule::BitScanReverse:
        return both(cell, "+" + step + "n");
    case LatencyRule::BitScanNibbles:
        return both(cell, "+2+4(B+1)+3(i+1)+3(n+1)") + "; of zero " + both(cell);
    case LatencyRule::BitScanPlaces:
        return both(cell, "+" + step + "(n+1)") + "; of zero " + both(cell);
    case LatencyRule::BitScanPlaces1:
        return both(cell, "+1+" + step + "(32-bit)") + "; of zero " + both(cell);
    case LatencyRule::RotateCarry:
        return number(cell.reg) + "-" + number(cell.reg + cell.step) + " / " + number(cell.mem) + "-" +
               number(cell.mem + cell.step);
    case LatencyRule::Enter:
    case LatencyRule::EnterLess:
        return "level 0: " + number(cell.reg) + ", 1: " + number(cell.mem) +
               ", more: " + number(cell.rule == LatencyRule::Enter ? cell.mem : cell.mem - 1) + "+" + step + "·level";
    case LatencyRule::Repeat:
    case LatencyRule::RepeatMove:
    case LatencyRule::RepeatPort:
        return number(cell.reg) + "; REP: " + number(cell.mem) + "+" + (cell.step == 1 ? "" : step) + "n";
    case LatencyRule::ControlRegister:
        return "CR0 " + number(cell.reg) + ", CR2 " + number(cell.mem) + ", CR3 " + step;
    case LatencyRule::DebugRegister:
        return cell.reg == cell.mem ? number(cell.reg) : "DR0-3 " + number(cell.reg) + ", DR6-7 " + number(cell.mem);
    }
    return "";
}

std::string_view mark(LatencySource source) {
    return source == LatencySource::Manual ? " M" : source == LatencySource::Published ? " P" : " [?]";
}

std::string cell_text(const Latency& cell, bool i386) {
    return rule_text(cell, i386) + (cell.rule == LatencyRule::Absent ? "" : std::string(mark(cell.source)));
}

std::string_view pairing_text(Pairing pairing) {
    constexpr std::string_view kNames[] = {"NP", "UV", "PU", "PV", "FX", "FXCH"};
    return kNames[static_cast<std::size_t>(pairing)];
}

std::string bytes_of(const LatencyRow& row) {
    static constexpr std::string_view kPrefixes[] = {"", "", "0F ", "NP 0F ", "66 0F ", "F3 0F ", "F2 0F "};
    if (row.map == 0)
        return "no such opcode";
    std::string text = std::string(kPrefixes[row.map]) + hex(row.first);
    if (row.last != row.first)
        text += "-" + hex(row.last);
    if (row.group >= 0xC0)
        text += " " + hex(row.group);
    else if (row.group >= 0)
        text += " /" + number(row.group);
    return text;
}

// The mnemonics of the forms that a row covers; of many, some.
std::string mnemonics_of(const LatencyRow& row) {
    std::vector<std::string> names;
    for (u16 form = 0; form < form_count(); ++form) {
        const std::string name(form_at(form).mnemonic);
        if (&latency_row(form) == &row && std::find(names.begin(), names.end(), name) == names.end())
            names.push_back(name);
    }
    std::string text;
    for (std::size_t i = 0; i < names.size() && i < 4; ++i)
        text += (i == 0 ? "" : ", ") + names[i];
    return text + (names.size() > 4 ? " and " + number(static_cast<int>(names.size()) - 4) + " more" : "");
}

// What confirms its figures.
std::string status_of(const LatencyRow& row) {
    const Latency cells[] = {row.i386, row.i486, row.pentium};
    std::string unsure;
    bool any = false;
    for (std::size_t i = 0; i < std::size(cells); ++i) {
        any |= cells[i].rule != LatencyRule::Absent;
        if (cells[i].rule != LatencyRule::Absent && cells[i].source == LatencySource::Estimate)
            unsure += (unsure.empty() ? "" : ", ") + std::string(kModelNames[i]);
    }
    if (!any)
        return "p6 only: by cost class";
    return unsure.empty() ? "as the sources say" : "[?] " + unsure;
}

void write_rows(std::ostringstream& page) {
    page << "| bytes | mnemonic | 386 | 486 | Pentium | pairing | status |\n|---|---|---|---|---|---|---|\n";
    for (const LatencyRow& row : latency_rows())
        page << "| " << bytes_of(row) << " | " << mnemonics_of(row) << " | " << cell_text(row.i386, true) << " | "
             << cell_text(row.i486, false) << " | " << cell_text(row.pentium, false) << " | "
             << (row.pentium.rule == LatencyRule::Absent ? "" : pairing_text(row.pairing)) << " | " << status_of(row)
             << " |\n";
}

void write_paths(std::ostringstream& page) {
    page << "| path | what | 386 | 486 | Pentium |\n|---|---|---|---|---|\n";
    for (std::size_t i = 0; i < path_latencies().size(); ++i) {
        const PathLatency& path = path_latencies()[i];
        const u16 clocks[] = {path.i386, path.i486, path.pentium};
        page << "| " << kPathNames[i] << " | " << path.text;
        for (std::size_t model = 0; model < std::size(clocks); ++model)
            page << " | " << clocks[model] << mark(path.sources[model]);
        page << " |\n";
    }
}

// Rows of a model whose every form test_cost runs.
unsigned rows_run(CpuModel model) {
    std::vector<const LatencyRow*> rows, left_out;
    for (u16 number = 0; number < form_count(); ++number) {
        const Form& form = form_at(number);
        const LatencyRow* row = &latency_row(number);
        if (!model_of(model).runs(form.since))
            continue;
        if (std::find(rows.begin(), rows.end(), row) == rows.end())
            rows.push_back(row);
        if (not_run(form, model) != NotRun::No)
            left_out.push_back(row);
    }
    return static_cast<unsigned>(std::count_if(rows.begin(), rows.end(), [&](const LatencyRow* row) {
        return std::find(left_out.begin(), left_out.end(), row) == left_out.end();
    }));
}

void write_sources(std::ostringstream& page) {
    constexpr CpuModel kModels[] = {CpuModel::I386, CpuModel::I486, CpuModel::Pentium};
    page << "| | M | P | [?] | rows | run by `test_cost` |\n|---|---|---|---|---|---|\n";
    for (std::size_t model = 0; model < std::size(kModelNames); ++model) {
        unsigned counts[3] = {};
        for (const LatencyRow& row : latency_rows()) {
            const Latency& cell = model == 0 ? row.i386 : model == 1 ? row.i486 : row.pentium;
            if (cell.rule != LatencyRule::Absent)
                ++counts[static_cast<std::size_t>(cell.source)];
        }
        page << "| " << kModelNames[model] << " | " << counts[0] << " | " << counts[1] << " | " << counts[2] << " | "
             << counts[0] + counts[1] + counts[2] << " | " << rows_run(kModels[model]) << " |\n";
    }
}

std::string page_text() {
    std::ostringstream page;
    page << "# Clocks\n\n"
            "Written from `cpu/cost/latencies.def` and `cpu/cost/paths.def` by the target `latencies_page`; do not "
            "edit. "
            "A test "
            "keeps it true.\n\n"
            "What an instruction costs on each model: in real mode, with aligned operands, TLB and cache hits and no "
            "wait states.\n"
            "No row has been measured on a chip by us. Marks: **M** Intel's manual of that processor, as transcribed; "
            "**P** published\n"
            "tables that are no manual of Intel's; **[?]** not confirmed, or our choice within a range that the "
            "tables give.\n\n";
    write_sources(page);
    page << "\n`test_cost` runs each form as a steady-state microbenchmark and compares it with the row. It leaves out "
            "what raises #UD by\ndesign: the undefined opcode, UD0, UD1, UD2, RSM, and MOV of test registers where "
            "there "
            "are none.\n";
    page << "\n`a / b`: register and memory form. m: the components of the next instruction. n: iterations, or the "
            "zero bits that a\n"
            "scan passes over. bits: ceil(log2 |multiplier|). B, i, n of BSF: byte, nibble in it, bit in that. `a-b`: "
            "by the count, on a\n"
            "straight line. The rules in full: `cpu/cost/latencies.hpp`. Pairing: AP-500. The p6's clocks are an "
            "estimate by "
            "cost class\n"
            "([instructions](instructions.md)).\n\n## Forms\n\n";
    write_rows(page);
    page << "\n## Paths\n\nWhat is decided as an instruction runs. The sections of `cpu/cost/paths.def` tell totals, "
            "which stand in place of\n"
            "the form's clocks, from additions to them. Zero: no such path, or nothing to add.\n\n";
    write_paths(page);
    return page.str();
}

TEST(LatenciesPage, IsWhatTheTablesSay) {
    const std::string path = FORKSCOPE_PAGE;
    const std::string text = page_text();
    if (std::getenv("FORKSCOPE_UPDATE") != nullptr) {
        std::ofstream(path, std::ios::binary) << text;
        return;
    }
    std::ifstream file(path, std::ios::binary);
    const std::string kept{std::istreambuf_iterator<char>(file), {}};
    EXPECT_TRUE(kept == text) << "docs/clocks.md is not up to date: ninja latencies_page, and commit it";
}

} // namespace
} // namespace forkscope::test
