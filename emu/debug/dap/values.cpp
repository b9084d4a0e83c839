#include "emu/debug/dap/values.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emu/observe/tables/page_table_view.hpp"
#include "emu/observe/tables/tlb_view.hpp"
#include "emu/session/guest_state_of.hpp"

namespace forkscope {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostKept = 65536; // numbers of one stop
constexpr u64 kMostElements = 1000;      // of an array, unfolded at once
constexpr std::size_t kMostRows = 2000;  // of a list
constexpr std::size_t kMostText = 400;   // of a value on one line

Json row(std::string name, std::string value) {
    return {{"name", std::move(name)}, {"value", std::move(value)}, {"variablesReference", 0}};
}

// What a pointer points to, if it can be looked at.
std::optional<GuestValue> pointee(const GuestValue& value, const PeekMemory& memory) {
    const Type& type = value.type().plain();
    if (type.kind != TypeKind::Pointer || type.target == nullptr)
        return std::nullopt;
    const Type& target = type.target->plain();
    if (target.kind == TypeKind::Void || target.kind == TypeKind::Function || target.bytes() == 0)
        return std::nullopt;
    const auto address = value.number(memory);
    if (!address.ok() || *address == 0)
        return std::nullopt;
    return GuestValue::in_memory(*type.target, static_cast<u32>(*address));
}

bool has_parts(const GuestValue& value) {
    const Type& type = value.type().plain();
    if (value.kind() == GuestValue::Kind::OptimizedOut)
        return false;
    if (type.is_compound())
        return type.complete && !type.members.empty();
    return type.kind == TypeKind::Array && type.complete && type.count != 0 && type.target->bytes() != 0;
}

std::string in_brackets(const std::string& expression) {
    const bool plain = expression.find_first_of("*&+- ") == std::string::npos;
    return plain ? expression : "(" + expression + ")";
}

} // namespace

void DapValues::forget() {
    kept_.clear();
    rows_.clear();
    stacks_.clear();
}

// --- Stacks

std::optional<GuestState> DapValues::state_of(const GuestThread& thread) const {
    const Machine& machine = target_.machine();
    if (thread.id == target_.threads().current().id)
        return guest_state_of(machine);
    if (!thread.kept || thread.root == 0)
        return std::nullopt;
    GuestState state;
    for (u32 i = 0; i < 8; ++i)
        state.registers.values[i] = thread.registers[i];
    state.registers.values[FrameRegisters::Eip] = thread.registers[kGdbEip];
    state.registers.values[FrameRegisters::Eflags] = thread.registers[kGdbEflags];
    state.cs = static_cast<u16>(thread.registers[kGdbEflags + 1]);
    state.address_space = thread.root;
    state.memory = [&machine, root = thread.root](u32 address, std::span<u8> bytes) {
        return AddressSpaceReader(machine.mmu().paging()).read(AddressSpace(root), LinearAddress(address), bytes);
    };
    return state;
}

const CallStack* DapValues::stack_of(u32 id) {
    auto [place, fresh] = stacks_.try_emplace(id);
    if (fresh) {
        const auto thread = target_.threads().find(id);
        if (auto state = thread ? state_of(*thread) : std::nullopt)
            place->second = std::make_unique<CallStack>(target_.session().symbols(), std::move(*state));
    }
    return place->second.get();
}

u32 DapValues::number_of(Row wanted) {
    if (rows_.size() >= kMostKept)
        return 0;
    rows_.push_back(wanted);
    return static_cast<u32>(rows_.size());
}

std::optional<DapValues::Row> DapValues::row_of(u64 frame) const {
    return frame == 0 || frame > rows_.size() ? std::nullopt : std::optional(rows_[frame - 1]);
}

// --- Scopes and what is in them

u32 DapValues::keep(Unfoldable what) {
    if (kept_.size() >= kMostKept)
        return 0;
    kept_.push_back(std::move(what));
    return static_cast<u32>(kept_.size());
}

