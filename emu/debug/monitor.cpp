#include "emu/debug/monitor.hpp"

#include <cstdlib>

#include "emu/base/log.hpp"
#include "emu/observe/tables/walk_text.hpp"
#include "emu/report/fork_report.hpp"
#include "emu/report/stepper/register_report.hpp"
#include "emu/report/stepper/step_words.hpp"
#include "emu/report/stepper/why_report.hpp"
#include "emu/report/text_writer.hpp"
#include "emu/report/tlb_report.hpp"
#include "emu/trace/tracepoints.hpp"

namespace forkscope {

namespace {

struct Help {
    std::string_view words, text;
};
constexpr Help kHelp[] = {
    {"help", "this list"},
    {"pt [ADDRESS]", "the page-table walk of a linear address, or all ranges of the selected thread's space"},
    {"tlb", "the processor's TLB, each entry with who filled it and whether the tables still agree"},
    {"why ADDRESS [PART]", "who wrote its entries and its byte, filled the TLB, took the frame, and when; PART: one of "
                           "entry, directory, tlb, frame, byte"},
    {"fork [N]", "the report of a fork: the one under way, the last one, or number N"},
    {"when", "where the run is: instructions, cycles, simulated time, place"},
    {"stop [EXPR]", "stop the next `continue` there too; EXPR as for --until, or N for stop:N"},
    {"step-stop", "stop the next `continue` at the next stop of a fork"},
    {"branch [on]", "the branches of this run; on: the next write in the past starts one"},
    {"info registers|tlb|pt", "all registers on one page; the others as above"},
};

constexpr const char* kTooMany = "too many are armed: continue, or connect anew\n";

std::string ranges_text(const PageTableView& view) {
    std::string text;
    for (const PageRange& range : view.ranges()) {
        text += fmt::format("{:08x}-{:08x} {:>7} pages  {}  ", range.start, range.end - 1, range.pages(),
                            rights_text(range.flags));
        text += range.scattered ? "scattered frames" : fmt::format("frames from {:08x}", range.physical);
        text += range.large ? ", large\n" : "\n";
    }
    return text.empty() ? "nothing is mapped\n" : text;
}

} // namespace

std::string Monitor::help() {
    std::string text;
    for (const Help& help : kHelp)
        text += fmt::format("{:<22} {}\n", help.words, help.text);
    return text;
}

std::string Monitor::answer(std::string_view line, const GuestThread& thread) {
    const std::size_t blank = line.find(' ');
    const std::string_view word = line.substr(0, blank);
    const std::size_t begin = blank == std::string_view::npos ? line.size() : line.find_first_not_of(' ', blank);
    const std::string words(begin == std::string_view::npos ? "" : line.substr(begin));
    if (word == "pt")
        return page_tables(words, thread);
    if (word == "tlb")
        return tlb();
    if (word == "why")
        return why(words, thread);
    if (word == "fork")
        return fork(words);
    if (word == "when")
        return when();
    if (word == "stop")
        return stop_at(words);
    if (word == "step-stop")
        return next_stop();
    if (word == "branch")
        return branch(words);
    if (word == "info")
        return info(words, thread);
    return word.empty() || word == "help" ? help() : fmt::format("no command '{}'; there are\n{}", word, help());
}

std::string Monitor::page_tables(const std::string& words, const GuestThread& thread) const {
    const PagingState& paging = target_.machine().mmu().paging();
    if (!paging.control().paging())
        return "paging is off: linear addresses are physical ones\n";
    const AddressSpace space = target_.space_of(thread);
    if (words.empty())
        return ranges_text(PageTableView::read(paging.memory(), space, {.control = paging.control()}));
    const auto address = address_of(words, target_.session().symbols(), space.root);
    if (!address)
        return fmt::format("pt '{}': neither a 32-bit address nor a symbol\n", words);
    return fmt::format("{:08x}\n{}\n", *address,
                       walk_text(AddressSpaceReader(paging).walk(space, LinearAddress(*address))));
}

std::string Monitor::tlb() const {
    const u32 space = target_.machine().mmu().control().space_of(target_.machine().registers().cr3).root;
    const auto name = [&](u32 address) { return target_.session().symbols().lookup(space, address).text(); };
    return document_text(tlb_document(tlb_view(target_.machine().mmu()), name));
}

std::string Monitor::why(const std::string& words, const GuestThread& thread) {
    const AddressSpace space = target_.space_of(thread);
    const auto address = [&](std::string_view word) -> Result<u32> {
        if (const auto named = address_of(word, target_.session().symbols(), space.root))
            return *named;
        return Error{fmt::format("'{}' is neither an address nor a symbol", word), ExitCode::Usage};
    };
    const auto request = read_why(words, address, space);
    if (!request.ok())
        return request.error().message + "\n";
    if (request->go)
        return "the debugger moves the machine: reverse-continue to a watchpoint of it\n";
    const auto reasons = why_.explain(request->address, request->space, request->part);
    static_cast<void>(target_.take_hit()); // of what was run again
    return reasons.ok() ? why_text(*reasons) + "\n" : reasons.error().message + "\n";
}

std::string Monitor::fork(const std::string& words) const {
    const ForkTracer* tracer = target_.session().tracer();
    if (tracer == nullptr || (tracer->last() == nullptr && tracer->current() == nullptr))
        return "there was no fork yet\n";
    const ForkReportOptions options{.symbols = &target_.session().symbols()};
    if (words.empty() && tracer->current() != nullptr)
        return document_text(fork_document(*tracer->so_far(), options));
    const ForkRecord* fork = words.empty() ? tracer->last() : tracer->fork(std::strtoull(words.c_str(), nullptr, 10));
    return fork != nullptr ? document_text(fork_document(*fork, options))
                           : fmt::format("there is no fork '{}'\n", words);
}

std::string Monitor::when() const {
    const Machine& machine = target_.machine();
    const double seconds = static_cast<double>(machine.now()) / static_cast<double>(machine.cycles_per_second());
    std::string text =
        fmt::format("instruction {}, cycle {}, {:.6f} s of simulated time\nat {}\n{}\n", machine.instructions(),
                    machine.now(), seconds, target_.session().place(), target_.describe(target_.threads().current()));
    if (const Timeline* const timeline = target_.session().timeline(); timeline != nullptr)
        text += fmt::format("the past goes from instruction {} to {}{}\n", timeline->beginning().instructions,
                            timeline->end().instructions, timeline->in_past() ? "; this is in it" : "");
    return text;
}

std::string Monitor::stop_at(const std::string& words) {
    if (words.empty())
        return "stop EXPR: a condition, as --until takes them (docs/conditions.md); N alone is a stop of fork\n";
    const bool number = fork_stop_numbered(words) != nullptr;
    auto condition = compile_condition(number ? "stop:" + words : words, target_.session().symbols());
    if (!condition.ok())
        return condition.error().message + "\n";
    const std::string note = condition->note();
    if (!arm(std::move(condition).value(), {.asked_as = "stop " + words}))
        return kTooMany;
    return (note.empty() ? "" : note + "\n") + "armed: continue to run there\n";
}

bool Monitor::arm(Condition condition, ConditionUse use) {
    constexpr std::size_t kMost = 32;
    StopConditions& stops = target_.session().stops();
    std::erase_if(armed_, [&stops](u32 number) { return !stops.waits_for(number); });
    if (armed_.size() >= kMost)
        return false;
    armed_.push_back(stops.add(std::move(condition), std::move(use)));
    return true;
}

void Monitor::disarm() {
    for (const u32 number : armed_)
        target_.session().stops().remove(number);
    armed_.clear();
}

std::string Monitor::next_stop() {
    auto condition = compile_condition("stop", target_.session().symbols());
    EMU_ASSERT(condition.ok(), "a word of conditions is refused");
    if (!arm(std::move(condition).value(), {}))
        return kTooMany;
    return "armed: continue to run to the next stop of a fork\n";
}

std::string Monitor::branch(const std::string& words) {
    const Timeline* const timeline = target_.session().timeline();
    if (timeline == nullptr)
        return "no past is kept\n";
    if (words == "on") {
        target_.allow_branch();
        return "the next write of memory or a register starts a branch; the future that was is kept\n";
    }
    std::string text;
    for (const auto& [id, one] : timeline->branches())
        text += fmt::format("{} {}  from instruction {} to {}{}\n", id == timeline->present().id ? "*" : " ", id,
                            one.from.instructions, one.end.instructions,
                            one.parent == 0 ? "" : fmt::format(", off branch {}", one.parent));
    return text;
}

std::string Monitor::info(const std::string& words, const GuestThread& thread) {
    if (words == "registers")
        return registers_text(target_.machine()) + "\n";
    if (words == "tlb")
        return tlb();
    if (words == "pt" || words == "mem")
        return page_tables("", thread);
    return fmt::format("info '{}': choose registers, tlb or pt\n", words);
}

} // namespace forkscope
