#include "emu/view/choices.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "emu/base/text/words.hpp"
#include "emu/session/conditions/given_address.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kMostPrinted = 20;

constexpr ChoiceHelp kHelp[] = {
    {"show memory ADDRESS [in PID|CR3]", "memory at a linear address, in this space or another"},
    {"show physical ADDRESS", "memory at a physical address"},
    {"show code [ADDRESS]", "the code there; alone: what runs next, again"},
    {"show tracepoints on|off", "the guest's tracepoint instructions in the code"},
    {"show process [PID|CR3]", "follow one: its tables and memory, whoever runs; alone: the one that runs"},
    {"show spaces A B", "the page tables of two processes or spaces, each a PID or a CR3"},
    {"show then", "keep this space's tables as they are here, and compare them with those of later or earlier"},
    {"show fork", "both sides of the newest fork again"},
    {"show stack N", "the variables of the stack's row N"},
    {"show print [EXPR]", "a value in C beside the variables, at each stop; alone: none any more"},
};

class Chooser {
  public:
    Chooser(Choices& choices, Session& session) : choices_(choices), session_(session) {}

    Result<std::string> take(std::string_view words) {
        const auto [what, rest] = first_word(words);
        for (const auto& [name, handler] : kHandlers)
            if (name == what)
                return (this->*handler)(rest);
        std::string all;
        for (const auto& [name, handler] : kHandlers)
            all += (all.empty() ? "" : ", ") + std::string(name);
        return wrong(fmt::format("'show {}': choose one of {}", what, all));
    }

  private:
    using Handler = Result<std::string> (Chooser::*)(std::string_view);
    static const std::pair<std::string_view, Handler> kHandlers[10];

    static Error wrong(std::string message) { return Error{std::move(message), ExitCode::Usage}; }

    u32 loaded() const {
        const Machine& machine = session_.machine();
        return machine.mmu().control().space_of(machine.registers().cr3).root;
    }
    Result<u32> address(std::string_view word) const {
        const u32 space = choices_.followed ? choices_.followed->now(session_.tracer()) : loaded();
        return given_address(word, session_.machine(), session_.symbols(), space);
    }
    // Small numbers are pids: no directory lies in the first page.
    Result<Choices::Space> space(std::string_view word) const {
        const ForkTracer* tracer = session_.tracer();
        const auto number = address_of(word, session_.symbols(), 0);
        if (number && *number >= kPageSize)
            return Choices::Space{tracer != nullptr ? tracer->context().pid_of(*number & ~kPageMask) : 0,
                                  *number & ~kPageMask};
        const u32 root = number ? Choices::Space{*number, 0}.now(tracer) : 0;
        if (root == 0)
            return wrong(fmt::format("'{}' is neither a process that is known here nor a CR3", word));
        return Choices::Space{*number, root};
    }
    static std::string name(const Choices::Space& space) {
        return space.pid != 0 ? fmt::format("pid {}", space.pid) : fmt::format("space {:08x}", space.root);
    }

