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

    bool may_have_written(u64 frame, Position from) const {
        return from < written_since || std::binary_search(written.begin(), written.end(), frame);
    }
};

class CheckpointKeeper {
  public:
    explicit CheckpointKeeper(Machine& machine) : machine_(machine), memory_(machine.mmu().memory().frame_count()) {}

    std::shared_ptr<const Checkpoint> make();
    // One that this keeper made, of this machine.
    void put_back(std::shared_ptr<const Checkpoint> checkpoint);
    // That all checkpoints take which still live, but for observers' parts.
    u64 bytes() const { return pool_.bytes(); }

  private:
    Page last_page(std::size_t section, std::size_t page) const;
    void put_back_memory(const FrameImage& image);

    Machine& machine_;
    PagePool pool_;
    std::shared_ptr<const Checkpoint> last_; // made or put back
    FrameImage memory_;                      // as it was when epoch_ began
    u32 epoch_ = 1;                          // the first epoch: all frames ever written
};

} // namespace forkscope
