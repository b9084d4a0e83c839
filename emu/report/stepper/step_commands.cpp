#include "emu/report/stepper/step_commands.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "emu/base/text/nearest.hpp"
#include "emu/report/stepper/step_words.hpp"

namespace forkscope {

namespace {

constexpr StepCommandHelp kHelp[] = {
    {"step [GRAIN] [N]", "forwards; GRAIN: instruction line over out stop entry fill evict flush fault syscall switch"},
    {"back [GRAIN] [N]", "the same backwards; without a GRAIN both go by instructions"},
    {"next, finish", "step over, step out"},
    {"continue [until EXPR]", "to the next breakpoint, or to where a condition is met (forkscope help conditions)"},
    {"reverse [until EXPR]", "the same backwards"},
    {"goto PLACE", "instructions (123456, 123456+2), a time (1.5s, 20ms), begin, end, or a bookmark"},
    {"mark [NAME]", "set a bookmark here, or list them"},
    {"break EXPR [ignore N]", "stop wherever the condition is met"},
    {"delete N|NAME, breaks", "remove a breakpoint or a bookmark; list breakpoints"},
    {"branches, branch N", "the ways that this run has taken where its past was changed; jump to one"},
    {"drop N", "forget a branch"},
    {"type TEXT", "type on the guest's keyboard; in the past this starts a branch"},
    {"set REGISTER VALUE", "or set ADDRESS VALUE (four bytes, linear); in the past this starts a branch"},
    {"where", "the place, the position, the process"},
    {"stack [N]", "the calls that lead here; N: look at row N from now on"},
    {"print EXPR", "a value in C: *current_process, table[3].pid, list(head, next)"},
    {"locals", "arguments and variables of the stack's row"},
    {"registers", "of the processor"},
    {"source [N]", "N lines of source around the place"},
    {"x ADDRESS [N], xp", "N bytes at a linear address; at a physical one"},
    {"pte ADDRESS", "the page walk of a linear address, and what the TLB holds for it"},
    {"why ADDRESS [in CR3]",
     "who wrote its entries and its byte, filled the TLB, took the frame; or one: entry directory "
     "tlb frame byte; go: to that moment"},
    {"tlb", "all that the TLB holds, and whether the tables agree"},
    {"forks", "follow the forks before this place of a recording, too: all up to here is done again"},
    {"fork [N]", "the report of fork N, of the one under way, or of the last"},
    {"screen", "the guest's text screen"},
    {"expect EXPR", "exit status 5 unless the condition holds here (state) or was met by the last move"},
    {"help, quit", ""},
};

// Of a command's rest: its first word, and what follows.
std::optional<u64> number_of(std::string_view word) {
    u64 value = 0;
    const auto read = std::from_chars(word.data(), word.data() + word.size(), value);
    return read.ec == std::errc{} && read.ptr == word.data() + word.size() ? std::optional(value) : std::nullopt;
}

} // namespace

std::span<const StepCommandHelp> step_command_help() { return kHelp; }

std::span<const StepCommands::Command> StepCommands::commands() {
    using C = StepCommands;
    static constexpr Command kCommands[] = {
        {"step", "s", &C::step},
        {"back", "b", &C::back},
        {"next", "n", &C::next},
        {"finish", "out", &C::finish},
        {"continue", "c", &C::go_on},
        {"reverse", "rc", &C::reverse},
        {"goto", "g", &C::go_to},
        {"mark", "m", &C::mark},
        {"break", "br", &C::set_break},
        {"delete", "d", &C::remove},
        {"breaks", "", &C::list_breaks, true},
        {"branches", "", &C::branches},
        {"branch", "", &C::branches},
        {"drop", "", &C::drop_branch},
        {"type", "", &C::type},
        {"set", "", &C::set},
        {"where", "w", &C::where, true},
        {"stack", "bt", &C::stack},
        {"print", "p", &C::print},
        {"locals", "", &C::locals, true},
        {"registers", "regs", &C::registers, true},
        {"source", "l", &C::source},
        {"x", "", &C::memory},
        {"xp", "", &C::physical},
        {"pte", "", &C::entry},
        {"why", "y", &C::why},
        {"tlb", "", &C::tlb, true},
        {"forks", "", &C::follow_forks, true},
        {"fork", "f", &C::fork},
        {"screen", "", &C::screen, true},
        {"expect", "", &C::expect},
        {"help", "h", &C::help},
        {"quit", "q", &C::quit, true},
    };
    return kCommands;
}

const StepCommands::Command* StepCommands::command_named(std::string_view word) {
    for (const Command& one : commands())
        if (one.name == word || (!one.short_name.empty() && one.short_name == word))
            return &one;
    return nullptr;
}

bool StepCommands::knows(std::string_view line) { return command_named(first_word(line).first) != nullptr; }

StepAnswer StepCommands::execute(std::string_view line) {
    line = trimmed(line);
    if (line.empty())
        line = last_move_;
    const auto [word, rest] = first_word(line);
    const Command* const at = command_named(word);
    if (line.empty() || at == nullptr) {
        std::vector<std::string> names;
        for (const Command& one : commands())
            names.emplace_back(one.name);
        const std::string guess = line.empty() ? "" : nearest(std::string(word), names);
        return wrong(line.empty() ? "there is nothing to repeat; 'help' lists the commands"
                                  : fmt::format("there is no command '{}'{}; 'help' lists them", word,
                                                guess.empty() ? "" : fmt::format("; did you mean '{}'?", guess)));
    }
    if (at->alone && !rest.empty())
        return wrong(fmt::format("'{}' stands alone: '{}' is not understood", at->name, rest));
    const std::string command(line);
    StepAnswer answer = (this->*at->handler)(rest);
    if (answer.moved) {
        last_move_ = command;
        row_ = 0;
    }
    Object data;
    data.text("command", command).flag("ok", answer.code == ExitCode::Ok);
    if (answer.code != ExitCode::Ok)
        data.text("error", answer.text);
    for (const Object::Member& member : answer.data.members())
        data.add(member.key, member.cell);
    answer.data = std::move(data);
    return answer;
}

// --- Moves

void StepCommands::add_position(Object& data) const {
    const Position position = stepper_.timeline().position();
    Object where;
    where.count("instructions", position.instructions).number("deliveries", position.deliveries);
    where.count("cycle", position.cycle).text("place", session().place());
    where.flag("in_past", stepper_.timeline().in_past()).number("branch", stepper_.timeline().present().id);
    data.object("position", std::move(where));
}

StepAnswer StepCommands::arrived(const Result<Arrival>& arrival) {
    if (!arrival.ok())
        return wrong(arrival.error().message, arrival.error().code);
    StepAnswer answer;
    answer.moved = true;
    constexpr std::string_view kEnds[] = {"done", "met", "beginning", "present", "guest_ended", "limit", "interrupted"};
    answer.data.text("end", std::string(kEnds[static_cast<std::size_t>(arrival->end)])).text("why", arrival->why);
    add_position(answer.data);
    answer.text = (arrival->why.empty() ? "" : arrival->why + "\n") + where_text();
    return answer;
}

StepAnswer StepCommands::move(std::string_view rest, Way way) {
    std::optional<Grain> grain;
    std::optional<u64> times;
    for (auto [word, more] = first_word(rest); !word.empty(); std::tie(word, more) = first_word(more)) {
        const auto names = grain_names();
        const auto at =
            std::find_if(names.begin(), names.end(), [word = word](const GrainName& one) { return one.name == word; });
        const auto number = number_of(word);
        if ((at != names.end() && grain) || (number && times))
            return wrong(fmt::format("'{}' is one word too many: one grain, and one number", word));
        if (at != names.end())
            grain = at->grain;
        else if (number && *number != 0)
            times = *number;
        else
            return wrong(fmt::format("'{}' is neither a number from 1 on nor a grain: instruction, line, over, out, "
                                     "stop, entry, fill, evict, flush, fault, syscall or switch",
                                     word));
    }
    return arrived(stepper_.move(grain.value_or(Grain::Instruction), way, times.value_or(1)));
}

StepAnswer StepCommands::travel(std::string_view rest, Way way) {
    const auto [word, condition] = first_word(rest);
    if (word.empty())
        return arrived(stepper_.go_on(way));
    if (word != "until" || condition.empty())
        return wrong("continue and reverse take 'until EXPR', or nothing");
    return arrived(stepper_.run_until(std::string(condition), way));
}

StepAnswer StepCommands::step(std::string_view rest) { return move(rest, Way::Forwards); }
StepAnswer StepCommands::back(std::string_view rest) { return move(rest, Way::Backwards); }
StepAnswer StepCommands::next(std::string_view rest) { return move(fmt::format("over {}", rest), Way::Forwards); }
StepAnswer StepCommands::finish(std::string_view rest) { return move(fmt::format("out {}", rest), Way::Forwards); }
StepAnswer StepCommands::go_on(std::string_view rest) { return travel(rest, Way::Forwards); }
StepAnswer StepCommands::reverse(std::string_view rest) { return travel(rest, Way::Backwards); }
StepAnswer StepCommands::go_to(std::string_view rest) { return arrived(stepper_.go_to(rest)); }

StepAnswer StepCommands::mark(std::string_view rest) {
    StepAnswer answer;
    if (!rest.empty()) {
        if (number_of(rest.substr(0, 1)) || rest.find_first_of(" +") != std::string_view::npos || rest == "begin" ||
            rest == "end")
            return wrong("a bookmark's name is a word that begins with a letter, and neither begin nor end");
        stepper_.set_bookmark(std::string(rest));
        answer.text = fmt::format("marked {}", rest);
        return answer;
    }
    Rows rows;
    for (const auto& [name, mark] : stepper_.bookmarks()) {
        rows.emplace_back()
            .text("name", name)
            .number("branch", mark.branch)
            .count("instructions", mark.position.instructions);
        answer.text += fmt::format("{}{:<16} instruction {}, branch {}", answer.text.empty() ? "" : "\n", name,
                                   mark.position.instructions, mark.branch);
    }
    answer.data.rows("bookmarks", std::move(rows));
    if (answer.text.empty())
        answer.text = "no bookmarks; 'mark NAME' sets one";
    return answer;
}

// --- Breakpoints

StepAnswer StepCommands::set_break(std::string_view rest) {
    if (rest.empty())
        return list_breaks(rest);
    u64 ignore = 0;
    if (const std::size_t at = rest.rfind(" ignore "); at != std::string_view::npos) {
        const auto number = number_of(trimmed(rest.substr(at + 8)));
        if (!number)
            return wrong("'ignore' takes a number");
        ignore = *number;
        rest = trimmed(rest.substr(0, at));
    }
    const auto number = stepper_.add_breakpoint(std::string(rest), ignore);
    if (!number.ok())
        return wrong(number.error().message, number.error().code);
    StepAnswer answer;
    answer.data.number("breakpoint", *number);
    answer.text = fmt::format("breakpoint {}: {}", *number, rest);
    return answer;
}

// The names of bookmarks begin with a letter.
StepAnswer StepCommands::remove(std::string_view rest) {
    const auto number = number_of(rest);
    const bool removed = number ? *number <= ~u32{0} && stepper_.remove_breakpoint(static_cast<u32>(*number))
                                : stepper_.remove_bookmark(std::string(rest));
    if (!removed)
        return wrong(fmt::format("there is no breakpoint or bookmark '{}'; 'breaks' and 'mark' list them", rest));
    StepAnswer answer;
    answer.text = fmt::format("{} {} is gone", number ? "breakpoint" : "bookmark", rest);
    return answer;
}

StepAnswer StepCommands::list_breaks(std::string_view) {
    StepAnswer answer;
    Rows rows;
    for (const StepBreakpoint& one : stepper_.breakpoints()) {
        rows.emplace_back()
            .number("number", one.number)
            .text("condition", one.condition)
            .count("ignore", one.ignore)
            .count("met", stepper_.times_met(one));
        answer.text +=
            fmt::format("{}{:>3}  {}  (met {} times{})", answer.text.empty() ? "" : "\n", one.number, one.condition,
                        stepper_.times_met(one), one.ignore != 0 ? fmt::format(", {} ignored", one.ignore) : "");
    }
    answer.data.rows("breakpoints", std::move(rows));
    if (answer.text.empty())
        answer.text = "no breakpoints; 'break EXPR' sets one";
    return answer;
}

// --- Branches and changes

StepAnswer StepCommands::branches(std::string_view rest) {
    Timeline& timeline = stepper_.timeline();
    if (!rest.empty()) {
        const auto number = number_of(rest);
        const auto found = number && *number <= ~u32{0} ? timeline.branches().find(static_cast<u32>(*number))
                                                        : timeline.branches().end();
        if (found == timeline.branches().end())
            return wrong(fmt::format("there is no branch '{}'; 'branches' lists them", rest));
        const Position end = found->first == timeline.present().id ? timeline.end() : found->second.end;
        if (auto gone = timeline.switch_to(found->first, end); !gone.ok())
            return wrong(gone.error().message, gone.error().code);
        return arrived(Arrival{});
    }
    StepAnswer answer;
    Rows rows;
    for (const auto& [id, branch] : timeline.branches()) {
        const bool present = id == timeline.present().id;
        const Position end = present ? timeline.end() : branch.end;
        rows.emplace_back()
            .number("number", id)
            .number("parent", branch.parent)
            .count("from", branch.from.instructions)
            .count("end", end.instructions)
            .flag("present", present);
        answer.text += fmt::format("{}{} branch {}: {} to {}{}", answer.text.empty() ? "" : "\n", present ? "*" : " ",
                                   id, branch.from.instructions, end.instructions,
                                   branch.parent != 0 ? fmt::format(", from branch {}", branch.parent) : "");
    }
    answer.data.rows("branches", std::move(rows));
    return answer;
}

StepAnswer StepCommands::drop_branch(std::string_view rest) {
    const auto number = number_of(rest);
    const auto dropped = stepper_.timeline().drop(number && *number <= ~u32{0} ? static_cast<u32>(*number) : 0);
    StepAnswer answer;
    answer.text = fmt::format("branch {} is forgotten", rest);
    return dropped.ok() ? answer : wrong(dropped.error().message, dropped.error().code);
}

StepAnswer StepCommands::type(std::string_view rest) {
    if (rest.empty())
        return wrong("type what? type TEXT; \\n is Enter");
    const u32 before = stepper_.timeline().present().id;
    if (auto typed = session().type(unescape(std::string(rest))); !typed.ok())
        return wrong(typed.error().message, typed.error().code);
    StepAnswer answer;
    const u32 now = stepper_.timeline().present().id;
    answer.text = now != before ? fmt::format("this is branch {} now; branch {} keeps what was", now, before) : "typed";
    return answer;
}

StepAnswer StepCommands::set(std::string_view rest) {
    const auto [what, value_text] = first_word(rest);
    const auto value = given(value_text);
    if (!value.ok())
        return wrong("set REGISTER VALUE, or set ADDRESS VALUE; the value is a number of 32 bits, a symbol, or a sum "
                     "such as esp+4");
    const auto event = poke_event(std::string(what), *value, session());
    if (!event.ok())
        return wrong(event.error().message, event.error().code);
    const u32 before = stepper_.timeline().present().id;
    session().inject(*event);
    StepAnswer answer;
    const u32 now = stepper_.timeline().present().id;
    answer.text =
        fmt::format("{} = {:#x}{}", what, *value,
                    now != before ? fmt::format("; this is branch {} now, branch {} keeps what was", now, before) : "");
    return answer;
}

StepAnswer StepCommands::help(std::string_view) {
    StepAnswer answer;
    for (const StepCommandHelp& one : kHelp)
        answer.text += fmt::format("{}{:<24} {}", answer.text.empty() ? "" : "\n", one.words, one.text);
    return answer;
}

StepAnswer StepCommands::quit(std::string_view) {
    StepAnswer answer;
    answer.quit = true;
    return answer;
}

} // namespace forkscope