Json DapValues::scopes(const Row& of) {
    const auto scope = [](std::string_view name, std::string_view hint, u32 reference, bool expensive) {
        Json one{{"name", name}, {"variablesReference", reference}, {"expensive", expensive}};
        if (!hint.empty())
            one["presentationHint"] = hint;
        return one;
    };
    Json scopes = Json::array();
    scopes.push_back(scope("Arguments", "arguments", keep(Locals{of, true}), false));
    scopes.push_back(scope("Locals", "locals", keep(Locals{of, false}), false));
    scopes.push_back(scope("Registers", "registers", keep(Listing{Table::Registers, of.thread}), false));
    scopes.push_back(scope("System registers", "registers", keep(Listing{Table::System, of.thread}), true));
    scopes.push_back(scope("TLB", "", keep(Listing{Table::Tlb, of.thread}), true));
    scopes.push_back(scope("Page tables", "", keep(Listing{Table::Pages, of.thread}), true));
    return scopes;
}

std::vector<DapValues::Part> DapValues::parts_of(const Locals& locals) {
    std::vector<Part> parts;
    const CallStack* const stack = stack_of(locals.row.thread);
    if (stack == nullptr || locals.row.row >= stack->rows().size())
        return parts;
    for (const Variable& variable : stack->variables(stack->rows()[locals.row.row]))
        if (variable.argument == locals.arguments)
            parts.push_back({variable.value, variable.name, variable.name});
    return parts;
}

std::vector<DapValues::Part> DapValues::parts_of(const Structure& structure, const Window& window) const {
    std::vector<Part> parts;
    GuestValue value = structure.value;
    std::string expression = in_brackets(structure.expression);
    std::string_view member = ".";
    if (const auto target = pointee(value, structure.stack->state().memory)) {
        if (!has_parts(*target))
            return {{*target, "*" + structure.expression, "*" + expression}};
        value = *target;
        member = "->";
        if (!target->type().is_compound())
            expression = "(*" + expression + ")";
    }
    const Type& type = value.type().plain();
    if (type.kind == TypeKind::Array) {
        const u64 first = std::min(window.start, type.count);
        const u64 most = std::min(window.count != 0 ? window.count : kMostElements, kMostElements);
        for (u64 i = first; i < std::min(type.count, first + most); ++i)
            parts.push_back(
                {value.element(i, *type.target), fmt::format("[{}]", i), fmt::format("{}[{}]", expression, i)});
        return parts;
    }
    for (const TypeMember& one : type.members) {
        const bool unnamed = one.name.empty(); // its members count as this one's
        parts.push_back({value.member(one), unnamed ? "(unnamed)" : one.name,
                         unnamed ? structure.expression : fmt::format("{}{}{}", expression, member, one.name)});
    }
    return parts;
}

Json DapValues::shown(const GuestValue& value, const CallStack& stack, const std::string& name,
                      const std::string& expression) {
    ValueReader reader = stack.reader({.depth = 1, .elements = 32, .nodes = 64});
    const ValueNode node = reader.read(value);
    std::string text = to_text(node);
    if (text.size() > kMostText)
        text = text.substr(0, kMostText) + "...";
    Json one{{"name", name}, {"value", text}, {"type", value.type().text()}, {"variablesReference", 0}};
    if (!expression.empty())
        one["evaluateName"] = expression;
    const auto target = pointee(value, stack.state().memory);
    if (target)
        one["memoryReference"] = fmt::format("0x{:x}", *target->address());
    else if (value.address())
        one["memoryReference"] = fmt::format("0x{:x}", *value.address());
    if (target || has_parts(value)) {
        one["variablesReference"] = keep(Structure{value, &stack, expression.empty() ? name : expression});
        if (value.type().is(TypeKind::Array))
            one["indexedVariables"] = value.type().plain().count;
    }
    return one;
}

std::optional<Json> DapValues::variables(u64 reference, const Window& window) {
    if (reference == 0 || reference > kept_.size())
        return std::nullopt;
    const Unfoldable what = kept_[reference - 1]; // more is kept meanwhile
    if (const auto* list = std::get_if<Listing>(&what))
        return listing(*list);
    const auto* locals = std::get_if<Locals>(&what);
    const auto* structure = std::get_if<Structure>(&what);
    const CallStack* const stack = locals != nullptr ? stack_of(locals->row.thread) : structure->stack;
    Json all = Json::array();
    for (const Part& part : locals != nullptr ? parts_of(*locals) : parts_of(*structure, window))
        all.push_back(shown(part.value, *stack, part.name, part.expression));
    return all;
}

