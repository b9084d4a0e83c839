#include "emu/session/conditions/evaluation/machine_evaluator.hpp"

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

Value MachineEvaluator::leaf(u32 number) {
    const Node& node = at(number);
    switch (node.kind) {
    case NodeKind::Register:
        return {register_rows()[node.number].read(machine_.registers()), 32, true};
    case NodeKind::Memory:
        return memory_at(number);
    case NodeKind::Entry:
        return entry_at(number);
    default:
        break;
    }
    const Value address = value(node.left);
    return address.known ? physical_at(number, PhysicalAddress(address.bits), node.size) : Value::unknown();
}

bool MachineEvaluator::shows(u32 number) {
    const Node& node = at(number);
    if (node.kind == NodeKind::ScreenText)
        return screen_shows(machine_, expression().texts[node.number]);
    const Value address = value(node.left);
    return address.known && stale(static_cast<u32>(address.bits), number);
}

bool MachineEvaluator::happened(u32 number) {
    const Node& node = at(number);
    NodeMemory& memory = memory_of(number);
    if (node.kind == NodeKind::Place) {
        const std::string& program = expression().places[node.number].program;
        memory.happened = memory.happened && at_place(number) && (program.empty() || runs_(program));
    }
    if (node.kind == NodeKind::Writes && mode() != Mode::Look) { // for the message
        const auto size = std::min<u32>(node.size, sizeof memory.value);
        const Value now = physical_at(number, PhysicalAddress(node.number), size);
        memory.before = std::exchange(memory.value, now.bits);
        memory.known = now.known;
    }
    return memory.happened;
}

bool MachineEvaluator::at_place(u32 number) const {
    const auto& addresses = expression().places[at(number).number].addresses;
    return std::find(addresses.begin(), addresses.end(), machine_.cpu().linear_eip()) != addresses.end();
}

// --- Memory

void MachineEvaluator::note_read(u32 node, PhysicalAddress address, u32 size) {
    if (arming().live[node] && machine_.mmu().memory().is_memory(address))
        read_.push_back({address, size});
}

void MachineEvaluator::note_walk(u32 node, const Walk& walk) {
    const u32 bytes = machine_.mmu().control().entry_bytes();
    for (u32 level = 1; level <= 2; ++level)
        if (walk.at(level).read)
            note_read(node, walk.at(level).entry_address, bytes);
}

Value MachineEvaluator::physical_at(u32 node, PhysicalAddress address, u32 size) {
    std::array<u8, 8> bytes{};
    if (!machine_.mmu().memory().read(address, std::span(bytes).first(size)))
        return Value::unknown();
    note_read(node, address, size);
    u64 bits = 0;
    std::memcpy(&bits, bytes.data(), sizeof bits);
    return {bits, 32, true};
}

// Each page of it is translated.
Value MachineEvaluator::memory_at(u32 number) {
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
Value MachineEvaluator::entry_at(u32 number) {
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
    if (mode() != Mode::Look) // as a whole, for the message
        memory_of(number).before = std::exchange(memory_of(number).value, entry);
    return {field_of(node.field, entry), 64, true};
}

// --- Translations

// Another frame, or a right that the tables no longer give. More rights in the tables, and A, are no difference that
// the processor would not notice (SDM 3A 4.10.4.3).
bool MachineEvaluator::stale(u32 linear, u32 node) {
    const Mmu& mmu = machine_.mmu();
    if (!mmu.control().paging())
        return false;
    const Walk walk = mmu.paging().look(LinearAddress(linear), Privilege::Supervisor, AccessKind::Read);
    note_walk(node, walk);
    if (mode() != Mode::Look)
        memory_of(node).value = 0;
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
        if (differs && !found && mode() != Mode::Look) { // for the message
            memory_of(node).value = entry.entry;
            memory_of(node).before = walk.large ? walk.at(2).entry : walk.at(1).entry;
        }
        found = found || differs;
    });
    return found;
}

} // namespace forkscope
