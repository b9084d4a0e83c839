// Who forked whom.
#include <algorithm>
#include <map>

#include "emu/report/fork_report.hpp"
#include "emu/report/report_text.hpp"

namespace forkscope {

namespace {

using Children = std::map<u64, std::vector<const ForkRecord*>>; // by the number of the fork that made their parent

void add_branch(const Children& children, const ForkRecord& fork, const std::string& indent, bool last, u64 highlight,
                Rows& rows) {
    const std::string child = fork.failed           ? std::string("(failed)")
                              : fork.child_pid != 0 ? fmt::format("pid {}", fork.child_pid)
                                                    : fmt::format("directory {:#010x}", fork.child_directory);
    rows.emplace_back().text("line", fmt::format("{}{} {}  fork {}, {} own cycles, {} copy-on-write faults{}{}", indent,
                                                 last ? "`-" : "|-", child, fork.number, grouped(fork.spent.cycles),
                                                 fork.cow_faults(), fork.trimmed ? ", lists dropped" : "",
                                                 fork.number == highlight ? "   <- this one" : ""));
    const auto below = children.find(fork.number);
    if (below == children.end() || indent.size() > 60)
        return;
    for (const ForkRecord* one : below->second)
        add_branch(children, *one, indent + (last ? "   " : "|  "), one == below->second.back(), highlight, rows);
}

} // namespace

std::string process_text(u32 pid, u32 directory, const std::string& program) {
    std::string text = pid != 0 ? fmt::format("pid {}", pid) : std::string("a process");
    if (!program.empty())
        text += " (" + program + ")";
    return text + fmt::format(", directory {:#010x}", directory);
}

const ForkRecord* first_whole(const std::vector<const ForkRecord*>& forks) {
    const auto whole = std::find_if(forks.begin(), forks.end(), [](const ForkRecord* fork) { return !fork->trimmed; });
    return whole != forks.end() ? *whole : forks.empty() ? nullptr : forks.front();
}

Document fork_tree_document(const ForkStore& forks, u64 highlight) {
    Children children;
    std::map<std::pair<u32, u32>, std::vector<const ForkRecord*>> roots;
    std::map<u64, bool> known;
    for (const ForkRecord& fork : forks)
        known[fork.number] = true;
    for (const ForkRecord& fork : forks) {
        if (fork.made_parent != 0 && known.count(fork.made_parent) != 0 && fork.made_parent < fork.number)
            children[fork.made_parent].push_back(&fork);
        else
            roots[{fork.parent_pid, fork.parent_pid != 0 ? 0 : fork.parent_directory}].push_back(&fork);
    }
    Rows rows;
    for (const auto& [parent, below] : roots) {
        const ForkRecord& first = *below.front();
        rows.emplace_back().text("line", process_text(first.parent_pid, first.parent_directory, first.parent_program));
        for (const ForkRecord* fork : below)
            add_branch(children, *fork, "", fork == below.back(), highlight, rows);
    }
    Document document;
    document.shown.rows("tree", std::move(rows));
    document.section("").blocks.push_back(Table{.rows = "tree", .columns = {{.key = "line"}}, .indent = ""});
    return document;
}

} // namespace forkscope
