// The commands that look and move nothing.
#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "emu/observe/tables/tlb_view.hpp"
#include "emu/observe/tables/walk_text.hpp"
#include "emu/report/fork_report.hpp"
#include "emu/report/stepper/register_report.hpp"
#include "emu/report/stepper/step_commands.hpp"
#include "emu/report/stepper/step_words.hpp"
#include "emu/report/text_writer.hpp"
#include "emu/report/tlb_report.hpp"
#include "emu/session/conditions/evaluation/machine_evaluator.hpp"
#include "emu/session/conditions/given_address.hpp"
#include "emu/session/guest_state_of.hpp"
#include "emu/session/guest_words.hpp"
#include "emu/symbols/inspect/expression.hpp"

namespace forkscope {

namespace {

constexpr const char* kNotFollowed =
    "forks before the place that was opened are not followed or counted; `forks` follows them";

std::string without_last_newline(std::string text) {
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

Location location_of(Session& session) {
    const Machine& machine = session.machine();
    return session.symbols().lookup(machine.mmu().control().space_of(machine.registers().cr3).root,
                                    machine.cpu().linear_eip());
}

} // namespace

u32 StepCommands::space() const {
    const Machine& machine = session().machine();
    return machine.mmu().control().space_of(machine.registers().cr3).root;
}

Result<u32> StepCommands::given(std::string_view address) const {
    return given_address(address, session().machine(), session().symbols(), space());
}

std::string StepCommands::where_text() const {
    const Position position = stepper_.timeline().position();
    std::string text = fmt::format("{}  instruction {}", session().place(), position.instructions);
    if (position.deliveries != 0)
        text += fmt::format("+{}", position.deliveries);
    if (stepper_.timeline().in_past())
        text += fmt::format(", {} before the present", stepper_.timeline().end().instructions - position.instructions);
    if (session().machine().cpu().halted())
        text += ", halted";
    const Location location = location_of(session());
    if (const auto line = session().symbols().source_line(location.file, location.line))
        text += fmt::format("\n{:>5}  {}", location.line, *line);
    return text;
}

StepAnswer StepCommands::where(std::string_view) {
    StepAnswer answer;
    add_position(answer.data);
    const Location location = location_of(session());
    answer.data.text("function", location.symbol).text("file", location.file).number("line", location.line);
    answer.text = where_text();
    if (const ForkTracer* tracer = session().tracer(); tracer != nullptr) {
        const ForkRecord* fork = tracer->current();
        answer.data.number("fork", fork != nullptr ? fork->number : 0);
        if (fork != nullptr)
            answer.text += fmt::format("\ninside fork {}", fork->number);
    }
    return answer;
}

StepAnswer StepCommands::stack(std::string_view rest) {
    const CallStack stack(session().symbols(), guest_state_of(session().machine()));
    StepAnswer answer;
    if (!rest.empty()) {
        const auto row = address_of(rest, session().symbols(), space());
        if (!row || *row >= stack.rows().size())
            return wrong(fmt::format("the stack has {} rows, from 0", stack.rows().size()));
        row_ = *row;
    }
    Rows rows;
    for (std::size_t i = 0; i < stack.rows().size(); ++i) {
        const StackRow& row = stack.rows()[i];
        rows.emplace_back()
            .text("function", row.function)
            .address("address", row.address)
            .text("file", row.line.file)
            .number("line", row.line.line)
            .flag("inlined", row.inlined);
        answer.text += fmt::format("{}{}{}", answer.text.empty() ? "" : "\n", i == row_ ? "*" : " ", stack.text(i));
    }
    if (!stack.frames().end.empty())
        answer.text += fmt::format("\n  no more: {}", stack.frames().end);
    answer.data.rows("rows", std::move(rows)).text("ended", stack.frames().end);
    return answer;
}

StepAnswer StepCommands::print(std::string_view rest) {
    const CallStack stack(session().symbols(), guest_state_of(session().machine()));
    if (stack.rows().empty())
        return wrong("there is no stack here", ExitCode::RuntimeError);
    auto value = forkscope::print(stack, stack.rows()[std::min(row_, stack.rows().size() - 1)], rest);
    if (!value.ok())
        return wrong(value.error().message, value.error().code);
    StepAnswer answer;
    answer.text = without_last_newline(to_text(*value, Layout::Lines));
    answer.data.text("value", to_text(*value)).text("type", value->type);
    if (value->failed)
        answer.code = ExitCode::RuntimeError;
    return answer;
}

StepAnswer StepCommands::locals(std::string_view) {
    const CallStack stack(session().symbols(), guest_state_of(session().machine()));
    StepAnswer answer;
    Rows rows;
    if (!stack.rows().empty()) {
        ValueReader reader = stack.reader();
        for (const Variable& variable : stack.variables(stack.rows()[std::min(row_, stack.rows().size() - 1)])) {
            const std::string text = to_text(reader.read(variable.value, variable.name));
            rows.emplace_back().text("name", variable.name).flag("argument", variable.argument).text("value", text);
            answer.text += fmt::format("{}{} = {}", answer.text.empty() ? "" : "\n", variable.name, text);
        }
    }
    answer.data.rows("variables", std::move(rows));
    if (answer.text.empty())
        answer.text = "no variables are known here";
    return answer;
}

StepAnswer StepCommands::registers(std::string_view) {
    StepAnswer answer;
    answer.text = registers_text(session().machine());
    answer.data.object("registers", registers_data(session().machine()));
    return answer;
}

StepAnswer StepCommands::source(std::string_view rest) {
    const Location location = location_of(session());
    const u32 around = std::clamp<u32>(address_of(rest, session().symbols(), space()).value_or(10), 1, 1000) / 2;
    if (location.line == 0)
        return wrong("no source is known for this place; give its folder with --source DIR", ExitCode::RuntimeError);
    StepAnswer answer;
    Rows rows;
    for (u32 line = location.line > around ? location.line - around : 1; line <= location.line + around; ++line) {
        const auto text = session().symbols().source_line(location.file, line);
        if (!text)
            continue;
        rows.emplace_back().number("line", line).text("text", *text).flag("current", line == location.line);
        answer.text += fmt::format("{}{} {:>5}  {}", answer.text.empty() ? "" : "\n", line == location.line ? ">" : " ",
                                   line, *text);
    }
    answer.data.text("file", location.file).rows("lines", std::move(rows));
    return answer.text.empty()
               ? wrong(fmt::format("the source {} is not here; give its folder with --source DIR", location.file),
                       ExitCode::RuntimeError)
               : answer;
}

StepAnswer StepCommands::memory(std::string_view rest) { return dump(rest, false); }
StepAnswer StepCommands::physical(std::string_view rest) { return dump(rest, true); }

StepAnswer StepCommands::dump(std::string_view rest, bool is_physical) {
    constexpr u32 kMost = 4096, kPerLine = 16;
    const auto [where, more] = first_word(rest);
    const auto address = given(where);
    const auto count = more.empty() ? Result<u32>(64) : given(more);
    if (!address.ok() || !count.ok())
        return wrong(address.ok() ? count.error().message : address.error().message);
    const u32 shown = std::min(kMost, *count);
    StepAnswer answer;
    Rows rows;
    const Mmu& mmu = session().machine().mmu();
    for (u32 done = 0; done < shown; done += kPerLine) {
        std::array<u8, kPerLine> bytes{};
        std::string text, letters;
        for (u32 i = 0; i < std::min(kPerLine, shown - done); ++i) {
            const std::span<u8> byte = std::span(bytes).subspan(i, 1);
            const u32 at = *address + done + i;
            const bool there =
                is_physical ? mmu.memory().read(PhysicalAddress(at), byte) : mmu.peek(LinearAddress(at), byte);
            text += there ? fmt::format(" {:02x}", byte[0]) : " --";
            letters += !there ? ' ' : byte[0] >= 0x20 && byte[0] < 0x7F ? static_cast<char>(byte[0]) : '.';
        }
        rows.emplace_back().address("address", *address + done).text("bytes", std::string(trimmed(text)));
        answer.text +=
            fmt::format("{}{:08x} {:<48}  {}", answer.text.empty() ? "" : "\n", *address + done, text, letters);
    }
    if (shown < *count)
        answer.text += fmt::format("\n{} of {} bytes: more are shown from 0x{:x} on", shown, *count, *address + shown);
    answer.data.rows("memory", std::move(rows));
    return answer;
}

StepAnswer StepCommands::entry(std::string_view rest) {
    const auto address = given(rest);
    const PagingState& paging = session().machine().mmu().paging();
    if (!address.ok())
        return wrong(address.error().message);
    if (!paging.control().paging())
        return wrong("paging is off: linear addresses are physical ones", ExitCode::RuntimeError);
    const WalkView walk = AddressSpaceReader(paging).walk(
        paging.control().space_of(session().machine().registers().cr3), LinearAddress(*address));
    StepAnswer answer;
    answer.data.address("address", *address).flag("present", walk.present);
    answer.data.word("directory_entry", walk.directory_entry).word("table_entry", walk.table_entry);
    answer.data.word("frame", walk.frame)
        .flag("writable", walk.present && walk.writable())
        .flag("user", walk.present && walk.user());
    answer.text = walk_text(walk);
    Rows rows;
    for (const TlbRow& row : tlb_view(session().machine().mmu()).rows) {
        const u32 bytes = Tlb::is_large(row.array) ? paging.control().geometry().large_bytes() : kPageSize;
        if (row.entry.tag != (*address & ~(bytes - 1)))
            continue;
        const std::string by = session().symbols().lookup(space(), row.entry.filled_by).text();
        rows.emplace_back()
            .text("array", tlb_array_name(row.array))
            .word("entry", row.entry.entry)
            .text("filled_by", by)
            .count("filled_at", row.entry.filled_at)
            .flag("agrees", row.agrees);
        answer.text +=
            fmt::format("\n{}: {:#x}, filled by {} at cycle {}{}", tlb_array_name(row.array), row.entry.entry, by,
                        row.entry.filled_at, row.agrees ? "" : "; the tables do not agree: " + row.verdict);
    }
    answer.data.rows("tlb", std::move(rows));
    return answer;
}

StepAnswer StepCommands::tlb(std::string_view) {
    const auto name = [&](u32 address) { return session().symbols().lookup(space(), address).text(); };
    const Document document = tlb_document(tlb_view(session().machine().mmu()), name);
    StepAnswer answer;
    answer.data.object("tlb", document.data);
    answer.text = without_last_newline(document_text(document));
    return answer;
}

// Of a recording that was opened on the way, everything from its beginning to here.
StepAnswer StepCommands::follow_forks(std::string_view) {
    const Timeline& timeline = stepper_.timeline();
    const u64 until = timeline.position().instructions;
    const bool missing = session().opened_on_the_way();
    StepAnswer answer = missing ? arrived(stepper_.relive()) : StepAnswer{};
    if (answer.code != ExitCode::Ok)
        return answer;
    const ForkTracer* tracer = session().tracer();
    const u64 forks = tracer == nullptr ? 0 : tracer->forks().size();
    answer.data.count("forks", forks);
    answer.text += fmt::format("{}{} forks from the beginning to instruction {}", answer.text.empty() ? "" : "\n",
                               forks, missing ? timeline.position().instructions : until);
    return answer;
}

StepAnswer StepCommands::fork(std::string_view rest) {
    const ForkTracer* tracer = session().tracer();
    const ForkReportOptions options{.symbols = &session().symbols()};
    std::optional<ForkRecord> record;
    if (tracer != nullptr && rest.empty() && tracer->current() != nullptr)
        record = tracer->so_far();
    else if (tracer != nullptr) {
        const ForkRecord* fork =
            rest.empty() ? tracer->last() : tracer->fork(std::strtoull(std::string(rest).c_str(), nullptr, 10));
        if (fork != nullptr)
            record = *fork;
    }
    const bool whole = !session().opened_on_the_way();
    if (!record)
        return wrong((rest.empty() ? "there was no fork yet" : fmt::format("there is no fork '{}'", rest)) +
                         (whole ? "" : std::string("; ") + kNotFollowed),
                     ExitCode::RuntimeError);
    const Document document = fork_document(*record, options);
    StepAnswer answer;
    answer.data.object("fork", document.data).flag("from_beginning", whole);
    answer.text = without_last_newline(document_text(document)) + (whole ? "" : std::string("\n") + kNotFollowed);
    return answer;
}

StepAnswer StepCommands::screen(std::string_view) {
    StepAnswer answer;
    std::vector<Cell> lines;
    for (const std::string& line : screen_lines(session().machine())) {
        lines.push_back(Cell::text(line));
        answer.text += (answer.text.empty() ? "" : "\n") + line.substr(0, line.find_last_not_of(' ') + 1);
    }
    answer.data.add("lines", Cell::list(std::move(lines)));
    return answer;
}

// What holds of the state here and now; an event counts if the last move ended at it.
StepAnswer StepCommands::expect(std::string_view rest) {
    auto condition = compile_condition(rest, session().symbols());
    if (!condition.ok())
        return wrong(condition.error().message, condition.error().code);
    std::vector<NodeMemory> memory(condition->expression.nodes.size());
    MachineEvaluator evaluator(session().machine(), *condition, memory);
    evaluator.set_mode(Evaluator::Mode::Look);
    const bool holds = evaluator.holds();
    StepAnswer answer;
    answer.data.flag("holds", holds);
    answer.text = fmt::format("{}: {}", rest, holds ? "yes" : "no");
    answer.code = holds ? ExitCode::Ok : ExitCode::Findings;
    return answer;
}

} // namespace forkscope
