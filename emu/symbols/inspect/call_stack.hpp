// Owns: CallStack, a stopped machine's stack as people read it: a row for each function, inlined ones, too, with its
// line and arguments; and each row's variables. Callers: stepper, panels, GDB. Promises: bounded, as the unwinder is;
// lives no longer than the Symbolizer and the memory it reads.
#pragma once

#include <string>
#include <vector>

#include "emu/symbols/inspect/unwinder.hpp"
#include "emu/symbols/inspect/value_text.hpp"

namespace forkscope {

struct StackRow {
    std::size_t frame = 0; // of Frames::list
    std::string function;  // empty: unknown
    std::string image;
    u32 address = 0;
    SourceLine line;         // 0: unknown
    bool inlined = false;    // into the next row
    std::vector<u64> scopes; // entries whose variables are this row's, innermost last
};

struct Variable {
    std::string name;
    bool argument = false;
    GuestValue value;
};

class CallStack {
  public:
    CallStack(const Symbolizer& symbols, GuestState state, std::size_t most_frames = 128);

    const std::vector<StackRow>& rows() const { return rows_; }
    const Frames& frames() const { return frames_; }
    const GuestState& state() const { return state_; }
    const Symbolizer& symbols() const { return symbols_; }
    const Frame& frame_of(const StackRow& row) const { return frames_.list[row.frame]; }

    // Arguments and then the variables that are in scope at the row's address, the outer ones first.
    std::vector<Variable> variables(const StackRow& row) const;
    // A variable in scope there, else one outside of functions; its unit's own first.
    std::optional<GuestValue> variable(const StackRow& row, std::string_view name) const;
    // As one reads it: "#1  0xc0101234 in fork1 (td=0xc011, flags=20) at fork.c:120".
    std::string text(std::size_t row) const;

    ValueReader reader(PrintLimits limits = {}) const;

  private:
    void add_rows(std::size_t frame);
    LocationScene scene_of(const DebugInfo& debug, const DwarfEntry& entry, std::size_t frame) const;
    GuestValue value_of(const DebugInfo& debug, const DwarfEntry& entry, std::size_t frame) const;
    std::optional<u32> frame_base(const DebugInfo& debug, std::size_t frame) const;
    std::optional<u64> entry_value(std::size_t frame, std::span<const u8> expression) const;

    const Symbolizer& symbols_;
    GuestState state_;
    Frames frames_;
    std::vector<StackRow> rows_;
    mutable u32 callers_asked_ = 0; // for one variable
};

} // namespace forkscope
