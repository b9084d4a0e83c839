#include "emu/terminal/scene.hpp"

#include <fmt/format.h>

#include "emu/session/guest_state_of.hpp"
#include "emu/session/guest_words.hpp"
#include "emu/symbols/inspect/call_stack.hpp"

namespace forkscope::terminal {

namespace {

SourceLines source_of(Session& session, u32 space, u32 address) {
    constexpr u32 kAround = 150;
    const Symbolizer& symbols = session.symbols();
    const Location location = symbols.lookup(space, address);
    SourceLines source;
    source.file = location.file;
    source.line = location.line;
    if (location.line == 0)
        return source;
    source.first = location.line > kAround ? location.line - kAround : 1;
    for (u32 line = source.first; line <= location.line + kAround; ++line) {
        auto text = symbols.source_line(location.file, line);
        if (!text)
            break;
        source.lines.push_back(std::move(*text));
    }
    return source;
}

std::vector<std::string> stack_of(Session& session) {
    const CallStack stack(session.symbols(), guest_state_of(session.machine()));
    std::vector<std::string> rows;
    for (std::size_t i = 0; i < stack.rows().size(); ++i)
        rows.push_back(stack.text(i));
    if (!stack.frames().end.empty())
        rows.push_back("no more: " + stack.frames().end);
    return rows;
}

} // namespace

Scene scene_of(Session& session) {
    const Machine& machine = session.machine();
    Scene scene;
    scene.view = observe(machine, session.tracer(), session.symbols());
    const u32 space = machine.mmu().control().space_of(machine.registers().cr3).root;
    scene.source = source_of(session, space, scene.view.linear_eip);
    scene.stack = stack_of(session);
    scene.screen = screen_lines(machine);
    return scene;
}

} // namespace forkscope::terminal
