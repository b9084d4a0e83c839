// Owns: Checkpoint, a machine and its observers at one moment, in memory; CheckpointKeeper, which makes them and puts
// one back. Callers: the timeline. Promises: making one costs what was written since the last, putting one back what
// differs; the state that comes back is that of the moment, bit for bit, TLB and observers included.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "emu/machine/machine.hpp"
#include "emu/machine/timeline/frame_image.hpp"
#include "emu/machine/timeline/page_pool.hpp"
#include "emu/machine/timeline/position.hpp"

namespace forkscope {

// So many bytes are counted while it lives.
class Charge {
  public:
    explicit Charge(std::shared_ptr<u64> total = nullptr, u64 bytes = 0) : total_(std::move(total)), bytes_(bytes) {
        if (total_ != nullptr)
            *total_ += bytes_;
    }
    Charge(const Charge& other) : Charge(other.total_, other.bytes_) {}
    Charge& operator=(Charge other) {
        std::swap(total_, other.total_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~Charge() {
        if (total_ != nullptr)
            *total_ -= bytes_;
    }

  private:
    std::shared_ptr<u64> total_;
    u64 bytes_ = 0;
};

struct Checkpoint {
    // Bytes of a section, in pages that checkpoints share.
    struct Section {
        u64 size = 0;
        std::vector<Page> pages;
    };

    Position at;
    Cycles busy = 0;            // of those since power-on the CPU was not halted in so many
    std::size_t inputs = 0;     // so many of the log's came before
    std::vector<Section> state; // as Machine::save_checkpoint() has them
    FrameImage memory;
    std::vector<std::shared_ptr<PartState>> parts;
    std::vector<std::string> absent_parts; // observers who did not know what came before it
    Position written_since{~u64{0}, 0, 0}; // from then on `written` knows of every store
    std::vector<u32> written;              // frames, in order
    Charge charge;                         // what it takes beyond the one before it, but for pages

    bool may_have_written(u64 frame, Position from) const {
        return from < written_since || std::binary_search(written.begin(), written.end(), frame);
    }
};

class CheckpointKeeper {
  public:
    explicit CheckpointKeeper(Machine& machine) : machine_(machine), memory_(machine.mmu().memory().frame_count()) {}

    // What it takes counts beyond the one made or put back last.
    std::shared_ptr<const Checkpoint> make();
    // One that this keeper made, of this machine.
    void put_back(std::shared_ptr<const Checkpoint> checkpoint);
    // The next one, where one between it and the one before goes: it knows of what was written since the one before,
    // and holds what only those two had.
    std::shared_ptr<const Checkpoint> without(const Checkpoint& before, const Checkpoint& gone,
                                              const Checkpoint& next) const;
    // That all checkpoints take which still live.
    u64 bytes() const { return pool_.bytes() + *others_; }

  private:
    Page last_page(std::size_t section, std::size_t page) const;
    Charge charge(const Checkpoint& checkpoint, const Checkpoint* before) const;
    void put_back_memory(const FrameImage& image);

    Machine& machine_;
    PagePool pool_;
    std::shared_ptr<u64> others_ = std::make_shared<u64>(0); // bytes that are no pages
    std::shared_ptr<const Checkpoint> last_;                 // made or put back
    FrameImage memory_;                                      // as it was when epoch_ began
    u32 epoch_ = 1;                                          // the first epoch: all frames ever written
};

} // namespace forkscope
