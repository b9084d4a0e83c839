// Owns: View, everything that a face shows, as plain data, and the list of panels; observe() fills it in.
// Callers: both faces make one, their panels draw it. Promises: reading changes nothing of the machine; a view is a
// copy and stays true to its moment while the machine runs on; a row knows its Subject.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "emu/machine/machine.hpp"
#include "emu/observe/forks/fork_tracer.hpp"
#include "emu/observe/tables/page_table_view.hpp"
#include "emu/observe/tables/tlb_view.hpp"
#include "emu/session/stepper/stepper.hpp"
#include "emu/symbols/symbolizer.hpp"
#include "emu/view/choices.hpp"
#include "emu/view/inspection.hpp"
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
    Subject subject = {};
};

struct CodeView {
    std::string place; // "dup_proc+0x1c (fork.c:120)"
    std::vector<CodeLine> lines;
    std::size_t current = 0; // index of the instruction that runs next, or of the one asked for
};

struct SourceView {
    std::string file; // empty: no line is known here
    std::string program;
    u32 line = 0;  // the one that runs next
    u32 first = 0; // of `lines`
    std::vector<std::string> lines;

    Subject subject(std::size_t row) const { return LineSubject{program, file, first + static_cast<u32>(row)}; }
};

// The calls that lead here; the variables of one of them, and the values that the person asks for.
struct StackView {
    struct Row {
        std::string text;
        Subject subject;
    };
    std::vector<Row> rows;
    std::string end; // why there are no more
    std::size_t chosen = 0;
    std::vector<Row> variables, printed;
};

struct MemoryRow {
    u64 address = 0;
    std::string bytes, letters; // 16; "--" where nothing is
    std::array<Subject, 4> words;
};

struct MemoryView {
    std::string place; // "linear, pid 2", "physical"
    std::vector<MemoryRow> rows;
    std::size_t chosen = 0; // the row that holds the address asked for
};

struct ProcessRow {
    u32 pid = 0;   // 0: unknown
    u32 space = 0; // its page directory
    std::string program;
    bool loaded = false, followed = false;
    u64 fork = 0, born = 0; // by which it was made, and when that began; 0: unknown

    Subject subject() const { return ProcessSubject{pid, space, fork, born}; }
};

struct ProcessesView {
    std::vector<ProcessRow> rows;
};

struct EventRow {
    TraceEvent event;
    std::string text, place;

    Subject subject() const { return EventSubject{event}; }
};

struct EventsView {
    std::vector<EventRow> rows; // the newest ones first
};

// Breakpoints, bookmarks and branches: what the stepper remembers for a person.
struct PointsView {
    std::vector<BreakpointSubject> breakpoints;
    std::vector<BookmarkSubject> bookmarks;
    std::vector<BranchSubject> branches;
    u32 branch = 0; // the present one
};

// The last answer: to a click, or to a command.
struct AnswerView {
    std::string title;
    std::vector<std::string> lines;
    std::vector<Inspection::Offer> offers;
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
    u32 space = 0; // of the first side that has it

    Subject subject() const { return PageSubject{space, static_cast<u32>(start)}; }
};

struct WriteRow {
    PteChange change;
    ForkSide side = ForkSide::Unknown;
    std::string stop; // of the fork, "2b"
    std::string name; // of the function that wrote; empty: already there

    Subject subject() const { return WriteSubject{change, name}; }
};

struct SpaceView {
    bool present = false;
    std::string title; // "pid 2 forkdemo", or why there is nothing
    PageTableView table;
    std::array<u64, kPageStates> pages{}; // that its program may touch, by PageState
};

struct TablesView {
    u64 fork = 0;        // number of the one whose two sides these are; 0: one space alone
    bool chosen = false; // by the person
    std::string note;    // which fork, and how far it is
    std::array<std::string, 2> names = {"parent", "child"};
    std::array<SpaceView, 2> sides;
    std::vector<MapRow> rows;
    std::vector<RangeRow> ranges;
    std::vector<WriteRow> writes; // the last ones, newest first
    bool trimmed = false;         // the fork's lists were dropped to bound memory
    u64 written_now = 0;          // in the stop that wrote last

    // Of a cell of the map.
    Subject subject(const MapRow& row, u32 cell, std::size_t side) const {
        return PageSubject{sides[side].table.space().root, row.linear + (cell << (row.supervisor ? 22 : kPageShift)),
                           static_cast<u8>(row.supervisor ? 2 : 1)};
    }
};

struct ForkRow {
    u64 number = 0;
    std::string parent, child; // pids; where they are not known, directories; "failed"; "…": there is none yet
    bool in_progress = false;
    u64 cow_faults = 0;
    std::string finding; // the first one
    u64 begin_instructions = 0;

