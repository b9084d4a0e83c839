#include "emu/symbols/inspect/linked_list.hpp"

#include <set>

#include <fmt/format.h>

namespace forkscope {

namespace {

Result<GuestValue> at_path(GuestValue value, const std::vector<std::string>& path) {
    for (const std::string& name : path) {
        std::optional<GuestValue> next = find_member(value, name);
        if (!next)
            return Error{no_such_member(value.type(), name)};
        value = std::move(*next);
    }
    return value;
}

} // namespace

// One that cannot be read leads nowhere.
u32 LinkedList::pointer_in(const GuestValue& value) const {
    const Result<i64> number = value.number(memory_);
    return number.ok() ? static_cast<u32>(number.value()) : 0;
}

ValueNode LinkedList::collect(const Type& type, u32 first, const std::function<u32(u32 address)>& next) {
    ValueNode node;
    node.type = "list of " + type.text();
    std::set<u32> seen;
    for (u32 at = first; at != 0 && seen.insert(at).second; at = next(at)) {
        node.more = node.parts.size() == most_;
        if (node.more)
            break;
        node.parts.push_back(reader_.read(GuestValue::in_memory(type, at), fmt::format("[{}]", node.parts.size())));
    }
    return node;
}

Result<ValueNode> LinkedList::follow(const Type& type, u32 first, const std::vector<std::string>& link) {
    const Result<GuestValue> step = at_path(GuestValue::in_memory(type, 0), link);
    if (!step)
        return step.error();
    if (!step.value().type().is(TypeKind::Pointer))
        return Error{fmt::format("{} is no pointer; of a ring: list(HEAD, {}, {})", step.value().type().text(),
                                 type.text(), link.front())};
    const u32 offset = step.value().address().value_or(0);
    return collect(type, first,
                   [&](u32 at) { return pointer_in(GuestValue::in_memory(step.value().type(), at + offset)); });
}

Result<ValueNode> LinkedList::ring(const Type& type, u32 head, const std::vector<std::string>& link) {
    const Result<GuestValue> in_first = at_path(GuestValue::in_memory(type, 0), link);
    if (!in_first)
        return in_first.error();
    const u32 offset = in_first.value().address().value_or(0);
    // The way on is the link's first pointer: next, in every kernel.
    const Type& link_type = in_first.value().type().plain();
    const TypeMember* next = nullptr;
    for (const TypeMember& member : link_type.members)
        if (next == nullptr && member.type->is(TypeKind::Pointer))
            next = &member;
    if (next == nullptr)
        return Error{fmt::format("{} has no pointer to follow", in_first.value().type().text())};
    const auto after = [&](u32 place) -> u32 {
        const u32 to = pointer_in(GuestValue::in_memory(link_type, place).member(*next));
        return to == head || to == 0 ? 0 : to - offset;
    };
    return collect(type, after(head), [&](u32 at) { return after(at + offset); });
}

} // namespace forkscope
