#include "emu/session/conditions/evaluator.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "emu/session/guest_words.hpp"

namespace forkscope {

namespace {

u64 field_of(EntryField field, u64 entry) {
    switch (field) {
    case EntryField::Value:
        return entry;
    case EntryField::Present:
        return (entry & kPtePresent) != 0;
    case EntryField::Writable:
        return (entry & kPteWritable) != 0;
    case EntryField::User:
        return (entry & kPteUser) != 0;
    case EntryField::Accessed:
        return (entry & kPteAccessed) != 0;
    case EntryField::Dirty:
        return (entry & kPteDirty) != 0;
    case EntryField::Global:
        return (entry & kPteGlobal) != 0;
    case EntryField::Large:
        return (entry & kPteLarge) != 0;
    case EntryField::Frame:
        return entry & kPteFrame;
    }
    return 0;
}

// Whoever looks cannot tell whether a line ends with blanks or before them: text may be given either way.
bool screen_shows(const Machine& machine, const std::string& wanted) {
    std::string full, trimmed;
    for (const std::string& line : screen_lines(machine)) {
        full += line + '\n';
        trimmed += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
    }
    return full.find(wanted) != std::string::npos || trimmed.find(wanted) != std::string::npos;
}

} // namespace

void NodeMemory::serialize(Archive& ar) {
    ar.field("value", value);
    ar.field("count", count);
    ar.field("known", known);
}

Value Evaluator::value(u32 number) {
    const Node& node = at(number);
    switch (node.kind) {
    case NodeKind::Number:
        return Value::constant(node.number);
    case NodeKind::Register:
        return {register_rows()[node.number].read(machine_.registers()), 32, true};
    case NodeKind::Memory:
        return memory_at(number);
    case NodeKind::Physical: {
        const Value address = value(node.left);
        return address.known ? physical_at(number, PhysicalAddress(address.bits), node.size) : Value::unknown();
    }
    case NodeKind::Entry:
        return entry_at(number);
    case NodeKind::Count:
        return count(number);
    case NodeKind::Negate:
    case NodeKind::Invert:
        return apply(node.kind, value(node.left));
    default:
        break;
    }
    if (is_value(node.kind) || is_comparison(node.kind)) {
        const Value left = value(node.left); // in order: each may note what it read
        return apply(node.kind, left, value(node.right));
    }
    return {truth(number) ? u64{1} : 0, 32, true};
}

bool Evaluator::truth(u32 number) {
    const Node& node = at(number);
    switch (node.kind) {
    case NodeKind::Not:
        return !truth(node.left);
    case NodeKind::And:
        return both(node);
    case NodeKind::Or: {
        const bool left = truth(node.left); // both are asked: each may remember
        return truth(node.right) || left;
    }
    case NodeKind::Stale: {
        const Value address = value(node.left);
        return address.known && stale(static_cast<u32>(address.bits), number);
    }
    case NodeKind::ScreenText:
        return screen_shows(machine_, condition_.expression.texts[node.number]);
    case NodeKind::Changes:
        return changes(number);
    case NodeKind::Place: {
        const std::string& program = condition_.expression.places[node.number].program;
        memory_[number].happened = memory_[number].happened && at_place(number) && (program.empty() || runs_(program));
        return memory_[number].happened;
    }
    default:
        break;
    }
    if (node.kind == NodeKind::Writes && mode_ != Mode::Look) { // for the message
        NodeMemory& memory = memory_[number];
        const auto size = std::min<u32>(node.size, sizeof memory.value);
        const Value now = physical_at(number, PhysicalAddress(node.number), size);
        memory.before = std::exchange(memory.value, now.bits);
        memory.known = now.known;
    }
    if (is_occurrence(node.kind))
        return memory_[number].happened;
    const Value result = value(number);
    return result.known && result.bits != 0;
}

// The part that arms is asked first, and the other only where it holds: what that remembers is of such moments alone.
bool Evaluator::both(const Node& node) {
    const Rank left = at(node.left).rank, right = at(node.right).rank;
    if (left > right && mode_ != Mode::Begin) // at the beginning all look
        return truth(node.left) && truth(node.right);
    if (right > left && mode_ != Mode::Begin)
        return truth(node.right) && truth(node.left);
    const bool first = truth(node.left);
    return truth(node.right) && first;
}

bool Evaluator::changes(u32 number) {
    NodeMemory& memory = memory_[number];
    const Value now = value(at(number).left);
    const bool changed = now.known != memory.known || (now.known && now.bits != memory.value);
    if (mode_ == Mode::Look)
        return changed;
    memory.before = memory.value;
    memory.known = now.known;
    memory.value = now.known ? now.bits : 0;
    memory.happened = changed && mode_ == Mode::Ask;
    return changed;
}

// Of something that happens: as often as it did. Of something that is or is not: as often as it came about.
Value Evaluator::count(u32 number) {
    NodeMemory& memory = memory_[number];
    const Node& counted = at(at(number).left);
    const bool now = truth(at(number).left);
    const bool came = now && (counted.rank != Rank::State || !memory.known);
    if (mode_ != Mode::Look)
        memory.known = now;
    if (mode_ == Mode::Ask)
        memory.count += came ? 1 : 0;
    return came ? Value{memory.count, 64, true} : Value::unknown();
}

bool Evaluator::at_place(u32 number) const {
    const auto& addresses = condition_.expression.places[at(number).number].addresses;
    return std::find(addresses.begin(), addresses.end(), machine_.cpu().linear_eip()) != addresses.end();
}

// --- Memory

void Evaluator::note_read(u32 node, PhysicalAddress address, u32 size) {
    if (condition_.arming.live[node] && machine_.mmu().memory().is_memory(address))
        read_.push_back({address, size});
}

void Evaluator::note_walk(u32 node, const Walk& walk) {
    const u32 bytes = machine_.mmu().control().entry_bytes();
    for (u32 level = 1; level <= 2; ++level)
        if (walk.at(level).read)
            note_read(node, walk.at(level).entry_address, bytes);
}

Value Evaluator::physical_at(u32 node, PhysicalAddress address, u32 size) {
    std::array<u8, 8> bytes{};
    if (!machine_.mmu().memory().read(address, std::span(bytes).first(size)))
        return Value::unknown();
    note_read(node, address, size);
    u64 bits = 0;
    std::memcpy(&bits, bytes.data(), sizeof bits);
    return {bits, 32, true};
}

// Each page of it is translated.
Value Evaluator::memory_at(u32 number) {
    const Node& node = at(number);
    const Value address = value(node.left);
    if (!address.known)
        return Value::unknown();
    u64 bits = 0;
    for (u32 done = 0; done < node.size;) {
        const auto linear = LinearAddress(static_cast<u32>(address.bits + done));
        const u32 size = std::min(node.size - done, kPageSize - linear.offset());
        const Walk walk = machine_.mmu().paging().look(linear, Privilege::Supervisor, AccessKind::Read);
        note_walk(number, walk);
        const Value part = walk.ok ? physical_at(number, walk.physical, size) : Value::unknown();
        if (!part.known)
            return part;
        bits |= part.bits << (8 * done);
        done += size;
    }
    return {bits, 32, true};
}

// 0 where no table leads to the entry, or paging is off: there is none then.
Value Evaluator::entry_at(u32 number) {
    const Node& node = at(number);
    const Value linear = value(node.left);
    const Value space = node.right == kNoNode ? Value{machine_.registers().cr3, 32, true} : value(node.right);
    if (!linear.known || !space.known)
        return Value::unknown();
    const PagingState& paging = machine_.mmu().paging();
    if (!paging.control().paging() && node.right == kNoNode)
        return {0, 64, true};
    const AddressSpace root = paging.control().space_of(static_cast<u32>(space.bits));
    const auto address = LinearAddress(static_cast<u32>(linear.bits));
    const Walk walk = paging.look_in(root, address, Privilege::Supervisor, AccessKind::Read);
    note_walk(number, walk);
    const u64 entry = walk.at(node.level).read ? walk.at(node.level).entry : 0;
    if (mode_ != Mode::Look) // as a whole, for the message
        memory_[number].before = std::exchange(memory_[number].value, entry);
    return {field_of(node.field, entry), 64, true};
}

// --- Translations

// Another frame, or a right that the tables no longer give. More rights in the tables, and A, are no difference that
// the processor would not notice (SDM 3A 4.10.4.3).
bool Evaluator::stale(u32 linear, u32 node) {
    const Mmu& mmu = machine_.mmu();
    if (!mmu.control().paging())
        return false;
    const Walk walk = mmu.paging().look(LinearAddress(linear), Privilege::Supervisor, AccessKind::Read);
    note_walk(node, walk);
    if (mode_ != Mode::Look)
        memory_[node].value = 0;
    const Tlb& tlb = mmu.tlb();
    bool found = false;
    tlb.for_each_valid([&](const TlbPlace& place) {
        const TlbEntry& entry = tlb.entry(place);
        const u32 mask = tlb.page_mask(place.array);
        if (((entry.tag ^ linear) & ~mask) != 0)
            return;
        const u64 physical = (entry.entry & kPteFrame & ~u64{mask}) | (linear & mask);
        constexpr u32 kRights = kPteWritable | kPteUser;
        const bool more = (static_cast<u32>(entry.entry) & kRights & ~walk.rights) != 0 ||
                          (walk.no_execute && (entry.entry & kPteNoExecute) == 0);
        const bool differs = !walk.ok || mmu.paging().on_bus(physical) != walk.physical || more;
        if (differs && !found && mode_ != Mode::Look) { // for the message
            memory_[node].value = entry.entry;
            memory_[node].before = walk.large ? walk.at(2).entry : walk.at(1).entry;
        }
        found = found || differs;
    });
    return found;
}

} // namespace forkscope
