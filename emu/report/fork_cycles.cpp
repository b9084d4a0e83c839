// Where the cycles of a fork went: by stop and cause, and by function.
#include <algorithm>
#include <array>
#include <map>

#include "emu/base/log.hpp"
#include "emu/report/fork_report.hpp"
#include "emu/report/report_text.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kCauses = static_cast<std::size_t>(CycleCause::Count);

// Of causes that claim nothing anywhere there are no columns; nor of one alone, which would repeat the own cycles.
std::vector<std::size_t> columns_of(const ForkRecord& fork) {
    std::vector<std::size_t> columns;
    for (std::size_t cause = 0; cause < kCauses; ++cause) {
        if (fork.spent.by_cause[cause] != 0)
            columns.push_back(cause);
    }
    return columns.size() < 2 ? std::vector<std::size_t>{} : columns;
}

constexpr std::size_t kOwnWidth = 10, kCauseWidth = 9;

// Names get what the figures leave of a line.
std::size_t name_width(std::size_t causes, std::size_t most) {
    constexpr std::size_t kWidth = 98;
    return std::min(most, kWidth - kOwnWidth - causes * kCauseWidth);
}

// The columns for them. Their keys are the causes' names, as add_causes() has them.
void add_cause_columns(std::vector<Column>& columns, const std::vector<std::size_t>& causes, u32 estimated) {
    constexpr std::array<const char*, kCauses> kHeads = {"base",  "pipeline", "branch",   "walks",
                                                         "cache", "misalign", "delivery", "ports"};
    columns.push_back({.key = "own_cycles", .title = "own", .width = kOwnWidth, .align = Column::Align::Right});
    for (const std::size_t cause : causes)
        columns.push_back({.key = std::string(cycle_cause_name(static_cast<CycleCause>(cause))),
                           .title = (estimated >> cause & 1) != 0 ? shortened(kHeads[cause], 5) + "[?]" : kHeads[cause],
                           .width = kCauseWidth,
                           .align = Column::Align::Right});
}

void add_causes(Object& row, const RunTime& spent) {
    row.count("own_cycles", spent.cycles);
    for (std::size_t cause = 0; cause < kCauses; ++cause)
        row.count(std::string(cycle_cause_name(static_cast<CycleCause>(cause))), spent.by_cause[cause]);
}

void add_functions(Document& document, const ForkRecord& fork, const ForkReportOptions& options) {
    const std::vector<std::size_t> causes = columns_of(fork);
    Rows rows;
    for (const FunctionCost& function : fork_functions(fork, *options.symbols))
        add_causes(rows.emplace_back().text("name", function.name), function.spent);
    document.shown.rows("function_rows", std::move(rows));
    const std::size_t width = name_width(causes.size(), 40);
    std::vector<Column> columns = {{.key = "name", .title = "function", .width = width, .most = width}};
    add_cause_columns(columns, causes, options.estimated_causes);
    document.section("By function").blocks.push_back(Table{"function_rows", std::move(columns), options.most_rows});
}

void add_stop_causes(Document& document, const ForkRecord& fork, const ForkReportOptions& options) {
    const std::vector<std::size_t> causes = columns_of(fork);
    if (causes.empty())
        return;
    Rows rows;
    for (const ForkStop& stop : fork.stops)
        add_causes(rows.emplace_back()
                       .text("stop", std::string(fork_stop_name(stop.id).number))
                       .text("name", std::string(fork_stop_name(stop.id).name)),
                   stop.spent);
    add_causes(rows.emplace_back().text("name", "all of fork"), fork.spent);
    document.shown.rows("cycle_rows", std::move(rows));
    constexpr std::size_t kNumberWidth = 5;
    const std::size_t width = name_width(causes.size(), 29) - kNumberWidth;
    std::vector<Column> columns = {{.key = "stop", .title = "stop", .width = kNumberWidth},
                                   {.key = "name", .title = "what", .width = width, .most = width}};
    add_cause_columns(columns, causes, options.estimated_causes);
    Section& section = document.section("Where the cycles went");
    section.blocks.push_back(Table{"cycle_rows", std::move(columns)});
    if (options.estimated_causes != 0)
        section.blocks.push_back(Line{{}, "[?] rests on clocks that no source confirms (docs/clocks.md)"});
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

void add_cycle_sections(Document& document, const ForkRecord& fork, const ForkReportOptions& options) {
    add_stop_causes(document, fork, options);
    if (!fork.by_instruction.empty() && options.symbols != nullptr)
        add_functions(document, fork, options);
}

} // namespace forkscope
