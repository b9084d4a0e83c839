#include "cpu/cost/cost_model.hpp"

#include <algorithm>

namespace forkscope {

namespace {

constexpr u32 kFlatClocks[] = {
#define COST_CLASS(name, flat, p6, text) flat,
#include "cpu/cost/cost_classes.def"
#undef COST_CLASS
};

constexpr u16 kEspBit = 1u << kEsp;
constexpr u16 kStackMoved = 1u << 8; // in PipelineState::waiting: the stack engine did

u8 ending_of(const Form& form, Late late) {
    const u8 ending = static_cast<u8>((late != Late::No ? kDecidedLate : 0) | (form.port != Port::None ? kAtPort : 0));
    switch (form.transfer) {
    case Transfer::None:
        return ending;
    case Transfer::Branch:
    case Transfer::Loop:
        return ending | kMayJump | kPredicted;
    case Transfer::Jump:
    case Transfer::Call:
    case Transfer::Return:
        return ending | kAlwaysJumps | kPredicted;
    case Transfer::Overflow:
        return ending | kMayJump;
    default:
        return ending | kAlwaysJumps;
    }
}

u32 memory_or_register(const Latency& cell, const Instruction& in) { return in.has_memory() ? cell.mem : cell.reg; }

u32 enter_clocks(const Latency& cell, u32 level) {
    if (level == 0)
        return cell.reg;
    if (level == 1)
        return cell.mem;
    return cell.mem + cell.step * level - (cell.rule == LatencyRule::EnterLess ? 1 : 0);
}

// Of the 386's rules, those that depend on a value in a register or in memory.
bool goes_by_operand(const Latency& cell) {
    return cell.rule == LatencyRule::Multiply || cell.rule == LatencyRule::MultiplySigned ||
           cell.rule == LatencyRule::BitScan || cell.rule == LatencyRule::BitScanReverse;
}

bool repeats(const Latency& cell) {
    return cell.rule == LatencyRule::Repeat || cell.rule == LatencyRule::RepeatMove ||
           cell.rule == LatencyRule::RepeatPort;
}

u32 bits_of(u32 value) { // ceil(log2 value)
    return value <= 1 ? 0 : 32 - static_cast<u32>(__builtin_clz(value - 1));
}

u32 scan_clocks(const Latency& cell, u32 width, u32 source) {
    if (source == 0)
        return 0;
    const u32 lowest = static_cast<u32>(__builtin_ctz(source));
    const u32 highest = 31 - static_cast<u32>(__builtin_clz(source));
    switch (cell.rule) {
    case LatencyRule::BitScan:
        return cell.step * lowest;
    case LatencyRule::BitScanReverse:
        return cell.step * (width - 1 - highest);
    case LatencyRule::BitScanNibbles:
        return 2 + 4 * (lowest / 8 + 1) + 3 * (lowest / 4 % 2 + 1) + 3 * (lowest % 4 + 1);
    case LatencyRule::BitScanPlaces:
        return cell.step * (width - highest);
    default: // BitScanPlaces1
        return 1 + cell.step * (32 - highest);
    }
}

u32 multiply_clocks(const Latency& cell, u32 width, u32 multiplier) {
    const u32 unused = 32 - width;
    const bool negative = cell.rule != LatencyRule::Multiply && (multiplier >> (width - 1) & 1) != 0;
    const u32 magnitude =
        negative ? 0u - static_cast<u32>(static_cast<i32>(multiplier << unused) >> unused) : multiplier;
    const u32 least = negative && cell.rule == LatencyRule::MultiplySigned5 ? 5 : 3;
    return std::max(least, bits_of(magnitude));
}

// Bits of the operand that comes first.
u32 width_of(const Form& form, const Instruction& in) { return operand_bytes(form.operands[0], in) * 8; }

} // namespace

void PipelineState::serialize(Archive& ar) {
    ar.field("written", written);
    ar.field("waiting", waiting);
    ar.field("clocks", clocks);
    ar.field("kind", kind);
    ar.field("jumped", jumped);
}

CostModel::CostModel() { configure(kDefaultCpuModel, CostModelKind::Flat); }

void CostModel::configure(CpuModel model, CostModelKind kind, BusWidth bus) {
    processor_ = model_of(model).cost;
    kind_ = kind;
    queues_ = !flat() && processor_.pipeline == Pipeline::PrefetchQueue;
    bus_ = bus_parameters(bus);
    delivery_ = flat() ? kFlatClocks[static_cast<std::size_t>(CostClass::Delivery)] : 0;
    rows_.assign(form_count(), {});
    for (u16 form = 0; form < form_count(); ++form) {
        const LatencyRow& row = latency_row(form);
        const CostClass cost = form_at(form).cost;
        const auto fixed =
            static_cast<u16>(flat() ? kFlatClocks[static_cast<std::size_t>(cost)] : estimated_latency(cost));
        const Latency by_class{fixed, fixed, 0, LatencyRule::Fixed, LatencySource::Estimate};
        rows_[form].cell = flat() || processor_.by_class ? by_class : row.of(processor_.latencies);
        rows_[form].pairing = row.pairing;
        rows_[form].late = flat() ? LateCost{} : row.late;
        rows_[form].ending = flat() ? u8{0} : ending_of(form_at(form), row.late.late);
        if (!predicts())
            rows_[form].ending &= static_cast<u8>(~kPredicted);
        if (queues_) {
            rows_[form].ending |= goes_by_operand(rows_[form].cell) ? kByOperand : 0;
            rows_[form].bus_use = bus_use_of_form(form);
            rows_[form].stops_prefetch = stops_prefetch(form_at(form).transfer);
        }
    }
    paths_.assign(path_latencies().size(), 0);
    for (std::size_t i = 0; i < paths_.size() && !flat(); ++i) {
        const PathLatency& path = path_latencies()[i];
        paths_[i] = path.of(processor_.latencies);
    }
}

u32 CostModel::base(const Instruction& in) const {
    const Latency& cell = rows_[in.form].cell;
    switch (cell.rule) {
    case LatencyRule::Branch:
        return std::min(cell.reg, cell.mem);
    case LatencyRule::Width: {
        const u32 more = in.has_memory() ? u32{cell.mem} - cell.reg : 0;
        return in.operand_size == 2 ? cell.reg + more : cell.step + more;
    }
    case LatencyRule::Condition:
        return in.has_memory() ? cell.mem : u32{cell.reg} - cell.step;
    case LatencyRule::Enter:
    case LatencyRule::EnterLess:
        return enter_clocks(cell, in.immediate2 & 31);
    case LatencyRule::ControlRegister:
        return in.reg == 4 ? path(CostPath::LoadCr4) : in.reg == 3 ? cell.step : in.reg == 2 ? cell.mem : cell.reg;
    case LatencyRule::DebugRegister:
        return in.reg < 4 ? cell.reg : cell.mem;
    case LatencyRule::Repeat:
    case LatencyRule::RepeatMove:
    case LatencyRule::RepeatPort:
        return in.repeats() ? 0 : cell.reg;
    default:
        return memory_or_register(cell, in);
    }
}

bool CostModel::tells_repeats(const Instruction& in) const { return repeats(rows_[in.form].cell) && in.repeats(); }

u32 CostModel::row(const Instruction& in) const {
    const Latency& cell = rows_[in.form].cell;
    if (tells_repeats(in))
        return cell.mem;
    return base(in);
}

u32 CostModel::iteration(const Instruction& in) const {
    const Latency& cell = rows_[in.form].cell;
    if (repeats(cell))
        return cell.step;
    const CostClass cost = form_at(in.form).port != Port::None ? CostClass::Io : CostClass::StringStep;
    return flat() ? kFlatClocks[static_cast<std::size_t>(cost)] : estimated_latency(cost);
}

u32 CostModel::by_operand(const Instruction& in, u32 value) const {
    const Latency& cell = rows_[in.form].cell;
    switch (cell.rule) {
    case LatencyRule::Multiply:
    case LatencyRule::MultiplySigned:
    case LatencyRule::MultiplySigned5:
        return multiply_clocks(cell, width_of(form_at(in.form), in), value);
    case LatencyRule::BitScan:
    case LatencyRule::BitScanReverse:
    case LatencyRule::BitScanNibbles:
    case LatencyRule::BitScanPlaces:
    case LatencyRule::BitScanPlaces1:
        return scan_clocks(cell, width_of(form_at(in.form), in), value);
    case LatencyRule::RotateCarry:
        return value == 0 ? 0 : cell.step * (value - 1) / 30;
    case LatencyRule::Condition:
        return in.has_memory() == (value != 0) ? 0 : cell.step;
    case LatencyRule::Exchange:
        return value == 0 && in.has_memory() ? cell.step : 0;
    default:
        return 0;
    }
}

u32 CostModel::walk(u32 updates) const {
    constexpr CostPath kWalks[] = {CostPath::WalkClean, CostPath::WalkOneUpdate, CostPath::WalkTwoUpdates};
    return path(kWalks[std::min<u32>(updates, 2)]);
}

bool CostModel::estimated(CycleCause cause) const {
    if (flat() || processor_.by_class)
        return !flat();
    constexpr std::pair<CycleCause, CostPath> kTypical[] = {
        {CycleCause::Pipeline, CostPath::AddressInterlock},
        {CycleCause::Branch, CostPath::MispredictedU},
        {CycleCause::TlbWalk, CostPath::WalkClean},
        {CycleCause::Cache, CostPath::CacheMissRead},
        {CycleCause::Misaligned, CostPath::Misaligned},
        {CycleCause::Delivery, CostPath::InterruptInner},
        {CycleCause::Io, CostPath::InAllowed},
    };
    for (const auto& [of, path] : kTypical) {
        if (of == cause)
            return path_latency(path).sources[static_cast<std::size_t>(processor_.latencies)] ==
                   LatencySource::Estimate;
    }
    return false;
}

// --- The pipeline

// What the address and the instruction's looks cost before it starts.
u32 CostModel::penalty(const PipelineState& pipeline, const Instruction& in, const InstructionUse& use) const {
    const u32 prefixes = in.prefixes - (tells_repeats(in) ? 1u : 0u); // the row is REP's own
    u32 clocks = prefixes * path(CostPath::Prefix);
    const u16 address = static_cast<u16>(use.address | (use.stack ? kEspBit : 0));
    if ((address & pipeline.written) != 0)
        clocks += path(CostPath::AddressInterlock);
    if (in.has_memory() && in.index != kNoRegister)
        clocks += path(CostPath::IndexRegister);
    if (use.displacement && use.immediate)
        clocks += path(CostPath::DisplacementAndImmediate);
    return clocks;
}

StaticCost CostModel::advance(PipelineState& pipeline, const Instruction& in) const {
    StaticCost cost;
    const Row& row = rows_[in.form];
    cost.clocks = static_cast<u16>(base(in));
    if (flat())
        return cost;
    cost.ending = row.ending;
    if (tells_repeats(in))
        cost.ending |= kDecidedLate;
    if ((cost.ending & kDecidedLate) != 0)
        cost.clocks = 0;
    if (row.cell.rule == LatencyRule::Branch) { // the Pentium's LOOP is cheaper when it jumps
        cost.taken = static_cast<u8>(std::max(row.cell.reg, row.cell.mem) - cost.clocks);
        cost.ending |= row.cell.mem < row.cell.reg ? kCheaperTaken : 0;
    }
    const Pipeline kind = processor_.pipeline;
    if (kind == Pipeline::None || kind == Pipeline::PrefetchQueue) // advance_queue() does the latter
        return cost;
    const InstructionUse use = use_of(in);
    if (kind == Pipeline::TwoPipes) {
        advance_pentium(pipeline, in, use, cost);
        return cost;
    }
    cost.penalty = static_cast<u8>(penalty(pipeline, in, use));
    cost.clocks = static_cast<u16>(cost.clocks + cost.penalty);
    pipeline = {};
    pipeline.written = use.written;
    return cost;
}

namespace {

// By what they do to memory: paired times depend on it.
enum Kind : u8 { kRegister, kReads, kModifies, kKinds, kFloat = kKinds };
Kind kind_of(u32 clocks) { return clocks >= 3 ? kModifies : clocks == 2 ? kReads : kRegister; }
constexpr u8 kPaired[kKinds][kKinds] = {{1, 2, 3}, {2, 2, 3}, {3, 4, 5}}; // U, V

// PUSH, POP and CALL follow each other at the stack pointer without a stall; an instruction that names ESP waits for
// them.
bool pairs_by_registers(const PipelineState& pipeline, const InstructionUse& use) {
    const u16 named = use.read | use.written;
    const bool after_stack = (pipeline.waiting & kStackMoved) != 0 && (named & kEspBit) != 0 && !use.stack;
    const bool before_stack = (pipeline.waiting & kEspBit) != 0 && use.stack;
    return (named & pipeline.waiting) == 0 && !after_stack && !before_stack;
}

} // namespace

// AP-500, chapter 3: U first; V takes the next if both are simple and it needs nothing that U writes.
void CostModel::advance_pentium(PipelineState& pipeline, const Instruction& in, const InstructionUse& use,
                                StaticCost& cost) const {
    const Pairing pairing = rows_[in.form].pairing;
    const bool plain = !(use.displacement && use.immediate);
    cost.penalty = static_cast<u8>(penalty(pipeline, in, use));
    const bool waits = pipeline.clocks != 0;
    const bool to_v = pipeline.kind == kFloat ? pairing == Pairing::Exchange
                                              : pairing == Pairing::Either || pairing == Pairing::Second;
    if (waits && to_v && plain && in.prefixes == 0 && pairs_by_registers(pipeline, use)) {
        const u32 together = pipeline.kind == kFloat ? pipeline.clocks : kPaired[pipeline.kind][kind_of(cost.clocks)];
        const u32 more = together > pipeline.clocks ? together - pipeline.clocks : 0;
        cost.clocks = static_cast<u16>(more + cost.penalty);
        cost.ending |= kInV;
        const u16 written = static_cast<u16>((pipeline.waiting & ~kStackMoved) | use.written);
        pipeline = {};
        pipeline.written = written;
        return;
    }
    if (waits) { // it went alone: its results are those of the cycle before
        pipeline.written = pipeline.waiting & ~kStackMoved;
        cost.penalty = static_cast<u8>(penalty(pipeline, in, use));
    }
    const u16 clocks = cost.clocks;
    cost.clocks = static_cast<u16>(clocks + cost.penalty);
    const bool may_wait =
        plain && (pairing == Pairing::Either || pairing == Pairing::First || pairing == Pairing::Float);
    const u16 before = cost.penalty == 0 ? pipeline.written : 0; // the wait for U is one for V, too
    pipeline = {};
    if (may_wait) {
        pipeline.written = before;
        pipeline.waiting = static_cast<u16>(use.written | (use.stack ? kStackMoved : 0));
        pipeline.clocks = clocks;
        pipeline.kind = pairing == Pairing::Float ? kFloat : kind_of(clocks);
    } else {
        pipeline.written = use.written;
    }
}

} // namespace forkscope
