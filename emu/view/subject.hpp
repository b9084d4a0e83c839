// Owns: Subject, what a row, a cell or a line of a panel is about; and its moment, as a command of the stepper.
// Callers: panels of both faces carry subjects; inspect() says what they are. Promises: plain data, true to the moment
// at which its panel was made.
#pragma once

#include <string>
#include <variant>

#include "emu/machine/timeline/position.hpp"
#include "emu/observe/faults/fault_record.hpp"
#include "emu/observe/forks/fork_record.hpp"
#include "emu/observe/tables/tlb_view.hpp"

namespace forkscope {

struct PageSubject { // of an address space, by its table's entry, or by its directory's
    u32 space = 0, linear = 0;
    u8 level = 1;
};
struct TranslationSubject {
    TlbRow row;
    u32 space = 0; // loaded when it was seen
};
struct FaultSubject {
    FaultRef record;
};
struct ForkSubject {
    u64 number = 0, begin_instructions = 0;
};
struct StopSubject {
    u64 fork = 0;
    ForkStop stop;
};
struct WriteSubject {
    PteChange change;
    std::string by;
};
struct InstructionSubject {
    u32 space = 0, address = 0;
    std::string text;
};
struct LineSubject {
    std::string program; // empty: the kernel
    std::string file;
    u32 line = 0;

    std::string place() const; // as expressions name it: init:init.c:12, fork.c:31
};
struct WordSubject { // four bytes at a linear address
    u32 space = 0, address = 0;
};
struct PhysicalSubject { // four bytes of memory
    u64 address = 0;
};
struct RegisterSubject {
    std::string name;
    u32 value = 0;
};
struct FrameSubject { // of a stack
    std::size_t row = 0;
    u32 space = 0, address = 0;
    std::string text;
};
struct ValueSubject { // a variable of a stack's row, or what was printed
    std::string text;
    u32 space = 0, address = 0; // 0: it is not in memory
};
struct ProcessSubject {
    u32 pid = 0, space = 0;
    u64 fork = 0, born = 0; // by which fork, and when that began; 0: unknown
};
struct BreakpointSubject {
    u32 number = 0;
    std::string condition;
    u64 met = 0, ignore = 0;
};
struct BookmarkSubject {
    std::string name;
    u32 branch = 0;
    Position position;
};
struct BranchSubject {
    u32 id = 0, parent = 0;
    u64 from = 0, end = 0;
};
struct EventSubject {
    TraceEvent event;
};

using Subject =
    std::variant<std::monostate, PageSubject, TranslationSubject, FaultSubject, ForkSubject, StopSubject, WriteSubject,
                 InstructionSubject, LineSubject, WordSubject, PhysicalSubject, RegisterSubject, FrameSubject,
                 ValueSubject, ProcessSubject, BreakpointSubject, BookmarkSubject, BranchSubject, EventSubject>;

inline bool is_something(const Subject& subject) { return !std::holds_alternative<std::monostate>(subject); }

// The stepper's command that goes to the moment which made it; empty: there is none.
std::string moment_of(const Subject& subject);

} // namespace forkscope
