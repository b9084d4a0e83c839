// Owns: BlockEngine, which keeps decoded runs by (physical address, mode) and runs them whole.
// Callers: the Cpu. Promises: a store into a block kills it before the next instruction runs; a run is decoded again
// only if its bytes changed or the blocks were dropped (forget(), a full cache).
#pragma once

#include "cpu/engine/code_reader.hpp"
#include "cpu/engine/engine.hpp"

namespace forkscope {

class BlockEngine final : public Engine {
  public:
    explicit BlockEngine(Context& cpu) : cpu_(cpu) {}

    void run(u64 instruction_limit) override;
    bool code_changed(PhysicalAddress address, u32 size) override;
    void forget() override { blocks_.clear(); }

  private:
    Context& cpu_;
    BlockCache blocks_;
    DecodedRun code_; // being decoded
};

} // namespace forkscope