    Subject subject() const { return ForkSubject{number, begin_instructions}; }
};

// The stops of one fork.
struct StopsView {
    u64 fork = 0;              // its number; 0: there is none
    Cycles begin = 0, end = 0; // end: so far
    bool left = false;
    std::vector<ForkStop> stops; // the running one ends, and its thread's time is spent, now

    Subject subject(std::size_t number) const { return StopSubject{fork, stops[number]}; }
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

    Subject subject() const { return FaultSubject{record}; }
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
    u32 space = 0;

    Subject subject(const StackWord& word) const { return WordSubject{space, word.address}; }
};

// The panels: PANEL(name, model, title, slot). observe_NAME() fills the View's NAME, a model, and draw_NAME() of the
// window shows it (emu/ui/panels). Of several panels in a slot one is seen, the first at first; the guest's screen is
// the first in the slot Screen. ASKED ones are filled by the face, which knows what was asked for.
#define FORKSCOPE_OBSERVED_PANELS(PANEL)                                                                               \
    PANEL(source, SourceView, "Source", Screen)                                                                        \
    PANEL(stack, StackView, "Stack", Screen)                                                                           \
    PANEL(registers, RegistersView, "Registers", Registers)                                                            \
    PANEL(code, CodeView, "Code", Code)                                                                                \
    PANEL(memory, MemoryView, "Memory", Code)                                                                          \
    PANEL(tables, TablesView, "Page tables", Tables)                                                                   \
    PANEL(forks, ForksView, "Forks", Forks)                                                                            \
    PANEL(tlb, TlbView, "TLB", Tlb)                                                                                    \
    PANEL(processes, ProcessesView, "Processes", Tlb)                                                                  \
    PANEL(faults, FaultsView, "Page faults", Faults)                                                                   \
    PANEL(events, EventsView, "Events", Faults)
#define FORKSCOPE_ASKED_PANELS(PANEL)                                                                                  \
    PANEL(points, PointsView, "Breakpoints", Tlb)                                                                      \
    PANEL(answer, AnswerView, "Answer", Faults)
#define FORKSCOPE_PANELS(PANEL)                                                                                        \
    FORKSCOPE_OBSERVED_PANELS(PANEL)                                                                                   \
    FORKSCOPE_ASKED_PANELS(PANEL)

struct View {
    // Where the machine stands.
    u64 instructions = 0;
    Cycles cycle = 0;
    u64 cycles_per_second = 1;
    u32 linear_eip = 0;
    u32 space = 0; // that is loaded
    u32 pid = 0;
    bool inside_fork = false; // the running thread

#define PANEL(name, model, title, slot) model name;
    FORKSCOPE_PANELS(PANEL)
#undef PANEL

    // What the window adds.
    bool running = false;
    double mips = 0;    // 0: not measured
    std::string status; // why the machine stands
    TimelineView timeline;
};

// What a view is made from.
struct Observed {
    const Machine& machine;
    const ForkTracer* tracer; // may be null: then there are no forks and no faults
    const Symbolizer& symbols;
    const LastEvents* events = nullptr;
    const Choices* choices = nullptr; // null: nothing was chosen

    // The machine comes from a snapshot that was saved without a fork tracer.
    bool since_snapshot() const { return machine.restored_without("forks"); }
    // The address space that is loaded; and the one that is looked at.
    u32 space() const { return machine.mmu().control().space_of(machine.registers().cr3).root; }
    u32 shown_space() const {
        return choices != nullptr && choices->followed ? choices->followed->now(tracer) : space();
    }
};

View observe(const Machine& machine, const ForkTracer* tracer, Symbolizer& symbols);
View observe(Session& session, const Choices& choices);
#define PANEL(name, model, title, slot) model observe_##name(const Observed& from);
FORKSCOPE_OBSERVED_PANELS(PANEL)
#undef PANEL
PointsView observe_points(Stepper& stepper);
inline Subject translation_subject(const TlbRow& row, const View& view) { return TranslationSubject{row, view.space}; }

inline constexpr std::size_t kMostRows = 300; // of a list; the window says how many there are

// The fork whose two sides are shown: the running one, else the newest, whatever became of its sides; or null.
const ForkRecord* shown_fork(const ForkTracer& tracer);
ForkRow fork_row(const ForkRecord& fork, bool in_progress);
// The program that runs in a space, or "" if unknown.
std::string program_name(const ForkTracer* tracer, const Symbolizer& symbols, u32 directory);

} // namespace forkscope