    Result<std::string> memory(std::string_view rest) {
        const auto [where, more] = first_word(rest);
        const auto [in, which] = first_word(more);
        const auto at = address(where);
        if (!at.ok())
            return at.error();
        Choices::Memory memory{*at, false, std::nullopt};
        if (in == "in") {
            const auto chosen = space(which);
            if (!chosen.ok())
                return chosen.error();
            memory.space = *chosen;
        } else if (!in.empty()) {
            return wrong("show memory ADDRESS [in PID|CR3]");
        }
        choices_.memory = memory;
        return fmt::format("memory at {:08x}{}", *at, memory.space ? " in " + name(*memory.space) : "");
    }
    Result<std::string> physical(std::string_view rest) {
        const auto at = address(rest);
        if (!at.ok())
            return at.error();
        choices_.memory = Choices::Memory{*at, true, std::nullopt};
        return fmt::format("physical memory at {:08x}", *at);
    }
    Result<std::string> code(std::string_view rest) {
        if (rest.empty()) {
            choices_.code.reset();
            return std::string("the code that runs next");
        }
        const auto at = address(rest);
        if (!at.ok())
            return at.error();
        choices_.code = *at;
        return fmt::format("the code at {:08x}", *at);
    }
    Result<std::string> tracepoints(std::string_view rest) {
        if (rest != "on" && rest != "off")
            return wrong("show tracepoints on, or off");
        choices_.tracepoints = rest == "on";
        return fmt::format("tracepoint instructions are {}", choices_.tracepoints ? "listed" : "left out");
    }
    Result<std::string> process(std::string_view rest) {
        if (rest.empty()) {
            choices_.followed.reset();
            return std::string("whichever process runs");
        }
        const auto chosen = space(rest);
        if (!chosen.ok())
            return chosen.error();
        choices_.followed = *chosen;
        choices_.spaces.reset();
        choices_.then.reset();
        return "follows " + name(*chosen);
    }
    Result<std::string> spaces(std::string_view rest) {
        const auto [first, second] = first_word(rest);
        const auto a = space(first);
        const auto b = space(second);
        if (!a.ok() || !b.ok())
            return a.ok() ? b.error() : a.error();
        choices_.spaces = std::pair{*a, *b};
        choices_.then.reset();
        return fmt::format("the tables of {} and {}", name(*a), name(*b));
    }
    Result<std::string> then(std::string_view) {
        const Machine& machine = session_.machine();
        if (!machine.mmu().control().paging())
            return Error{"paging is off: there are no tables to keep"};
        auto kept = std::make_shared<ThenSpace>();
        kept->at = machine.position();
        kept->space = choices_.followed ? choices_.followed->now(session_.tracer()) : loaded();
        PageTableViewOptions options;
        options.control = machine.mmu().control();
        if (session_.tracer() != nullptr)
            options.directories = session_.tracer()->tables().directories();
        kept->table = PageTableView::read(machine.mmu().memory(), AddressSpace(kept->space), options);
        choices_.then = std::move(kept);
        choices_.spaces.reset();
        return fmt::format("the tables of {:08x} at instruction {} are kept: what differs elsewhere shows",
                           choices_.then->space, choices_.then->at.instructions);
    }
    Result<std::string> fork(std::string_view) {
        choices_.followed.reset();
        choices_.spaces.reset();
        choices_.then.reset();
        return std::string("both sides of the newest fork");
    }
    Result<std::string> stack(std::string_view rest) {
        std::size_t row = 0;
        const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), row);
        if (read.ec != std::errc{} || read.ptr != rest.data() + rest.size())
            return wrong("show stack N: the number of a row");
        choices_.stack_row = row;
        return fmt::format("the variables of row {}", row);
    }
    Result<std::string> print(std::string_view rest) {
        if (rest.empty()) {
            choices_.printed.clear();
            return std::string("no values beside the variables");
        }
        if (choices_.printed.size() >= kMostPrinted)
            return Error{fmt::format("{} values are shown already; 'show print' alone takes them away", kMostPrinted)};
        choices_.printed.emplace_back(rest);
        return fmt::format("{} at each stop", rest);
    }

    Choices& choices_;
    Session& session_;
};

const std::pair<std::string_view, Chooser::Handler> Chooser::kHandlers[10] = {
    {"memory", &Chooser::memory},   {"physical", &Chooser::physical},
    {"code", &Chooser::code},       {"tracepoints", &Chooser::tracepoints},
    {"process", &Chooser::process}, {"spaces", &Chooser::spaces},
    {"then", &Chooser::then},       {"fork", &Chooser::fork},
    {"stack", &Chooser::stack},     {"print", &Chooser::print},
};

} // namespace

// A process that has called exec has another directory than before.
u32 Choices::Space::now(const ForkTracer* tracer) const {
    const AddressSpace present(pid != 0 && tracer != nullptr ? tracer->context().space_of(pid) : 0);
    return present.root != 0 && tracer->tables().owners().is_known(present) ? present.root : root;
}

Result<std::string> choose(Choices& choices, std::string_view words, Session& session) {
    return Chooser(choices, session).take(trimmed(words));
}

std::span<const ChoiceHelp> choice_help() { return kHelp; }

} // namespace forkscope
