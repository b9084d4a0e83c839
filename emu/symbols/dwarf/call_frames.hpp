// Owns: CallFrames, how to undo a function's frame at each of its instructions: .debug_frame and .eh_frame (DWARF 5
// standard, 6.4; Linux Standard Base, 10.6). Callers: the unwinder. Promises: any bytes are accepted; rules of
// registers that i386 does not have are left out, so that a table takes no more than its bytes.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "emu/symbols/dwarf/location.hpp"

namespace forkscope {

struct FrameRule {
    enum class Kind { Unspecified, Undefined, Same, Offset, ValueOffset, Register, Expression, ValueExpression };
    Kind kind = Kind::Unspecified;
    i64 offset = 0;
    u32 number = 0; // a register's
    std::span<const u8> expression;
};

struct FrameRules {
    FrameRule frame_address; // Register: its value plus the offset
    std::array<FrameRule, FrameRegisters::Count> registers;
    u32 return_register = FrameRegisters::Eip;
    bool interrupted = false; // the caller did not call: it was interrupted (.eh_frame's "S")
};

class CallFrames {
  public:
    explicit CallFrames(const DwarfSections& sections);

    // For an address as the file has it; nothing: no table knows it.
    std::optional<FrameRules> find(u64 address) const;

  private:
    struct Common {
        u64 code_step = 1;
        i64 data_step = 1;
        u64 return_register = 0;
        u8 pointer_form = 0; // of .eh_frame
        bool augmented = false;
        bool interrupted = false;
        bool readable = false;
        std::span<const u8> program;
    };
    struct Description {
        u64 start = 0, end = 0;
        u64 common = 0; // its offset
        bool eh = false;
        std::span<const u8> program;
    };
    struct State;

    void read_section(std::span<const u8> section, bool eh);
    Common read_common(std::span<const u8> section, u64 offset, bool eh) const;
    bool run(std::span<const u8> program, const Common& common, u64 start, u64 address, State& state) const;
    bool run_extended(u8 operation, ByteReader& in, const Common& common, State& state) const;
    bool run_frame_address(u8 operation, ByteReader& in, const Common& common, State& state) const;
    u64 encoded(ByteReader& in, u8 form, u64 place) const;

    DwarfSections sections_;
    std::vector<Description> descriptions_; // sorted
};

} // namespace forkscope
