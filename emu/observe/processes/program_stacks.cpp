#include "emu/observe/processes/program_stacks.hpp"

#include <algorithm>

#include "emu/base/archive/containers.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kMostSpaces = 65536; // more than any guest has alive

bool is_near(const StackRange& a, const StackRange& b) {
    return u64{a.low} <= u64{b.high} + ProgramStacks::kReach && u64{b.low} <= u64{a.high} + ProgramStacks::kReach;
}

} // namespace

bool StackRange::holds(u32 address) const {
    return address >= (low & ~kPageMask) && address <= ((high - 1) | kPageMask);
}

bool in_stack(const std::vector<StackRange>& stacks, u32 address) {
    return std::any_of(stacks.begin(), stacks.end(), [&](const StackRange& stack) { return stack.holds(address); });
}

void ProgramStacks::seen(u32 space, u32 pointer) {
    if (pointer == 0) // nobody's: what is pushed there would lie at the end of all addresses
        return;
    const std::vector<StackRange>& known = of(space);
    const auto covers = [&](const StackRange& stack) { return pointer >= stack.low && pointer <= stack.high; };
    if (std::any_of(known.begin(), known.end(), covers))
        return;
    if (known.empty() && spaces_.size() >= kMostSpaces)
        spaces_.erase(spaces_.begin()->first);
    add(spaces_[space], {pointer, pointer});
}

void ProgramStacks::inherit(u32 space, const std::vector<StackRange>& stacks) {
    if (stacks.empty())
        return;
    std::vector<StackRange>& own = spaces_[space];
    for (const StackRange& stack : stacks)
        add(own, stack);
}

// Stacks that have come close to each other are one.
void ProgramStacks::add(std::vector<StackRange>& stacks, StackRange more) {
    const auto takes_in = [&](const StackRange& stack) {
        if (!is_near(stack, more))
            return false;
        more = {std::min(stack.low, more.low), std::max(stack.high, more.high)};
        return true;
    };
    std::erase_if(stacks, takes_in);
    if (stacks.size() >= kMostStacks)
        return;
    const auto above =
        std::find_if(stacks.begin(), stacks.end(), [&](const StackRange& stack) { return stack.low > more.low; });
    stacks.insert(above, more);
}

const std::vector<StackRange>& ProgramStacks::of(u32 space) const {
    static const std::vector<StackRange> kNone;
    const auto found = spaces_.find(space);
    return found == spaces_.end() ? kNone : found->second;
}

bool ProgramStacks::reaches(u32 space, u32 address) const {
    const std::vector<StackRange>& stacks = of(space);
    return std::any_of(stacks.begin(), stacks.end(), [&](const StackRange& stack) {
        return stack.holds(address) || (address < stack.low && stack.low - address <= kReach);
    });
}

void StackRange::serialize(Archive& ar) {
    ar.field("low", low);
    ar.field("high", high);
    if (ar.loading() && (low == 0 || low > high))
        ar.fail("no such stack");
}

void ProgramStacks::serialize(Archive& ar) {
    archive_map(ar, "spaces", spaces_, kMostSpaces,
                [&](std::vector<StackRange>& stacks) { ar.sequence("stacks", stacks, kMostStacks); });
}

} // namespace forkscope
