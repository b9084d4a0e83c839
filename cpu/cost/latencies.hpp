// Owns: what each instruction form costs on the 386, 486 and Pentium (latencies.def), and each path that is decided as
// it runs (paths.def): plain data with its source. The p6 has no column: its approximation is in cost_classes.def.
// Callers: the cost model, when a block is bound, and the cost meter; docs/clocks.md.
// Promises: exactly one row per form; clocks assume aligned operands, TLB and cache hits, and no wait states.
#pragma once

#include <span>
#include <string_view>

#include "cpu/decode/instruction.hpp"
#include "cpu/models/model.hpp"

namespace forkscope {

enum class LatencySource : u8 {
    Manual,    // Intel's manual or data sheet of that very processor
    Published, // published tables that are no manual of Intel's
    Estimate,  // not confirmed anywhere, or our own choice within a published range: shown as [?]
};

// How `reg`, `mem` and `step` of a cell make clocks. M is `mem` where the operand is memory, else `reg`; m is
// the number of components of the next instruction, which only the 386 adds.
enum class LatencyRule : u8 {
    Absent,          // the model has no such form
    Fixed,           // M
    Jump,            // M + m
    Branch,          // taken: mem + m; not taken: reg
    Width,           // 16-bit operands: M; 32-bit: step, and mem - reg more for memory
    Condition,       // SETcc. Condition holds: M; else reg - step, or mem + step
    Exchange,        // CMPXCHG. Equal: M; else reg, or mem + step
    Multiply,        // M + max(3, bits(m)), bits(x) = ceil(log2 x), 0 for x <= 1; m the immediate, else the r/m operand
    MultiplySigned,  // the same of |m|
    MultiplySigned5, // the same, with at least 5 in place of 3 where m is negative
    BitScan,         // M + step * n, n the zero bits passed over; a source of zero: M
    BitScanReverse,  // the same from the top
    BitScanNibbles,  // zero: M; else M + 2 + 4(B+1) + 3(i+1) + 3(n+1), B the byte, i its nibble, n its bit found
    BitScanPlaces,   // zero: M; else M + step * (n+1), n as for BitScanReverse
    BitScanPlaces1,  // zero: M; else M + 1 + step * (32 - the bit found), whatever the operand size
    RotateCarry,     // M + step * (count - 1) / 30, count being 1 to 31; a straight line through the manual's range
    Enter,           // level 0: reg; 1: mem; more: mem + step * level
    EnterLess,       // the same, less 1 from level 2 on
    Repeat,          // no REP: reg; REP: mem + step * n; n = 0: path RepeatNone
    RepeatMove,      // the same; n = 1: path RepeatMoveOnce
    RepeatPort,      // no REP: reg; REP: mem + step * n, whatever n; protected mode: the port paths instead of reg
    ControlRegister, // CR0: reg; CR2: mem; CR3: step; CR4: path LoadCr4
    DebugRegister,   // DR0 to DR3: reg; DR4 to DR7: mem
};

struct Latency {
    u16 reg;  // clocks of the register form, or what the rule says
    u16 mem;  // clocks of the memory form, or what the rule says; equal to reg where there is no such form
    u16 step; // as the rule says
    LatencyRule rule;
    LatencySource source;
};

// The Pentium's pipes (AP-500, appendix A).
enum class Pairing : u8 {
    None,     // NP
    Either,   // UV
    First,    // PU: only in U
    Second,   // PV: only in V, or alone
    Float,    // FX: in U, pairs with nothing but FXCH in V
    Exchange, // FXCH: in V after a Float, or alone
};

enum class CostPath : u8 {
#define COST_PATH(name, i386, i486, pentium, sources, text) name,
#include "cpu/cost/paths.def"
#undef COST_PATH
};

// What decides, while an instruction runs, that a path and not its row gives its cost. In real mode it is the row.
enum class Late : u8 {
    No,            // the figure is known when the block is bound
    AsItRuns,      // the handler takes a path, or the row holds
    ProtectedMode, // virtual-8086 mode, too
    Protection,    // protected mode, but not virtual-8086 mode
    SegmentLoad,   // the same; a null selector has a path of its own
    Port,          // protected mode: `path`, or by privilege one of its two neighbours behind it
};

struct LateCost {
    Late late = Late::No;
    CostPath path = {};    // from ProtectedMode on
    CostPath other = path; // SegmentLoad: from memory; Port: with REP
};

inline constexpr i16 kAnyGroup = -2; // a row for all forms of its opcodes, whatever their group

struct LatencyRow {
    u8 map; // as in Form
    u8 first, last;
    i16 group; // as in Form, or kAnyGroup
    Latency i386, i486, pentium;
    Pairing pairing;
    LateCost late = {};

    const Latency& of(LatencyColumn column) const {
        return column == LatencyColumn::I386 ? i386 : column == LatencyColumn::I486 ? i486 : pentium;
    }
};

// The one row that covers form_at(form).
const LatencyRow& latency_row(u16 form);
std::span<const LatencyRow> latency_rows();

struct PathLatency {
    u16 i386, i486, pentium;  // 0: the model has no such path, or adds nothing
    LatencySource sources[3]; // by LatencyColumn
    std::string_view text;

    u16 of(LatencyColumn column) const {
        return column == LatencyColumn::I386 ? i386 : column == LatencyColumn::I486 ? i486 : pentium;
    }
};

const PathLatency& path_latency(CostPath path);
std::span<const PathLatency> path_latencies(); // by CostPath

// The p6 model's estimate for all forms of a class (cost_classes.def).
u8 estimated_latency(CostClass cost);

} // namespace forkscope
