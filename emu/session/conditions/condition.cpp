#include "emu/session/conditions/condition.hpp"

#include <algorithm>

#include "emu/base/log.hpp"
#include "emu/base/text/printable.hpp"

namespace forkscope {

namespace {

// What an occurrence is in the stream of events.
TraceKinds kinds_of(NodeKind kind) {
    switch (kind) {
    case NodeKind::Fault:
        return trace_kinds({TraceKind::PageFault});
    case NodeKind::AnyStop:
        return trace_kinds({TraceKind::Tracepoint, TraceKind::PteWrite, TraceKind::InterruptReturn});
    case NodeKind::Fork:
    case NodeKind::ForkStop:
    case NodeKind::Tracepoint:
        return trace_kinds({TraceKind::Tracepoint});
    case NodeKind::SystemCall:
    case NodeKind::Interrupt:
        return trace_kinds({TraceKind::Interrupt});
    case NodeKind::Switch:
        return trace_kinds({TraceKind::Cr3Load});
    case NodeKind::Entries:
    case NodeKind::Maps:
        return trace_kinds({TraceKind::PteWrite});
    case NodeKind::Writes:
        return trace_kinds({TraceKind::AccessedDirty}); // stores are watched
    case NodeKind::Fills:
        return trace_kinds({TraceKind::TlbFill});
    case NodeKind::Evicts:
        return trace_kinds({TraceKind::TlbEvict});
    case NodeKind::Flushes:
        return trace_kinds({TraceKind::TlbFlush});
    default:
        return 0;
    }
}

// Translation means something else: by another space, by a control bit, by RESET.
constexpr TraceKinds kSpaceChanges = trace_kinds({TraceKind::Cr3Load, TraceKind::ControlRegister, TraceKind::TlbFlush});
constexpr TraceKinds kTlbChanges = trace_kinds({TraceKind::TlbFill, TraceKind::TlbEvict, TraceKind::TlbFlush});

class Armer {
  public:
    explicit Armer(const Expression& expression) : expression_(expression) {
        arming_.live.resize(expression.nodes.size());
    }

    Arming arm() {
        visit(expression_.root, true);
        std::sort(arming_.addresses.begin(), arming_.addresses.end());
        arming_.addresses.erase(std::unique(arming_.addresses.begin(), arming_.addresses.end()),
                                arming_.addresses.end());
        if (arming_.memory)
            arming_.changes |= trace_kinds({TraceKind::AccessedDirty});
        if (arming_.each_instruction) // a delivery is a step, too
            arming_.changes |= trace_kinds({TraceKind::Interrupt});
        return std::move(arming_);
    }

  private:
    const Node& at(u32 node) const { return expression_.at(node); }

    // `live`: a change of its value alone must make the condition be asked.
    void visit(u32 number, bool live) {
        if (number == kNoNode)
            return;
        const Node& node = at(number);
        arming_.live[number] = live;
        if (is_occurrence(node.kind))
            return occurrence(node);
        if (node.kind == NodeKind::And) {
            const Rank left = at(node.left).rank, right = at(node.right).rank;
            visit(node.left, live && left >= right);
            return visit(node.right, live && right >= left);
        }
        if (live)
            value(node);
        const bool counts = node.kind == NodeKind::Count;
        visit(node.left, live || counts);
        visit(node.right, live);
    }

    // Its argument is asked when it happens.
    void occurrence(const Node& node) {
        arming_.occurrences |= kinds_of(node.kind);
        if (node.kind == NodeKind::Place) {
            const auto& addresses = expression_.places[node.number].addresses;
            arming_.addresses.insert(arming_.addresses.end(), addresses.begin(), addresses.end());
        }
        if (node.left != kNoNode)
            visit(node.left, false);
    }

    void value(const Node& node) {
        switch (node.kind) {
        case NodeKind::Register:
            return register_change(register_rows()[node.number].change);
        case NodeKind::Physical:
            arming_.memory = true;
            break;
        case NodeKind::Memory:
        case NodeKind::Entry:
            arming_.memory = true;
            arming_.changes |= kSpaceChanges;
            break;
        case NodeKind::Stale:
            arming_.memory = true;
            arming_.changes |= kSpaceChanges | kTlbChanges;
            break;
        case NodeKind::ScreenText:
            arming_.screen = true;
            break;
        case NodeKind::Not: // of an occurrence: true wherever none is
            arming_.each_instruction = arming_.each_instruction || at(node.left).rank != Rank::State;
            break;
        default:
            break;
        }
    }

    void register_change(RegisterChange change) {
        switch (change) {
        case RegisterChange::EachInstruction:
            arming_.each_instruction = true;
            break;
        case RegisterChange::AddressSpace:
        case RegisterChange::Control:
            arming_.changes |= kSpaceChanges;
            break;
        }
    }

    const Expression& expression_;
    Arming arming_;
};

} // namespace

bool Condition::has(NodeKind kind) const {
    return std::any_of(expression.nodes.begin(), expression.nodes.end(),
                       [kind](const Node& node) { return node.kind == kind; });
}

std::string Condition::note() const {
    if (!arming.each_instruction)
        return "";
    for (std::size_t i = 0; i < expression.nodes.size(); ++i) {
        const Node& node = expression.nodes[i];
        const bool asked = node.kind == NodeKind::Not
                               ? expression.at(node.left).rank != Rank::State
                               : node.kind == NodeKind::Register &&
                                     register_rows()[node.number].change == RegisterChange::EachInstruction;
        if (arming.live[i] && asked)
            return fmt::format(
                "nothing reports when '{}' changes, so it is asked after each instruction, which is slow; "
                "name a place too: 'FUNCTION && …'",
                expression.text_of(node));
    }
    return "it is asked after each instruction, which is slow";
}

Arming arming_of(const Expression& expression) { return Armer(expression).arm(); }

Result<Condition> compile_condition(std::string_view text, const Symbolizer& symbols) {
    auto expression = parse_expression(text, symbols);
    if (!expression.ok())
        return expression.error();
    Condition condition;
    condition.expression = std::move(expression).value();
    condition.arming = arming_of(condition.expression);
    const Arming& arming = condition.arming;
    const bool armed = !arming.addresses.empty() || arming.occurrences != 0 || arming.changes != 0 || arming.memory ||
                       arming.screen || arming.each_instruction || condition.has(NodeKind::SerialText);
    if (!armed)
        return Error{fmt::format("nothing that a machine does decides '{}'", printable_line(condition.text())),
                     ExitCode::Usage};
    return condition;
}

} // namespace forkscope
