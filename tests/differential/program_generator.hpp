// Owns: ProgramGenerator: random programs of user-mode instructions made from opcodes.def while they run on our CPU, so
// that addresses can be aimed at the data, branches are followed, and no undefined flag is ever read.
// Callers: the host comparison. Promises: a pure function of the seed on every target; programs only branch forwards;
// every form that CPL 3 may meet is drawn, but for those that why_not_drawn() names.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "bare_machine.hpp"
#include "emu/base/random.hpp"
#include "tests/unit/cpu/decode/form_encoder.hpp"
#include "undefined_flags.hpp"
#include "undefined_forms.hpp"

namespace forkscope::test {

inline u32 code_base(u16 selector) { return selector == kFlatCode ? 0 : kCodeAddress; }

struct ProgramStyle {
    u32 instructions = 40;
    bool segments = false;                       // with bases and limits, from the LDT
    bool code_16 = false;                        // CS.D = 0; needs segments
    u32 keep_fault = 24;                         // one in so many faults is kept and ends the program
    bool astray = false;                         // half of the addresses lie anywhere
    std::span<const std::string_view> only = {}; // mnemonics to draw from; none: all
};

class ProgramGenerator {
  public:
    // `machine` must have the reference engine.
    ProgramGenerator(u64 seed, BareMachine& machine);
    void make(const ProgramStyle& style, TestCase& test);

  private:
    enum class Append : u8 { Continues, Ended };
    struct Draft {
        u16 form = 0;
        Choice choice;
        MemoryOperand memory;
        AddressBytes address;
        u8 repeat = 0; // F2 or F3
        u32 idle_prefixes = 0;
    };

    void choose_world(const ProgramStyle& style);
    void choose_registers(const ProgramStyle& style);
    u32 interesting();
    u32 target();
    u16 selector();
    u8 general_register();

    u16 draw_form(const ProgramStyle& style);
    bool add_instruction(const ProgramStyle& style);
    bool prepare(Draft& draft);
    bool prepare_stack(const Draft& draft);
    bool prepare_string(Draft& draft);
    bool clear_pushed_slot();
    bool prepare_segment_load(const Draft& draft);
    bool prepare_operands(Draft& draft);
    void choose_operands(Draft& draft);
    bool locks(const Draft& draft) const;
    bool aim(Draft& draft);
    bool aim_at_pushed(Draft& draft, u32 value);
    void aim_at_top(Draft& draft);
    u32 target_for(const Draft& draft);
    bool add_branch(Draft& draft);
    u16 far_selector(const Form& form);
    std::vector<u32> beneath_offset(const Form& form, u16 cs);
    bool define_flags();
    bool settle_popf(Draft& draft);

    // Linear addresses are told by a segment register.
    u8 segment_of(const Draft& draft, u8 base) const;
    u32 offset_in(u8 segment, u32 linear) const;
    u8 reaching_size(u8 segment, u8 wanted);
    u32 bit_distance(const Draft& draft) const;

    bool set_register(u8 number, u32 value);
    bool push(u32 value, u8 operand_size);
    std::vector<u8> filler();
    std::vector<u8> bytes_of(const Draft& draft) const;
    Append append(const std::vector<u8>& bytes);
    bool step();
    u32 linear_of(u32 code_size) const { return kCodeAddress + test_->code_offset + code_size; }
    CodeMode mode() const { return mode_of(state()); }
    const CpuState& state() const { return machine_.state(); }
    u32 gpr(u8 number) const { return static_cast<u32>(state().gpr[number]); }

    Random random_;
    BareMachine& machine_;
    TestCase* test_ = nullptr;
    const ProgramStyle* style_ = nullptr;
    UndefinedFlags undefined_;
    Outcome ended_;
    bool is_odd_ = false; // met something whose result is not ours to know: make another
    std::vector<u16> forms_;
    std::vector<std::vector<u16>> by_mnemonic_;
};

} // namespace forkscope::test
