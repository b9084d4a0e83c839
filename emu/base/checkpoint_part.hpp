// Owns: CheckpointPart, how an observer's state goes into snapshots and checkpoints and comes back.
// Callers: observers offer their parts; the session registers them with the Machine, which saves and restores them and
// knows no observer. Promises: a part is never hashed, and nothing of it reaches what the guest sees.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "emu/base/archive.hpp"
#include "emu/base/shared/footprint.hpp"

namespace forkscope {

// A part's state at one moment, apart from its owner, who goes on without changing it.
class PartState {
  public:
    virtual ~PartState() = default;
    virtual void serialize(Archive& ar) = 0;
    // What it takes in memory and an earlier state of the same owner, or none, does not.
    virtual u64 bytes_beyond(const PartState* before) const = 0;
};

struct CheckpointPart {
    std::string name; // of the snapshot's section
    u32 version = 1;  // of what serialize() writes
    // The state now. Shares what will not change any more, so that a checkpoint costs only what is still open.
    std::function<std::shared_ptr<PartState>()> save;
    // A state for a section to be loaded into: a section that turns out to be damaged has touched nothing then.
    std::function<std::shared_ptr<PartState>()> make;
    // Called when the machine itself is restored. nullptr: the snapshot has no such section.
    std::function<void(const PartState*)> restore;
};

// The part of an owner that has `State state() const`, a value with serialize(), and `void restore(const State*)`. The
// state's members that hold memory are named by its held(), as Footprint wants them.
// The owner outlives the part.
template <class Owner> CheckpointPart checkpoint_part(std::string name, u32 version, Owner& owner) {
    using State = decltype(std::as_const(owner).state());
    struct Kept final : PartState {
        explicit Kept(State kept = {}) : state(std::move(kept)) {}
        void serialize(Archive& ar) override { state.serialize(ar); }
        u64 bytes_beyond(const PartState* before) const override {
            return sizeof *this + forkscope::bytes_beyond(
                                      state, before != nullptr ? &static_cast<const Kept*>(before)->state : nullptr);
        }
        State state;
    };
    CheckpointPart part;
    part.name = std::move(name);
    part.version = version;
    part.save = [&owner] { return std::make_shared<Kept>(std::as_const(owner).state()); };
    part.make = [] { return std::make_shared<Kept>(); };
    part.restore = [&owner](const PartState* kept) {
        owner.restore(kept != nullptr ? &static_cast<const Kept*>(kept)->state : nullptr);
    };
    return part;
}

} // namespace forkscope
