// Owns: where programs have their stacks, as far as their stack pointers have shown it: ranges by address space.
// Callers: fork tracer; reports and window by way of its records. Promises: a value, bounded; no address and no kernel
// is known beforehand.
#pragma once

#include <vector>

#include "emu/base/archive.hpp"
#include "emu/base/shared/shared_map.hpp"

namespace forkscope {

// Of one stack: the lowest and the highest stack pointer that were seen. An empty stack's points just above it.
struct StackRange {
    u32 low = 0, high = 0;

    // In a page that the pointer was seen in.
    bool holds(u32 address) const;
    bool operator==(const StackRange&) const = default;
    void serialize(Archive& ar);
};

class ProgramStacks {
  public:
    static constexpr std::size_t kMostStacks = 16; // of a space; a seventeenth is not learned
    // A pointer so far from all others is another stack's. A page that is touched so far below a stack makes it grow:
    // Linux let accesses go 64 KB below the pointer, for ENTER stores so far (arch/x86/mm/fault.c before 4.20).
    static constexpr u32 kReach = 0x10000;

    // A program of this space runs with this stack pointer, or has just pushed there.
    void seen(u32 space, u32 pointer);
    // The child of a fork: its program has the parent's stacks besides those it has shown already.
    void inherit(u32 space, const std::vector<StackRange>& stacks);
    // Another program has the space: exec, or the end of a process.
    void forget(u32 space) { spaces_.erase(space); }

    const std::vector<StackRange>& of(u32 space) const;
    // What a first touch of the address makes grow.
    bool reaches(u32 space, u32 address) const;
    void serialize(Archive& ar);
    auto held() const { return std::tie(spaces_); }

  private:
    static void add(std::vector<StackRange>& stacks, StackRange more);

    SharedMap<u32, std::vector<StackRange>> spaces_; // each in the order of addresses
};

bool in_stack(const std::vector<StackRange>& stacks, u32 address);

} // namespace forkscope
