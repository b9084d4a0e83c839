// Owns: DecodedRun, and decoding the code at EIP into one, with handlers and static costs bound.
// Callers: engines. Promises: what lies in one page of memory is read from there alone; an instruction that lies in two
// pages or in device memory is fetched byte by byte and runs alone.
#pragma once

#include "cpu/engine/block.hpp"
#include "cpu/execute/context.hpp"

namespace forkscope {

struct DecodedRun {
    std::array<Instruction, kMostInstructionsInBlock> instructions;
    u32 count = 0;
    Lookahead lookahead;
    PipelineState exit; // behind all of it
};

// From `start`, which EIP means, to the end of the page or of what may stand in a block, `most` instructions at most.
// False: not one whole instruction lies in this page's memory.
bool read_run(Context& cpu, PhysicalAddress start, u32 most, DecodedRun& run);

// Reads a run and keeps it, while the frame is flagged as code's. Null: as above. May drop every older block.
Block* read_block(Context& cpu, PhysicalAddress start, BlockCache& blocks, DecodedRun& scratch);

// Fetches and runs such an instruction.
void run_crossing_instruction(Context& cpu, DecodedRun& scratch);

} // namespace forkscope
