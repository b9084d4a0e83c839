#include "emu/session/conditions/query/trace_query.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "emu/base/trace_vocabulary.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kMostConcerned = 65536; // events of one instruction, which REP may have without end
constexpr std::string_view kRegistersField = "registers";

std::string_view register_name(const Node& node) { return register_rows()[node.number].name; }

bool follows(std::string_view name) { return name == "cr0" || name == "cr3" || name == "cr4"; }

// Why events cannot decide this part; empty: they can.
std::string lack_of(const Node& node, bool translations) {
    switch (node.kind) {
    case NodeKind::Register:
        return follows(register_name(node)) ? "" : "no register but cr0, cr3 and cr4";
    case NodeKind::Memory:
    case NodeKind::Physical:
        return "no memory";
    case NodeKind::Entry:
        return "no page tables, only what is written to them: entries, maps(FRAME)";
    case NodeKind::Writes:
        return "no stores but those to page tables: entries, maps(FRAME)";
    case NodeKind::Stale:
        return "neither the whole TLB nor the page tables";
    case NodeKind::ScreenText:
        return "no screen";
    case NodeKind::SerialText:
        return "nothing of what the guest says";
    case NodeKind::Place:
        return "of the instructions only those that caused an event";
    case NodeKind::Fills:
    case NodeKind::Evicts:
        return translations ? "" : "no fills and evictions of the TLB, which --all-events records";
    default:
        return "";
    }
}

// The first part in the text that is missing.
std::optional<Error> refusal_of(const Condition& condition, bool translations) {
    const Expression& expression = condition.expression;
    const Node* worst = nullptr;
    std::string why;
    for (std::size_t i = 0; i < expression.nodes.size(); ++i) {
        const Node& node = expression.nodes[i];
        std::string lack = lack_of(node, translations);
        if (lack.empty() && node.kind == NodeKind::Not && condition.arming.live[i] &&
            expression.at(node.left).rank != Rank::State)
            lack = "no moment at which nothing happens";
        if (lack.empty() || (worst != nullptr && worst->begin <= node.begin))
            continue;
        worst = &node;
        why = fmt::format("'{}' cannot be decided: a trace holds {}; this needs a machine: use `step` on a recording",
                          expression.text_of(node), lack);
    }
    return worst == nullptr ? std::nullopt : std::optional(condition_error(expression.text, worst->begin, why));
}

// "cr3=0x1000" among others.
std::optional<u32> number_after(std::string_view text, std::string_view name) {
    const std::size_t at = text.find(name);
    if (at == std::string_view::npos)
        return std::nullopt;
    text.remove_prefix(at + name.size());
    u32 value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return error == std::errc() ? std::optional(value) : std::nullopt;
}

} // namespace

class TraceQuery::Values final : public Evaluator {
  public:
    Values(const Registers& registers, const Condition& condition, std::vector<NodeMemory>& memory, Mode mode)
        : Evaluator(condition, memory), registers_(registers) {
        set_mode(mode);
    }

  private:
    Value leaf(u32 node) override {
        const PagingControl& control = registers_.control;
        const std::string_view name = register_name(at(node));
        return name == "cr0"   ? Value{control.cr0, 32, registers_.cr0_known}
               : name == "cr3" ? Value{control.cr3, 32, registers_.cr3_known}
                               : Value{control.cr4, 32, registers_.cr4_known};
    }
    bool shows(u32) override { return false; } // refused

    const Registers& registers_;
};

void set_trace_registers(FileHeader& header, u32 cr0, u32 cr3, u32 cr4) {
    header.set(std::string(kRegistersField), fmt::format("cr0=0x{:x} cr3=0x{:x} cr4=0x{:x}", cr0, cr3, cr4));
}

Result<TraceQuery> TraceQuery::create(std::string_view text, const Symbolizer& symbols, const FileHeader& header) {
    auto condition = compile_condition(text, symbols);
    if (!condition.ok())
        return condition.error();
    const std::string* events = header.get("events");
    if (auto refused = refusal_of(*condition, events == nullptr || *events == "all"))
        return *std::move(refused);
    return TraceQuery(std::move(condition).value(), header);
}

TraceQuery::TraceQuery(Condition condition, const FileHeader& header) : condition_(std::move(condition)) {
    memory_.resize(condition_.expression.nodes.size());
    if (const std::string* text = header.get(kRegistersField); text != nullptr) {
        const auto take = [&](std::string_view name, u32& value, bool& known) {
            const auto number = number_after(*text, name);
            known = number.has_value();
            value = number.value_or(0);
        };
        take("cr0=0x", registers_.control.cr0, registers_.cr0_known);
        take("cr3=0x", registers_.control.cr3, registers_.cr3_known);
        take("cr4=0x", registers_.control.cr4, registers_.cr4_known);
    }
    begin();
}

