// Owns: OwnedBreakpoints, the linear addresses before whose instruction a run stops, each with its owner; and those
// that a run passes and somebody hears of. Callers: the Machine has them; stop conditions, debuggers and fork profiles
// set theirs. Promises: nobody removes or hides another owner's; they survive reset and restore; no hash knows of them.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

class OwnedBreakpoints {
  public:
    enum class Owner : u32 {};
    struct Breakpoint {
        u32 id = 0; // from 1, never used twice
        Owner owner{};
        u32 linear = 0;
    };
    // Hears all addresses whenever they change, each once.
    using Changed = std::function<void(std::vector<u32> linear_addresses)>;

    explicit OwnedBreakpoints(Changed changed) : changed_(std::move(changed)) {}

    Owner new_owner() { return Owner{++owners_}; }
    // Returns its id. Several may lie at one address.
    u32 add(Owner owner, u32 linear);
    // False if the owner has none of that id.
    bool remove(Owner owner, u32 id);
    void remove_all(Owner owner);
    // Places that a run passes: `passed` hears of each before its instruction executes, and only looks. The last ones
    // set hold.
    using Passed = std::function<void(u32 linear)>;
    void set_passed(std::vector<u32> linear_addresses, Passed passed);
    // The instruction at an address comes next: who hears of it does. Whether the run stops there.
    bool meet(u32 linear) const;
    // In the order of adding.
    std::span<const Breakpoint> all() const { return all_; }
    // The first one at an address; 0: there is none.
    u32 first_at(u32 linear) const;

  private:
    void tell() const;

    Changed changed_;
    std::vector<Breakpoint> all_;
    std::vector<u32> passed_; // sorted
    Passed hears_;
    u32 owners_ = 0;
    u32 last_id_ = 0;
};

} // namespace forkscope
