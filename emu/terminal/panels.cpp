#include "emu/terminal/panels.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "emu/base/text/words.hpp"
#include "emu/report/report_text.hpp"

namespace forkscope::terminal {

namespace {

PanelText source_text(const SourceView& source) {
    PanelText text;
    text.note = base_name(source.file);
    if (source.line == 0)
        text.lines.emplace_back("no source line is known here: Tab leads to the code", Style::Dim);
    else if (source.lines.empty())
        text.lines.emplace_back(fmt::format("{} is not here; give its folder with --source DIR", source.file),
                                Style::Dim);
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
        const u32 number = source.first + static_cast<u32>(i);
        const bool current = number == source.line;
        if (current)
            text.current = i;
        const Style style = current ? Style::Current : Style::Plain;
        text.lines.push_back(Line(fmt::format("{}{:>4} ", current ? ">" : " ", number), current ? style : Style::Dim)
                                 .add(source.lines[i], style));
        text.about(source.subject(i));
    }
    return text;
}

PanelText code_text(const CodeView& code) {
    PanelText text;
    text.note = code.place;
    for (const CodeLine& line : code.lines) {
        switch (line.kind) {
        case CodeLine::Kind::Symbol:
            text.lines.emplace_back(line.text, Style::Title);
            break;
        case CodeLine::Kind::Source:
            text.lines.push_back(Line(line.note + "  ", Style::Dim).add(line.text, Style::Accent));
            break;
        case CodeLine::Kind::Instruction: {
            if (line.current)
                text.current = text.lines.size();
            const Style style = line.current ? Style::Current : Style::Plain;
            Line shown(fmt::format("{}{:08x} ", line.current ? ">" : " ", line.address),
                       line.current ? style : Style::Dim);
            shown.add(line.text, style);
            if (!line.note.empty())
                shown.add("  " + line.note, line.current ? style : Style::Good);
            text.lines.push_back(std::move(shown));
        }
        }
        text.about(line.subject);
    }
    if (!text.current && code.current < text.lines.size())
        text.current = code.current;
    return text;
}

std::string flag_names(u32 eflags) {
    constexpr std::pair<u32, std::string_view> kFlags[] = {{0, "CF"},  {2, "PF"},  {4, "AF"},  {6, "ZF"},
                                                           {7, "SF"},  {8, "TF"},  {9, "IF"},  {10, "DF"},
                                                           {11, "OF"}, {14, "NT"}, {17, "VM"}, {18, "AC"}};
    std::string names;
    for (const auto& [bit, name] : kFlags)
        if ((eflags >> bit & 1) != 0)
            names += (names.empty() ? "" : " ") + std::string(name);
    return names;
}

PanelText registers_text(const RegistersView& view) {
    PanelText text;
    text.note = fmt::format("ring {}{}", view.now.cpl, view.halted ? ", halted" : "");
    const auto style = [&](u32 now, u32 before) {
        return view.compare && now != before ? Style::Changed : Style::Plain;
    };
    const auto add = [&](Line& line, std::string_view name, u32 now, u32 before) {
        line.add(fmt::format("{:<7}", name), Style::Dim).add(fmt::format("{:08x}  ", now), style(now, before));
    };
    constexpr std::pair<u8, std::string_view> kNames[] = {{0, "eax"}, {3, "ebx"}, {1, "ecx"}, {2, "edx"},
                                                          {6, "esi"}, {7, "edi"}, {5, "ebp"}, {4, "esp"}};
    for (std::size_t i = 0; i < std::size(kNames); i += 2) {
        Line line;
        for (const auto& [number, name] : {kNames[i], kNames[i + 1]})
            add(line, name, view.now.reg<u32>(number), view.before.reg<u32>(number));
        text.lines.push_back(std::move(line));
        text.about(RegisterSubject{std::string(kNames[i].second), view.now.reg<u32>(kNames[i].first)});
    }
    Line place, control, tables, segments;
    add(place, "eip", view.now.eip, view.before.eip);
    add(place, "eflags", view.now.eflags(), view.before.eflags());
    add(control, "cr0", view.now.cr0, view.before.cr0);
    add(control, "cr2", view.now.cr2, view.before.cr2);
    add(tables, "cr3", view.now.cr3, view.before.cr3);
    add(tables, "cr4", view.now.cr4, view.before.cr4);
    constexpr std::string_view kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    for (const u8 number : {kCs, kSs, kDs}) {
        const u32 now = view.now.segments[number].selector;
        segments.add(fmt::format("{} ", kSegments[number]), Style::Dim)
            .add(fmt::format("{:04x}  ", now), style(now, view.before.segments[number].selector));
    }
    for (Line* line : {&place, &control, &tables, &segments})
        text.lines.push_back(std::move(*line));
    text.lines.emplace_back(flag_names(view.now.eflags()), Style::Dim);
    for (const StackWord& word : view.stack) {
        text.lines.push_back(Line(fmt::format("{:08x}  ", word.address), Style::Dim)
                                 .add(fmt::format("{:08x}  ", word.value))
                                 .add(word.name, Style::Good));
        text.about(view.subject(word));
    }
    return text;
}

PanelText stack_text(const StackView& stack) {
    PanelText text;
    const auto rows = [&](const std::vector<StackView::Row>& all, Style style) {
        for (const StackView::Row& row : all) {
            text.lines.emplace_back(row.text, style);
            text.about(row.subject);
        }
    };
    rows(stack.rows, Style::Plain);
    if (!stack.end.empty())
        text.lines.emplace_back("no more: " + stack.end, Style::Dim);
    if (!stack.variables.empty())
        text.lines.emplace_back(fmt::format("arguments and variables of row {}", stack.chosen), Style::Dim);
    rows(stack.variables, Style::Plain);
    if (!stack.printed.empty())
        text.lines.emplace_back("values asked for", Style::Dim);
    rows(stack.printed, Style::Accent);
    return text;
}

PanelText forks_text(const ForksView& forks) {
    PanelText text;
    text.note = forks.count == 0 ? "none yet" : fmt::format("{} so far", grouped(forks.count));
    const StopsView& shown = forks.shown;
    if (shown.fork != 0) {
        text.lines.emplace_back(fmt::format("{:<22} {:>8} {:>5} {:>6}", fmt::format("stops of fork {}", shown.fork),
                                            "cycles", "ptes", "frames"),
                                Style::Dim);
        if (shown.stops.empty())
            text.lines.emplace_back("the guest does not state its stops", Style::Dim);
        for (std::size_t i = 0; i < shown.stops.size(); ++i) {
            const ForkStop& stop = shown.stops[i];
            const bool running = i + 1 == shown.stops.size() && !shown.left;
            const ForkStopName name = fork_stop_name(stop.id);
            if (running)
                text.current = text.lines.size();
            text.lines.emplace_back(fmt::format("{}{:>2} {:<18} {:>8} {:>5} {:>6}", running ? ">" : " ", name.number,
                                                shortened(std::string(name.name), 18), grouped(stop.spent.cycles),
                                                grouped(stop.counts.pte_writes), grouped(stop.counts.frames_allocated)),
                                    running ? Style::Current : Style::Plain);
            text.about(forks.shown.subject(i));
        }
    }
    for (const ForkRow& fork : forks.rows) {
        text.lines.push_back(
            Line(fmt::format("{:>3}  {} → {}  ", fork.number, fork.parent, fork.child))
                .add(fork.in_progress ? "runs" : fmt::format("{} copy-on-write faults", grouped(fork.cow_faults)),
                     fork.in_progress ? Style::Changed : Style::Dim)
                .add(fork.finding.empty() ? "" : "  " + fork.finding, Style::Bad));
        text.about(fork.subject());
    }
    return text;
}

std::string_view state_word(PageState state) {
    constexpr std::array<std::string_view, kPageStates> kWords = {"-",      "private", "shared", "shared rw",
                                                                  "kernel", "window",  "kernel"};
    return kWords[static_cast<std::size_t>(state)];
}

PanelText tables_text(const TablesView& tables) {
    PanelText text;
    text.note = tables.note;
    if (tables.ranges.empty() && tables.writes.empty())
        text.lines.emplace_back(tables.sides[0].title, Style::Dim);
    else
        text.lines.emplace_back(
            fmt::format("{:<18}{:<10}{:<16}{}", "range", "", tables.sides[0].title, tables.sides[1].title), Style::Dim);
    const auto side = [](const RangeRow& row, std::size_t number) {
        return row.flags[number] == 0
                   ? std::string("-")
                   : fmt::format("{} {}", rights_text(row.flags[number]), state_word(row.states[number]));
    };
    for (const RangeRow& row : tables.ranges) {
        text.lines.push_back(
            Line(fmt::format("{:08x} {:>7}  ", row.start, fmt::format("{}p", (row.end - row.start) / kPageSize)))
                .add(fmt::format("{:<10}", row.name), Style::Dim)
                .add(fmt::format("{:<16}", side(row, 0)))
                .add(side(row, 1), row.same_frames ? Style::Plain : Style::Changed));
        text.about(row.subject());
    }
    if (!tables.writes.empty())
        text.lines.emplace_back("entries written, newest first", Style::Dim);
    else if (tables.trimmed)
        text.lines.emplace_back("entries written: list dropped to bound memory", Style::Dim);
    for (const WriteRow& row : tables.writes) {
        text.lines.push_back(
            Line(fmt::format("{:>2} {:<6} ", row.stop, fork_side_name(row.side)), Style::Dim)
                .add(fmt::format("{:08x} {:x} → {:x}  ", row.change.linear, row.change.old_value, row.change.new_value))
                .add(row.name, Style::Good));
        text.about(row.subject());
    }
    return text;
}

PanelText tlb_text(const TlbView& tlb, u32 space) {
    PanelText text;
    text.note = !tlb.paging ? "paging is off" : fmt::format("{} entries, {} stale", tlb.rows.size(), tlb.stale);
    text.lines.emplace_back("    set w linear   frame rwk GD  agrees?", Style::Dim);
    for (const TlbRow& row : tlb.rows) {
        const u64 entry = row.entry.entry;
        text.lines.push_back(
            Line(fmt::format("{:<3}{:>4} {} ", tlb_array_name(row.array), row.set, row.way), Style::Dim)
                .add(fmt::format("{:08x} {:05x} {} {}{}  ", row.entry.tag, (entry & kPteFrame) >> kPageShift,
                                 rights_text(static_cast<u32>(entry)), (entry & kPteGlobal) != 0 ? "G" : "·",
                                 (entry & kPteDirty) != 0 ? "D" : "·"),
                     row.agrees ? Style::Plain : Style::Bad)
                .add(row.verdict, row.agrees ? Style::Good : Style::Bad));
        text.about(TranslationSubject{row, space});
    }
    return text;
}

PanelText faults_text(const FaultsView& faults) {
    PanelText text;
    text.note = fmt::format("{}, newest first{}", grouped(faults.count), faults.trimmed ? "; older ones dropped" : "");
    text.lines.emplace_back("address  class        pid was   now  by", Style::Dim);
    const auto rights = [](const WalkView& walk) { return rights_text(walk.present ? kPtePresent | walk.rights : 0); };
    for (const FaultRow& row : faults.rows) {
        text.lines.push_back(
            Line(fmt::format("{:08x} {:<11} {:>4} {} → {}  ", row.record->address,
                             fault_class_name(row.record->fault_class), row.record->pid, rights(row.record->before),
                             rights(row.record->after)))
                .add(row.place.known() ? row.place.symbol : fmt::format("{:08x}", row.record->eip), Style::Good));
        text.about(row.subject());
    }
    if (faults.rows.empty())
        text.lines.emplace_back(faults.trimmed ? "list dropped to bound memory" : "none yet", Style::Dim);
    return text;
}

PanelText memory_text(const MemoryView& memory) {
    PanelText text;
    text.note = memory.place + "; ':show memory ADDRESS'";
    for (std::size_t i = 0; i < memory.rows.size(); ++i) {
        const MemoryRow& row = memory.rows[i];
        if (i == memory.chosen)
            text.current = i;
        text.lines.push_back(
            Line(fmt::format("{:08x} ", row.address), Style::Dim).add(row.bytes).add(row.letters, Style::Good));
        text.about(row.words[0]);
    }
    return text;
}

PanelText processes_text(const ProcessesView& processes) {
    PanelText text;
    text.note = fmt::format("{} address spaces", processes.rows.size());
    text.lines.emplace_back("   pid directory by fork  program", Style::Dim);
    for (const ProcessRow& row : processes.rows) {
        text.lines.push_back(Line(fmt::format("{}{:>5} {:08x} {:>8}  ", row.loaded ? ">" : " ",
                                              row.pid != 0 ? fmt::format("{}", row.pid) : "-", row.space,
                                              row.fork != 0 ? fmt::format("{}", row.fork) : "-"),
                                  row.followed ? Style::Changed : Style::Plain)
                                 .add(row.program, Style::Good)
                                 .add(row.followed ? "  followed" : "", Style::Changed));
        text.about(row.subject());
    }
    return text;
}

PanelText events_text(const EventsView& events) {
    PanelText text;
    text.note = "what happened last, newest first";
    for (const EventRow& row : events.rows) {
        text.lines.push_back(Line(fmt::format("{:>12} ", row.event.instructions), Style::Dim)
                                 .add(row.text + "  ")
                                 .add(row.place, Style::Good));
        text.about(row.subject());
    }
    if (events.rows.empty())
        text.lines.emplace_back("none are remembered here", Style::Dim);
    return text;
}

PanelText points_text(const PointsView& points) {
    PanelText text;
    text.note = "also bookmarks and branches";
    for (const BreakpointSubject& one : points.breakpoints) {
        text.lines.push_back(Line(fmt::format("{:>3}  {}  ", one.number, one.condition))
                                 .add(fmt::format("met {} times{}", one.met,
                                                  one.ignore != 0 ? fmt::format(", {} ignored", one.ignore) : ""),
                                      Style::Dim));
        text.about(one);
    }
    for (const BookmarkSubject& mark : points.bookmarks) {
        text.lines.emplace_back(fmt::format("  *  {}: instruction {}, branch {}", mark.name,
                                            grouped(mark.position.instructions), mark.branch),
                                Style::Accent);
        text.about(mark);
    }
    for (const BranchSubject& branch : points.branches) {
        text.lines.emplace_back(fmt::format("     branch {}: {} to {}{}", branch.id, grouped(branch.from),
                                            grouped(branch.end), branch.id == points.branch ? ", this one" : ""),
                                branch.id == points.branch ? Style::Good : Style::Dim);
        text.about(branch);
    }
    return text;
}

PanelText screen_text(const std::vector<std::string>& screen) {
    PanelText text;
    if (screen.empty())
        text.lines.emplace_back("the guest shows no text", Style::Dim);
    for (const std::string& row : screen)
        text.lines.emplace_back(row);
    return text;
}

} // namespace

PanelText panel_text(PanelId panel, const Scene& scene) {
    switch (panel) {
    case PanelId::Source:
        return source_text(scene.view.source);
    case PanelId::Code:
        return code_text(scene.view.code);
    case PanelId::Registers:
        return registers_text(scene.view.registers);
    case PanelId::Stack:
        return stack_text(scene.view.stack);
    case PanelId::Forks:
        return forks_text(scene.view.forks);
    case PanelId::Tables:
        return tables_text(scene.view.tables);
    case PanelId::Tlb:
        return tlb_text(scene.view.tlb, scene.view.space);
    case PanelId::Faults:
        return faults_text(scene.view.faults);
    case PanelId::Memory:
        return memory_text(scene.view.memory);
    case PanelId::Processes:
        return processes_text(scene.view.processes);
    case PanelId::Events:
        return events_text(scene.view.events);
    case PanelId::Points:
        return points_text(scene.view.points);
    case PanelId::Screen:
        return screen_text(scene.screen);
    case PanelId::Answers:
        break;
    }
    return {};
}

} // namespace forkscope::terminal
