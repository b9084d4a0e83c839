// Owns: Expression, a condition as a tree: plain data, whose nodes stand behind what they are made of.
// Callers: the parser builds it; the evaluator and StopConditions read it. Promises: bounded in length and depth; each
// node knows its place in the text; nothing in it changes while a machine runs.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/state.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

enum class NodeKind : u8 {
    // Values
    Number,
    Register, // `number`: its row in register_rows()
    Memory,   // `size` bytes at the linear address `left`
    Physical, // `size` bytes at the physical address `left`
    Entry,    // of the table of `level` for the linear address `left`, in the space of `right`; `field` of it
    Count,    // how often `left` has come about, where it does so now; else unknown
    Negate,
    Invert,
    Add,
    Subtract,
    Multiply,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    // Truths
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Not,
    And,
    Or,
    Stale,      // the modelled TLB grants for the address `left` what the tables do not
    ScreenText, // `number`: which of the texts
    Changes,    // `left` has another value than when it was last asked
    // Occurrences: true at the boundary that follows one
    Place, // the next instruction is at one of the addresses; `number`: which of the places
    SerialText,
    Fault,    // of the page of `left`, if given
    Fork,     // begins
    AnyStop,  // of fork, or its end; from a guest without tracepoints the next burst of table writes
    ForkStop, // `number`: the tracepoint
    Tracepoint,
    SystemCall,
    Switch,    // to another address space
    Interrupt, // `left`: the vector, if given
    Entries,   // of page tables are written
    Maps,      // an entry that maps the frame of `left` from now on
    Writes,    // [number, number + size) of physical memory
    Fills,     // into the TLB, for the page of `left`, if given
    Evicts,
    Flushes,
};

// Which part of an && decides when it is asked: the higher one.
enum class Rank : u8 { State, Change, Occurrence };

// Of an entry.
enum class EntryField : u8 { Value, Present, Writable, User, Accessed, Dirty, Global, Large, Frame };

inline constexpr u32 kNoNode = ~u32{0};

struct Node {
    NodeKind kind = NodeKind::Number;
    Rank rank = Rank::State;
    EntryField field = EntryField::Value;
    u8 level = 0;
    bool constant = false;  // a number whatever the machine does
    bool bracketed = false; //
    u32 size = 0;           // bytes
    u32 left = kNoNode;     // operands
    u32 right = kNoNode;    //
    u64 number = 0;         //
    u32 places = kNoNode;   // of a symbol: where it is executed
    u32 begin = 0, end = 0; // in the text
};

// Where a symbol, a line or an address is executed.
struct CodePlaces {
    std::vector<u32> addresses;
    std::string program; // that must run there; empty: any
};

struct Expression {
    static constexpr std::size_t kMostText = 4096; // characters
    static constexpr std::size_t kMostNodes = 512;
    static constexpr u32 kMostDepth = 100;         // of parentheses and signs
    static constexpr u64 kMostWatched = 64 * 4096; // bytes of a `writes`

    std::string text;
    std::vector<Node> nodes;
    u32 root = kNoNode;
    std::vector<CodePlaces> places;
    std::vector<std::string> texts; // for the serial port and the screen

    const Node& at(u32 node) const { return nodes[node]; }
    std::string text_of(const Node& node) const { return text.substr(node.begin, node.end - node.begin); }
};

constexpr bool is_occurrence(NodeKind kind) { return kind >= NodeKind::Place; }
constexpr bool is_comparison(NodeKind kind) { return kind >= NodeKind::Equal && kind <= NodeKind::GreaterEqual; }
constexpr bool is_value(NodeKind kind) { return kind <= NodeKind::ShiftRight; }

// What tells that a register may have changed.
enum class RegisterChange : u8 { EachInstruction, AddressSpace, Control };

struct RegisterRow {
    std::string_view name;
    u8 size; // bytes
    RegisterChange change;
    u32 (*read)(const CpuState&);
};
std::span<const RegisterRow> register_rows();

} // namespace forkscope
