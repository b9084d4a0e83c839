// Owns: ValueNode, a value as a tree for panels that fold and for JSON; and its text, written as gdb writes it.
// Callers: print, locals, stacks, panels. Promises: bounded in depth, elements and nodes, and says where it left off.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "emu/symbols/inspect/value.hpp"

namespace forkscope {

struct ValueNode {
    std::string name; // of a member or a variable; "[3]" or "[3..7]" of elements; empty: none
    std::string type;
    std::string text; // of a value without parts; of one with parts empty
    std::optional<u32> address;
    std::vector<ValueNode> parts;
    u64 repeats = 1;     // elements that are equal to this one, side by side
    bool more = false;   // parts were left off
    bool failed = false; // unreadable or optimized out
};

enum class Radix { Natural, Hexadecimal, Decimal, Octal, Binary, Character };

struct PrintLimits {
    u32 depth = 20;
    u32 elements = 200; // of an array, and characters of a text
    u32 nodes = 4000;
    Radix radix = Radix::Natural;
};

// "name+4" for an address of code or data; empty: nobody's.
using NameOfAddress = std::function<std::string(u32 address)>;

class ValueReader {
  public:
    ValueReader(const PeekMemory& memory, NameOfAddress name_of, PrintLimits limits = {})
        : memory_(memory), name_of_(std::move(name_of)), limits_(limits), nodes_left_(limits.nodes) {}

    ValueNode read(const GuestValue& value, std::string name = {});

  private:
    ValueNode read(const GuestValue& value, std::string name, u32 depth);
    bool is_absent(const GuestValue& value) const;
    void read_members(ValueNode& node, const GuestValue& value, u32 depth);
    void read_array(ValueNode& node, const GuestValue& value, u32 depth);
    void read_text(ValueNode& node, const GuestValue& value, u64 count);
    void read_scalar(ValueNode& node, const GuestValue& value, u32 depth);
    std::string pointer_text(const Type& type, u32 address, bool outermost);
    std::string text_at(u32 address);
    std::string number_text(const Type& type, i64 number) const;
    std::string in_radix(const Type& type, i64 number) const;

    const PeekMemory& memory_;
    NameOfAddress name_of_;
    PrintLimits limits_;
    u32 nodes_left_;
};

// On one line, or a part a line, indented, where `lines` asks for it.
enum class Layout { OneLine, Lines };
std::string to_text(const ValueNode& node, Layout layout = Layout::OneLine);
std::string to_json(const ValueNode& node);

// Bytes as C writes them, in quotes; `mark` is the quote.
std::string escaped(std::span<const u8> bytes, char mark);

} // namespace forkscope