// What is true already has to come about anew.
void TraceQuery::begin() { held_ = Values(registers_, condition_, memory_, Evaluator::Mode::Begin).holds(); }

// Traces that older programs wrote do not say where the registers began: an event says what it found.
void TraceQuery::learn_before(const TraceEvent& event) {
    PagingControl& control = registers_.control;
    bool learnt = false;
    if (event.kind == TraceKind::ControlRegister) {
        bool& known = event.a == 0 ? registers_.cr0_known : registers_.cr4_known;
        learnt = !known;
        known = true;
        (event.a == 0 ? control.cr0 : control.cr4) = static_cast<u32>(event.b);
    }
    // Also where a damaged chunk was left out.
    const u32 cr3 = event.kind == TraceKind::Cr3Load ? static_cast<u32>(event.a) : event.address_space;
    if (!registers_.cr3_known || control.space_of(control.cr3) != control.space_of(cr3)) {
        learnt = true;
        control.cr3 = cr3;
        registers_.cr3_known = true;
    }
    if (learnt)
        begin();
}

void TraceQuery::follow(const TraceEvent& event) {
    PagingControl& control = registers_.control;
    if (event.kind == TraceKind::Cr3Load) {
        control.cr3 = static_cast<u32>(event.b);
    } else if (event.kind == TraceKind::ControlRegister) {
        (event.a == 0 ? control.cr0 : control.cr4) = static_cast<u32>(event.c);
    } else if (event.kind == TraceKind::TlbFlush && event.a == static_cast<u64>(TlbFlushReason::Reset)) {
        control.cr3 = control.cr4 = 0;
        registers_.cr0_known = false;
        registers_.cr3_known = registers_.cr4_known = true;
    }
}

void TraceQuery::on_event(const TraceEvent& event, const Print& print) {
    // A delivery ends at its event, and so does what the instruction behind it did.
    if (delivered_ || event.instructions != instructions_ || concerned_.size() >= kMostConcerned)
        ask(print);
    instructions_ = event.instructions;
    delivered_ = event.kind == TraceKind::Interrupt;
    learn_before(event);
    const bool burst = told_.hear(event);
    const Expression& expression = condition_.expression;
    bool concerned = false;
    const ArgumentValue argument = [this](u32 node) -> std::optional<u64> {
        const Value value = Values(registers_, condition_, memory_, Evaluator::Mode::Look).value(node);
        return value.known ? std::optional(value.bits) : std::nullopt;
    };
    for (u32 i = 0; is_one_of(event.kind, condition_.arming.occurrences) && i < expression.nodes.size(); ++i)
        if (is_occurrence(expression.at(i).kind) &&
            stands_for(expression.at(i), event, {registers_.control, burst, argument})) {
            memory_[i].happened = true;
            concerned = true;
        }
    const bool changes = is_one_of(event.kind, condition_.arming.changes) &&
                         (event.kind != TraceKind::TlbFlush || event.a == static_cast<u64>(TlbFlushReason::Reset));
    follow(event);
    due_ = due_ || concerned || changes;
    if (concerned || changes)
        concerned_.push_back(event);
}

void TraceQuery::ask(const Print& print) {
    if (!due_)
        return;
    const bool holds = Values(registers_, condition_, memory_, Evaluator::Mode::Ask).holds();
    const bool something =
        std::any_of(memory_.begin(), memory_.end(), [](const NodeMemory& node) { return node.happened; });
    if (is_met(condition_.expression.at(condition_.expression.root).rank, holds, held_, something)) {
        ++times_met_;
        for (const TraceEvent& event : concerned_)
            print(event);
    }
    held_ = holds;
    due_ = false;
    concerned_.clear();
    for (NodeMemory& node : memory_)
        node.happened = false;
}

void TraceQuery::finish(const Print& print) { ask(print); }

std::string TraceQuery::note() const {
    if (told_.guest_speaks)
        return "";
    for (const Node& node : condition_.expression.nodes)
        if (node.kind == NodeKind::Fork || node.kind == NodeKind::ForkStop || node.kind == NodeKind::Tracepoint)
            return fmt::format("the guest of this trace states nothing, so '{}' never happens in it; what the hardware "
                               "shows of forks needs a machine: use `fork` or `step` on a recording",
                               condition_.expression.text_of(node));
    return "";
}

} // namespace forkscope
