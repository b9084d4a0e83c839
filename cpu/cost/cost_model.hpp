// Owns: CostModel, what an instruction costs on the modelled processor: static clocks, and what the pipeline remembers.
// Callers: CostMeter binds and settles with it. Promises: static clocks are a pure function of the table's
// row, the bytes and PipelineState, so every engine gets the same; docs/clock-models.md says what each --clock counts.
#pragma once

#include <array>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "cpu/cost/bus_use.hpp"
#include "cpu/cost/instruction_use.hpp"
#include "cpu/cost/latencies.hpp"
#include "cpu/cost/prefetch_queue.hpp"
#include "cpu/models/model.hpp"
#include "emu/base/archive.hpp"
#include "emu/base/trace_vocabulary.hpp"

namespace forkscope {

enum class CostModelKind : u8 {
    Flat,  // a cost by class, the same on every model
    Model, // the model's table, pipeline, branches, TLB walks, misaligned accesses; memory always answers at once
    Cache, // and its first-level caches
};

// What the instructions so far leave for the next one. All zero behind a taken jump that leaves nothing, after RESET,
// and always where costs are flat.
struct PipelineState {
    u16 written = 0;     // general registers that the last instruction (Pentium: the last pair) wrote, by bit
    u16 waiting = 0;     // Pentium: those that the instruction in the U pipe wrote, which may still get a partner
    u16 clocks = 0;      // Pentium: what that one costs; 0: none is pending
    u8 kind = 0;         // Pentium: of that one
    bool jumped = false; // 386: by a jump that wants the m of its target
    u8 refill = 0;       // 386: clocks of filling the queue that the transfer has paid; its m, too, if not `jumped`
    PrefetchQueue queue; // 386

    bool operator==(const PipelineState& other) const { return std::memcmp(this, &other, sizeof other) == 0; }
    void serialize(Archive& ar); // but for the 386's queue
};
static_assert(std::has_unique_object_representations_v<PipelineState>);

// How an instruction's cost ends when it has run.
enum CostEnding : u8 {
    kMayJump = 1, // if it does, StaticCost::taken more
    kAlwaysJumps = 2,
    kDecidedLate = 4, // costs CostModel::row, unless CostMeter::take_path was called
    kPredicted = 8,   // by the branch target buffer
    kInV = 16,        // runs in the V pipe
    kAtPort = 32,
    kCheaperTaken = 64, // StaticCost::taken is what it costs more if it does not jump
    kByOperand = 128,   // with a prefetch queue: more by its operand, which the queue must learn
};

struct StaticCost {
    u16 clocks = 0;
    u8 penalty = 0; // of them, what the pipeline cost
    u8 taken = 0;
    u8 ending = 0; // CostEnding, bits
};

class CostModel {
  public:
    CostModel();
    void configure(CpuModel model, CostModelKind kind, BusWidth bus = BusWidth::Bits32);
    CostModelKind kind() const { return kind_; }
    bool flat() const { return kind_ == CostModelKind::Flat; }
    bool queues() const { return queues_; } // the 386's prefetch queue counts
    const BusParameters& bus() const { return bus_; }
    bool caches() const { return kind_ == CostModelKind::Cache && processor_.data_cache.sets != 0; }
    bool predicts() const { return !flat() && processor_.predicts_branches; }

    // The cost of `in` behind `pipeline`, which moves on to behind `in`.
    StaticCost advance(PipelineState& pipeline, const Instruction& in) const;

    // The same with a prefetch queue (cost_model_queue.cpp), where the instructions that follow one count, too.
    QueuedInstruction queued(std::span<const u8> bytes, const Instruction& in) const;
    // Nothing behind it is decoded as long as it has not run.
    static bool ends_ahead(const QueuedInstruction& one, const Instruction& in) { return one.stops || in.form == 0; }
    // The static clocks of ahead[0], whose CostEnding is `ending`; waiting for its bytes included. If that has
    // kDecidedLate or kByOperand, `pipeline` stays until settle_queue().
    u32 advance_queue(PipelineState& pipeline, u8 ending, std::span<const QueuedInstruction> ahead) const;
    // That instruction ran `clocks` after its start and has not jumped: what it cost beyond that.
    u32 settle_queue(PipelineState& pipeline, std::span<const QueuedInstruction> ahead, Cycles clocks) const;
    // What passes before it starts, or faults instead.
    u32 wait_for(const PipelineState& pipeline, std::span<const QueuedInstruction> ahead) const;

    // After `in` has jumped to `target` (`whole`: its clocks hold the 386's m, too); after an interrupt or exception;
    // where registers set from outside lead.
    PipelineState behind_jump(const PipelineState& pipeline, const Instruction& in, u32 target, bool whole) const;
    PipelineState behind_delivery(u32 target) const;
    PipelineState at_new_place(u32 target) const;

    // Clocks of a path that is chosen while running. 0 where costs are flat.
    u32 path(CostPath path) const { return paths_[static_cast<std::size_t>(path)]; }
    // The table's figure for this form, for what is decided late and took no other path.
    u32 row(const Instruction& in) const;
    // What takes its place outside of real mode.
    const LateCost& late(const Instruction& in) const { return rows_[in.form].late; }
    // Flat clock: what a form costs; what an interrupt or exception costs.
    u16 flat_clocks(u16 form) const { return rows_[form].cell.reg; }
    u32 delivery() const { return delivery_; }
    // One iteration of a repeated string or port instruction.
    u32 iteration(const Instruction& in) const;
    // Does its row tell repeated strings apart from others? And is it REP MOVS, where a count of one is cheaper?
    bool tells_repeats(const Instruction& in) const;
    bool moves(const Instruction& in) const { return rows_[in.form].cell.rule == LatencyRule::RepeatMove; }
    // What an operand's value adds: the multiplier, the source of a bit scan, the count of RCL and RCR, for SETcc and
    // CMPXCHG whether the condition held.
    u32 by_operand(const Instruction& in, u32 value) const;
    // Does what `cause` costs on this model rest on figures that nothing confirms?
    bool estimated(CycleCause cause) const;
    // A page walk that wrote `updates` entries.
    u32 walk(u32 updates) const;

  private:
    struct Row {
        Latency cell{};
        LateCost late{};
        Pairing pairing = Pairing::None;
        u8 ending = 0;
        FormBusUse bus_use{};
        bool stops_prefetch = false;
    };
    u32 base(const Instruction& in) const;
    static u32 paid(const PipelineState& pipeline, const QueuedInstruction& now);
    u32 penalty(const PipelineState& pipeline, const Instruction& in, const InstructionUse& use) const;
    void advance_pentium(PipelineState& pipeline, const Instruction& in, const InstructionUse& use,
                         StaticCost& cost) const;

    ModelCost processor_{};
    CostModelKind kind_ = CostModelKind::Flat;
    bool queues_ = false;
    BusParameters bus_ = kBus386Dx;
    u32 delivery_ = 0;
    std::vector<Row> rows_;  // by form
    std::vector<u32> paths_; // by CostPath
};

} // namespace forkscope
