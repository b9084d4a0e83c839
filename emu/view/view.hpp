// Owns: View, everything that one frame of the window shows, as plain data, and the list of panels; observe() fills it
// in. Callers: window and picture make one, the panels draw it. Promises: reading changes nothing of the machine; a
// view is a copy and stays true to its moment while the machine runs on.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "emu/machine/machine.hpp"
#include "emu/observe/forks/fork_tracer.hpp"
#include "emu/observe/tables/page_table_view.hpp"
#include "emu/observe/tables/tlb_view.hpp"
#include "emu/symbols/symbolizer.hpp"
#include "emu/view/view_timeline.hpp"

namespace forkscope {

struct CodeLine {
    enum class Kind : u8 { Symbol, Source, Instruction };
    Kind kind = Kind::Instruction;
    u32 address = 0;
    std::string bytes;
    std::string text; // mnemonic and operands, or the line of source
    std::string note; // where a branch goes, or which line of source
    bool current = false;
};

struct CodeView {
    std::string place; // "dup_proc+0x1c (fork.c:120)"
    std::vector<CodeLine> lines;
    std::size_t current = 0; // index of the instruction that runs next
};

inline constexpr u32 kRowPages = 64;

struct PageCell {
    PageState state = PageState::Absent;
    bool written = false; // its entry was written in the stop that wrote last
};

// A row of the map: 64 pages that a program may touch, or 64 directory entries of 4 MB that none may.
struct MapRow {
    u32 linear = 0;
    bool supervisor = false;
    std::string name;
    std::array<std::array<PageCell, kRowPages>, 2> cells; // parent, child
};

// Neighbouring pages of programs that both sides map in the same way.
struct RangeRow {
    u64 start = 0, end = 0;
    std::string name;
    std::array<PageState, 2> states{};
    std::array<u32, 2> flags{}; // P, W, U as effective; 0 = absent
    bool same_frames = false;
};

struct WriteRow {
    PteChange change;
    ForkSide side = ForkSide::Unknown;
    std::string stop; // of the fork, "2b"
    std::string name; // of the function that wrote; empty: already there
};

struct SpaceView {
    bool present = false;
    std::string title; // "pid 2 forkdemo", or why there is nothing
    PageTableView table;
    std::array<u64, kPageStates> pages{}; // that its program may touch, by PageState
};

struct TablesView {
    u64 fork = 0;                   // number of the one whose two sides these are; 0: one space alone
    std::string note;               // which fork, and how far it is
    std::array<SpaceView, 2> sides; // parent, child
    std::vector<MapRow> rows;
    std::vector<RangeRow> ranges;
    std::vector<WriteRow> writes; // the last ones, newest first
    bool trimmed = false;         // the fork's lists were dropped to bound memory
    u64 written_now = 0;          // in the stop that wrote last
};

struct ForkRow {
    u64 number = 0;
    std::string parent, child; // pids; where they are not known, directories; "failed"; "…": there is none yet
    bool in_progress = false;
    u64 cow_faults = 0;
    std::string finding; // the first one
};

// The stops of one fork.
struct StopsView {
    u64 fork = 0;              // its number; 0: there is none
    Cycles begin = 0, end = 0; // end: so far
    bool left = false;
    std::vector<ForkStop> stops; // the running one ends, and its thread's time is spent, now
};

struct ForksView {
    std::vector<ForkRow> rows; // the newest ones first
    u64 count = 0;
    bool since_snapshot = false; // what came before its place is not known
    StopsView shown;
};

struct FaultRow {
    FaultRef record;
    Location place; // of the code that faulted
};

struct FaultsView {
    std::vector<FaultRow> rows; // the newest ones first
    u64 count = 0;
    bool trimmed = false; // some forks have lost theirs to bound memory
};

struct StackWord {
    u32 address = 0;
    u32 value = 0;
    std::string name; // if the value may be a return address
};

struct RegistersView {
    CpuState now;
    CpuState before;      // at the stop before
    bool compare = false; // `before` is there
    bool halted = false;
    std::vector<StackWord> stack; // from the stack pointer upwards
};

// The panels in the order of drawing: PANEL(name, model, place, size). observe_NAME() fills the View's NAME, a model,
// and draw_NAME() of the window shows it (emu/ui/panels).
//   Left: beside each other under the guest's screen, size in letters; Right: below each other beside it, size in
//   lines; Bottom: beside each other under those. Panels of size 0 share what is left.
#define FORKSCOPE_PANELS(PANEL)                                                                                        \
    PANEL(registers, RegistersView, Left, 36)                                                                          \
    PANEL(code, CodeView, Left, 0)                                                                                     \
    PANEL(tables, TablesView, Right, 0)                                                                                \
    PANEL(forks, ForksView, Right, 8)                                                                                  \
    PANEL(tlb, TlbView, Bottom, 0)                                                                                     \
    PANEL(faults, FaultsView, Bottom, 0)

struct View {
    // Where the machine stands.
    u64 instructions = 0;
    Cycles cycle = 0;
    u64 cycles_per_second = 1;
    u32 linear_eip = 0;
    u32 pid = 0;
    bool inside_fork = false; // the running thread

#define PANEL(name, model, place, size) model name;
    FORKSCOPE_PANELS(PANEL)
#undef PANEL

    // What the window adds.
    bool running = false;
    double mips = 0;    // 0: not measured
    std::string status; // why the machine stands
    TimelineView timeline;
};

// `tracer` may be null: then there are no forks and no faults.
View observe(const Machine& machine, const ForkTracer* tracer, Symbolizer& symbols);

// What a panel's model is made from.
struct Observed {
    const Machine& machine;
    const ForkTracer* tracer;
    const Symbolizer& symbols;

    // The address space that is loaded.
    // The machine comes from a snapshot that was saved without a fork tracer.
    bool since_snapshot() const { return machine.restored_without("forks"); }
    u32 space() const { return machine.mmu().control().space_of(machine.registers().cr3).root; }
};
#define PANEL(name, model, place, size) model observe_##name(const Observed& from);
FORKSCOPE_PANELS(PANEL)
#undef PANEL

inline constexpr std::size_t kMostRows = 300; // of a list; the window says how many there are

// The fork whose two sides are shown: the running one, else the newest, whatever became of its sides; or null.
const ForkRecord* shown_fork(const ForkTracer& tracer);
ForkRow fork_row(const ForkRecord& fork, bool in_progress);
// The program that runs in a space, or "" if unknown.
std::string program_name(const ForkTracer* tracer, const Symbolizer& symbols, u32 directory);

} // namespace forkscope
