// Owns: OwnedWatchpoints, the bytes of memory whose accesses by the guest are told, each with its owner; linear, in
// whatever space, or physical, by whatever mapping. Callers: the Machine has them; debuggers and stop conditions add
// and remove theirs. Promises: each load and store of the processor is told, whatever instruction makes it (page walks
// that set A or D are none); nobody removes another owner's; they survive reset and restore; no hash knows of them.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "mmu/mmu.hpp"

namespace forkscope {

enum class WatchSpace : u8 { Linear, Physical };

struct WatchedBytes {
    WatchSpace space{};
    u64 address = 0;
    u32 size = 1; // at least 1; linear ones may wrap around the end, physical ones lie in RAM or ROM
    bool reads = false;
    bool writes = true;
};

struct WatchHit {
    u32 id = 0;
    u64 address = 0; // the first watched byte that the access touches, in the watch's own space
    AccessKind kind{};
};

class OwnedWatchpoints {
  public:
    enum class Owner : u32 {};
    // Called while the instruction runs: linear ones before the access is carried out, physical ones after. It may ask
    // the machine to stop, and must not move it or change watchpoints.
    using Listener = std::function<void(const WatchHit&)>;

    explicit OwnedWatchpoints(Mmu& mmu);
    ~OwnedWatchpoints();
    OwnedWatchpoints(const OwnedWatchpoints&) = delete;
    OwnedWatchpoints& operator=(const OwnedWatchpoints&) = delete;

    Owner new_owner(Listener listener);
    // Returns its id, from 1, never used twice.
    u32 add(Owner owner, const WatchedBytes& bytes);
    // False if the owner has none of that id.
    bool remove(Owner owner, u32 id);
    void remove_all(Owner owner);
    bool empty() const { return all_.empty(); }
    // After a restore, which knows no flags of frames.
    void restored();

  private:
    struct Watchpoint {
        u32 id = 0;
        Owner owner{};
        WatchedBytes bytes;
    };

    void changed();
    void accessed(WatchSpace space, u64 address, u32 size, AccessKind kind) const;

    Mmu& mmu_;
    std::vector<Watchpoint> all_; // in the order of adding
    std::map<u32, Listener> listeners_;
    std::vector<u64> frames_; // flagged for physical ones
    u32 last_id_ = 0;
};

} // namespace forkscope