std::optional<DapValues::Found> DapValues::find(u64 reference, const std::string& name) {
    if (reference == 0 || reference > kept_.size())
        return std::nullopt;
    const Unfoldable& what = kept_[reference - 1];
    const auto* locals = std::get_if<Locals>(&what);
    const auto* structure = std::get_if<Structure>(&what);
    if (locals == nullptr && structure == nullptr)
        return std::nullopt;
    const CallStack* const stack = locals != nullptr ? stack_of(locals->row.thread) : structure->stack;
    for (const Part& part : locals != nullptr ? parts_of(*locals) : parts_of(*structure, Window{}))
        if (part.name == name)
            return Found{part.value, stack};
    return std::nullopt;
}

bool DapValues::is_registers(u64 reference) const {
    const auto* list =
        reference != 0 && reference <= kept_.size() ? std::get_if<Listing>(&kept_[reference - 1]) : nullptr;
    return list != nullptr && (list->table == Table::Registers || list->table == Table::System);
}

// --- Lists

Json DapValues::listing(const Listing& list) {
    const GuestThread thread = target_.threads().find(list.thread).value_or(target_.threads().current());
    switch (list.table) {
    case Table::Registers:
    case Table::System:
        return registers(thread, list.table == Table::System);
    case Table::Tlb:
        return tlb();
    case Table::Pages:
        return pages(thread);
    }
    return Json::array();
}

Json DapValues::registers(const GuestThread& thread, bool system) const {
    Json rows = Json::array();
    for (u32 number = 0; number < target_.registers().size(); ++number) {
        const GdbRegister& one = target_.registers()[number];
        if ((one.feature == RegisterFeature::System) != system)
            continue;
        const std::vector<u8> bytes = target_.read_register(number, thread);
        std::string digits;
        for (const u8 byte : bytes)
            digits = fmt::format("{:02x}", byte) + digits;
        rows.push_back(row(std::string(one.name), bytes.empty() ? "<not known>" : "0x" + digits));
    }
    return rows;
}

Json DapValues::tlb() const {
    Json rows = Json::array();
    const Machine& machine = target_.machine();
    const TlbView view = tlb_view(machine.mmu());
    const u32 space = target_.threads().current().root;
    for (const TlbRow& one : view.rows) {
        if (rows.size() >= kMostRows)
            break;
        rows.push_back(
            row(fmt::format("{} {:08x}", tlb_array_name(one.array), one.entry.tag),
                fmt::format("{:#x}, set {} way {}, filled by {} at cycle {}; the tables agree: {}", one.entry.entry,
                            one.set, one.way, target_.session().symbols().lookup(space, one.entry.filled_by).text(),
                            one.entry.filled_at, one.verdict)));
    }
    return rows;
}

Json DapValues::pages(const GuestThread& thread) const {
    Json rows = Json::array();
    const PagingState& paging = target_.machine().mmu().paging();
    if (!paging.control().paging())
        return rows;
    PageTableViewOptions options;
    options.control = paging.control();
    const auto view = PageTableView::read(target_.machine().mmu().memory(), target_.space_of(thread), options);
    for (const PageRange& range : view.ranges()) {
        if (rows.size() >= kMostRows)
            break;
        const char* const by = range.level == 2 ? range.large ? "large pages" : "directory" : "table";
        rows.push_back(
            row(fmt::format("{:08x}-{:08x}", range.start, range.end - 1),
                fmt::format("{} {}{}, {} pages at {:08x}{}, {}", (range.flags & kPteWritable) != 0 ? "rw" : "r-",
                            (range.flags & kPteUser) != 0 ? "user" : "supervisor",
                            (range.flags & kPteGlobal) != 0 ? " global" : "", range.pages(), range.physical,
                            range.scattered ? " and elsewhere" : "", by)));
    }
    return rows;
}

} // namespace forkscope
