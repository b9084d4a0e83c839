// Source, stack with variables and printed values: what debugging information says of the place.
#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/session/guest_state_of.hpp"
#include "emu/symbols/inspect/expression.hpp"
#include "emu/view/view.hpp"

namespace forkscope {

SourceView observe_source(const Observed& from) {
    constexpr u32 kAround = 150;
    const Location location = from.symbols.lookup(from.space(), from.machine.cpu().linear_eip());
    SourceView view;
    view.file = location.file;
    view.line = location.line;
    const ElfImage* image = from.symbols.image_at(from.space(), from.machine.cpu().linear_eip());
    if (image != nullptr && image != from.symbols.kernel() && image == from.symbols.program(location.image))
        view.program = location.image;
    if (location.line == 0)
        return view;
    view.first = location.line > kAround ? location.line - kAround : 1;
    for (u32 line = view.first; line <= location.line + kAround; ++line) {
        auto text = from.symbols.source_line(location.file, line);
        if (!text)
            break;
        view.lines.push_back(std::move(*text));
    }
    return view;
}

// A value a line, or several where it has parts; each line leads to the part's own place.
static void add_value(std::vector<StackView::Row>& rows, const ValueNode& node, u32 space, std::size_t depth) {
    constexpr std::size_t kMostParts = 300, kMostLetters = 200;
    if (rows.size() >= kMostParts)
        return;
    ValueNode own = node;
    if (node.parts.size() > 1)
        own.parts.clear();
    std::string text =
        std::string(2 * depth, ' ') + node.name + " =" + (node.parts.size() > 1 ? "" : " " + to_text(own));
    if (text.size() > kMostLetters)
        text = text.substr(0, kMostLetters) + "…";
    rows.push_back({text, ValueSubject{text.substr(2 * depth), space, node.address.value_or(0)}});
    if (node.parts.size() > 1)
        for (const ValueNode& part : node.parts)
            add_value(rows, part, space, depth + 1);
    if (node.parts.size() > 1 && node.more)
        rows.push_back({std::string(2 * depth + 2, ' ') + "…", {}});
}

StackView observe_stack(const Observed& from) {
    StackView view;
    const CallStack stack(from.symbols, guest_state_of(from.machine));
    for (std::size_t i = 0; i < stack.rows().size(); ++i) {
        const std::string text = stack.text(i);
        view.rows.push_back({text, FrameSubject{i, from.space(), stack.rows()[i].address, text}});
    }
    view.end = stack.frames().end;
    if (stack.rows().empty())
        return view;
    const Choices none, &choices = from.choices != nullptr ? *from.choices : none;
    view.chosen = std::min(choices.stack_row, stack.rows().size() - 1);
    const StackRow& row = stack.rows()[view.chosen];
    ValueReader reader = stack.reader();
    for (const Variable& variable : stack.variables(row))
        add_value(view.variables, reader.read(variable.value, variable.name), from.space(), 0);
    for (const std::string& expression : choices.printed) {
        auto value = print(stack, row, expression);
        if (!value.ok()) {
            const std::string& message = value.error().message; // then the place, marked below it
            view.printed.push_back({expression + ": " + message.substr(0, message.find('\n')), {}});
            continue;
        }
        value->name = expression;
        add_value(view.printed, *value, from.space(), 0);
    }
    return view;
}

} // namespace forkscope
