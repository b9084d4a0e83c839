// Where the cycles of a fork went: by phase and cause, and by function.
#include <algorithm>
#include <array>
#include <map>

#include "emu/base/log.hpp"
#include "emu/report/fork_report.hpp"
#include "emu/report/report_text.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kCauses = static_cast<std::size_t>(CycleCause::Count);

// Columns of causes that claim nothing anywhere are left out.
std::vector<std::size_t> columns_of(const ForkRecord& fork) {
    std::vector<std::size_t> columns;
    for (std::size_t cause = 0; cause < kCauses; ++cause) {
        if (fork.spent.by_cause[cause] != 0)
            columns.push_back(cause);
    }
    return columns;
}

std::string heads_of(const std::vector<std::size_t>& columns, u32 estimated) {
    constexpr std::array<const char*, kCauses> kHeads = {"base",  "pipeline", "branch",   "walks",
                                                         "cache", "misalign", "delivery", "ports"};
    std::string text;
    for (const std::size_t cause : columns)
        text += fmt::format("{:>10}", (estimated >> cause & 1) != 0 ? fmt::format("{}[?]", shortened(kHeads[cause], 6))
                                                                    : std::string(kHeads[cause]));
    return text;
}

std::string row(const char* stop, const char* name, const RunTime& spent, const std::vector<std::size_t>& columns) {
    std::string text = fmt::format("  {:<5}{:<23}{:>10}", stop, name, grouped(spent.cycles));
    for (const std::size_t cause : columns)
        text += fmt::format("{:>10}", grouped(spent.by_cause[cause]));
    return text + "\n";
}

} // namespace

std::vector<FunctionCost> fork_functions(const ForkRecord& fork, const Symbolizer& symbols) {
    std::map<std::string, FunctionCost> by_name;
    for (const auto& [place, spent] : fork.by_instruction) {
        const auto& [space, eip] = place;
        Location location = symbols.lookup(space, eip);
        if (space == fork.parent_directory && !fork.parent_program.empty() && !location.known()) {
            // It may have ended since: its program's name is kept in the record.
            const std::vector<Location> chain = symbols.inline_chain(fork.parent_program, eip);
            location = chain.empty() ? location : chain.back();
        }
        std::string name = location.symbol.empty() ? fmt::format("{:#010x}", eip) : location.symbol;
        if (space != 0 && space != fork.parent_directory)
            name = fmt::format("{}: {}", location.image.empty() ? "a server" : location.image, name);
        FunctionCost& cost = by_name[name];
        cost.name = name;
        cost.spent += spent;
    }
    std::vector<FunctionCost> functions;
    for (auto& [name, cost] : by_name)
        functions.push_back(std::move(cost));
    std::stable_sort(functions.begin(), functions.end(),
                     [](const FunctionCost& a, const FunctionCost& b) { return a.spent.cycles > b.spent.cycles; });
    return functions;
}

std::string fork_cycles_text(const ForkRecord& fork, const ForkReportOptions& options) {
    const std::vector<std::size_t> columns = columns_of(fork);
    if (columns.empty())
        return "";
    const std::string heads = heads_of(columns, options.estimated_causes);
    std::string out = fmt::format("\nWhere the cycles went\n  {:<5}{:<23}{:>10}{}\n", "stop", "what", "cycles", heads);
    for (const ForkPhase& phase : fork.phases)
        out += row(fork_phase_stop(phase.id), fork_phase_name(phase.id), phase.spent, columns);
    out += row("", "all of fork", fork.spent, columns);
    if (options.estimated_causes != 0)
        out += "  [?] rests on clocks that no source confirms (docs/clocks.md)\n";
    if (fork.by_instruction.empty() || options.symbols == nullptr)
        return out;
    out += fmt::format("\nBy function\n  {:<28}{:>10}{}\n", "function", "cycles", heads);
    const std::vector<FunctionCost> functions = fork_functions(fork, *options.symbols);
    const std::size_t shown = std::min(functions.size(), options.most_rows);
    for (std::size_t i = 0; i < shown; ++i) {
        out += fmt::format("  {:<28}{:>10}", shortened(functions[i].name, 28), grouped(functions[i].spent.cycles));
        for (const std::size_t cause : columns)
            out += fmt::format("{:>10}", grouped(functions[i].spent.by_cause[cause]));
        out += "\n";
    }
    if (functions.size() > shown)
        out += fmt::format("  … {} more rows; --json has them all\n", functions.size() - shown);
    return out;
}

} // namespace forkscope
