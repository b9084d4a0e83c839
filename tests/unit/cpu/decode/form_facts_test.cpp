// What opcodes.def says that an instruction reads and writes, proven by running it: what it does not read makes no
// difference, what it does not write stays, and what it reads or writes can be seen to matter.
#include <algorithm>
#include <map>
#include <optional>

#include <gtest/gtest.h>

#include "cpu/cost/instruction_use.hpp"
#include "form_trial.hpp"

namespace forkscope::test {
namespace {

// --- A row that leaves out one of the columns that each must name does not compile.

template <class T>
concept Complete = requires {
    T{.map = 1,
      .opcode = 0,
      .mnemonic = "x",
      .since = Since::I386,
      .cost = CostClass::Simple,
      .flags = kNoFlags,
      .operands = kNoOperands};
};
template <class T>
concept CompleteWithoutSince = requires {
    T{.map = 1, .opcode = 0, .mnemonic = "x", .cost = CostClass::Simple, .flags = kNoFlags, .operands = kNoOperands};
};
template <class T>
concept CompleteWithoutCost = requires {
    T{.map = 1, .opcode = 0, .mnemonic = "x", .since = Since::I386, .flags = kNoFlags, .operands = kNoOperands};
};
template <class T>
concept CompleteWithoutFlags = requires {
    T{.map = 1, .opcode = 0, .mnemonic = "x", .since = Since::I386, .cost = CostClass::Simple, .operands = kNoOperands};
};
template <class T>
concept CompleteWithoutOperands = requires {
    T{.map = 1, .opcode = 0, .mnemonic = "x", .since = Since::I386, .cost = CostClass::Simple, .flags = kNoFlags};
};
static_assert(Complete<Form> && !CompleteWithoutSince<Form> && !CompleteWithoutCost<Form> &&
              !CompleteWithoutFlags<Form> && !CompleteWithoutOperands<Form>);
static_assert(!std::is_constructible_v<FormOperands, Operand>, "an operand needs its use");
static_assert(!FormFlags("c", "zo", "").valid() && !FormFlags("x", "", "").valid() && FormFlags("", "oz", "").valid());

// --- The facts, for one place

bool is_x87(const Form& form) { return form.map == 1 && (form.opcode & 0xF8) == 0xD8; }
bool moves_all(const Form& form) { return form.operands[0] == Operand::Mfx; }

// Registers of the x87, and what FXSAVE moves, are no part of the table.
bool is_told(const Form& form, TrialPlace place) {
    if (place.kind == PlaceKind::Mm)
        return !is_x87(form) && !moves_all(form);
    return place.kind != PlaceKind::Xmm || !moves_all(form);
}

struct NamedRegister {
    PlaceKind kind;
    u8 number;
};
std::optional<NamedRegister> register_of(const Instruction& in, Operand operand) {
    const OperandKind& what = kind_of(operand);
    const bool memory = in.has_memory();
    const auto general = [&](u8 number) {
        return NamedRegister{PlaceKind::General, what.bytes == 1 ? static_cast<u8>(number & 3) : number};
    };
    switch (what.place) {
    case Place::Reg:
    case Place::InOpcode:
        return general(in.reg);
    case Place::Rm:
        return general(in.rm);
    case Place::RmOrMemory:
        return memory ? std::nullopt : std::optional(general(in.rm));
    case Place::General:
        return general(what.number);
    case Place::MmReg:
        return NamedRegister{PlaceKind::Mm, in.reg};
    case Place::MmRm:
    case Place::MmOrMemory:
        return memory ? std::nullopt : std::optional(NamedRegister{PlaceKind::Mm, in.rm});
    case Place::XmmReg:
        return NamedRegister{PlaceKind::Xmm, in.reg};
    case Place::XmmRm:
    case Place::XmmOrMemory:
        return memory ? std::nullopt : std::optional(NamedRegister{PlaceKind::Xmm, in.rm});
    case Place::Segment:
        return NamedRegister{PlaceKind::Segment, in.reg};
    case Place::FixedSegment:
        return NamedRegister{PlaceKind::Segment, what.number};
    default:
        return std::nullopt;
    }
}

bool names(const Instruction& in, Operand operand, TrialPlace place) {
    if (place.kind == PlaceKind::Operand)
        return in.has_memory() && kind_of(operand).addressed();
    const auto named = register_of(in, operand);
    return named && named->kind == place.kind && named->number == place.number;
}

enum class Direction : u8 { Read, Written };

bool told(const Instruction& in, TrialPlace place, Direction direction) {
    const Form& form = form_at(in.form);
    const bool reading = direction == Direction::Read;
    const auto does = [&](const FormOperand& operand) { return reading ? reads(operand.use) : writes(operand.use); };
    const bool operand = std::any_of(form.operands.begin(), form.operands.end(),
                                     [&](const FormOperand& one) { return does(one) && names(in, one, place); });
    switch (place.kind) {
    case PlaceKind::General: { // the cost model's view, which holds addresses and strings, too
        const InstructionUse use = use_of(in);
        const bool leave = (form.writes & kSp) != 0; // EBP tells where it goes on
        const bool stack = place.number == kEsp && form.uses_stack() && !(reading && leave);
        return stack || ((reading ? use.read : use.written) & general_register_bit(place.number)) != 0;
    }
    case PlaceKind::Flag:
        return (reading ? form.flags.read : form.flags.written).find("odiszapc"[place.number]) !=
               std::string_view::npos;
    case PlaceKind::Implied:
        return does(form.implied_memory);
    case PlaceKind::Segment:
        return operand || (!reading && (form.writes & segment_register_bit(place.number)) != 0);
    default:
        return operand;
    }
}

bool is_undefined(const Form& form, TrialPlace place) {
    return place.kind == PlaceKind::Flag &&
           form.flags.undefined.find("odiszapc"[place.number]) != std::string_view::npos;
}

// Bits of a place that operands write.
PlaceBits written_bits(const Instruction& in, TrialPlace place, u32 size) {
    PlaceBits bits;
    bits.size = size;
    for (const FormOperand& operand : form_at(in.form).operands) {
        if (!writes(operand.use) || !names(in, operand, place))
            continue;
        const OperandKind& kind = kind_of(operand);
        const u32 bytes = place.kind == PlaceKind::General ? operand_bytes(operand, in) : size;
        const u8 number = kind.place == Place::Rm || kind.place == Place::RmOrMemory ? in.rm : in.reg;
        const bool upper = bytes == 1 && kind.place != Place::General && number >= 4; // AH to BH
        std::fill_n(bits.bytes.begin() + (upper ? 1 : 0), bytes, u8{0xFF});
    }
    return bits;
}

// --- One place of one trial

// Bits that differ at the end must be those that differed at the start, and have stayed.
bool only_kept_bits_differ(const FormTrial& trial, TrialPlace place) {
    const PlaceBits before = trial.before(place), after = trial.after(place);
    const PlaceBits changed = trial.changed(place), after_changed = trial.after_changed(place);
    for (u32 i = 0; i < after.size; ++i) {
        const u8 differ = after.bytes[i] ^ after_changed.bytes[i];
        if ((differ & (after.bytes[i] ^ before.bytes[i])) != 0 ||
            (differ & (after_changed.bytes[i] ^ changed.bytes[i])) != 0)
            return false;
    }
    return true;
}

bool differ_in(const PlaceBits& a, const PlaceBits& b, const PlaceBits& mask) {
    for (u32 i = 0; i < a.size; ++i) {
        if (((a.bytes[i] ^ b.bytes[i]) & mask.bytes[i]) != 0)
            return true;
    }
    return false;
}

// CS, SS, DS and ES hold the code, the stack and the data.
bool may_change(TrialPlace place) { return place.kind != PlaceKind::Segment || place.number >= kFs; }

// What of the table says so: an operand, or a column of registers, flags, the stack.
std::string source_of(const Instruction& in, TrialPlace place, Direction direction) {
    const Form& form = form_at(in.form);
    for (u32 i = 0; i < 3; ++i) {
        const FormOperand& operand = form.operands[i];
        const bool does = direction == Direction::Read ? reads(operand.use) : writes(operand.use);
        if (does && names(in, operand, place))
            return "operand " + std::to_string(i + 1) + (place.kind == PlaceKind::Operand ? ", memory" : "");
    }
    return name_of(place);
}

// What the table says, and whether any trial has shown it.
struct Seen {
    std::map<std::string, bool> read, written;
    u32 ran = 0;

    bool all() const {
        const auto shown = [](const auto& one) { return one.second; };
        return std::all_of(read.begin(), read.end(), shown) && std::all_of(written.begin(), written.end(), shown);
    }
};

// ENTER and LEAVE move it by frames, others by what they pop into ESP.
bool moves_stack_by_elements(const FormTrial& trial) {
    const Instruction& in = trial.instruction();
    const Form& form = form_at(in.form);
    const bool by_frames = (form.attributes & kNestsFrames) != 0 || (form.writes & kSp) != 0;
    const bool into_esp = form.pops != 0 && names(in, form.operands[0], {PlaceKind::General, kEsp});
    const bool not_taken = form.transfer == Transfer::Overflow && trial.stack_moved() == 0;
    return form.uses_stack() && !by_frames && !into_esp && !not_taken;
}

// Gates have a size of their own; RET n drops what was pushed for it.
u32 elements_moved(const Instruction& in) {
    const Form& form = form_at(in.form);
    const bool gate = form.transfer >= Transfer::Interrupt && form.transfer <= Transfer::Overflow;
    const u32 dropped = form.operands[0] == Operand::Iw ? in.immediate : 0;
    return (u32{form.pushes} - form.pops) * (gate ? 4 : in.operand_size) - dropped;
}

class FormFacts : public ::testing::Test {
  protected:
    void check(FormTrial& trial, Seen& seen) {
        const Instruction& in = trial.instruction();
        for (const TrialPlace place : every_place()) {
            if (is_told(form_at(in.form), place)) {
                check_write(trial, place, seen);
                if (may_change(place) && trial.before(place).size != 0)
                    check_read(trial, place, seen);
            }
        }
        EXPECT_FALSE(trial.stray_write()) << where(trial) << " writes elsewhere";
        if (moves_stack_by_elements(trial)) {
            EXPECT_EQ(trial.stack_moved(), elements_moved(in)) << where(trial);
        }
    }

    static std::string where(const FormTrial& trial) {
        std::string text(form_at(trial.instruction().form).mnemonic);
        char byte[4];
        for (const u8 value : trial.bytes()) {
            std::snprintf(byte, sizeof byte, " %02X", value);
            text += byte;
        }
        return text;
    }

  private:
    static void check_write(FormTrial& trial, TrialPlace place, Seen& seen) {
        const Instruction& in = trial.instruction();
        const bool changed = !(trial.before(place) == trial.after(place));
        if (told(in, place, Direction::Written)) {
            seen.written[source_of(in, place, Direction::Written)] |= changed;
            return;
        }
        EXPECT_TRUE(!changed || is_undefined(form_at(in.form), place)) << where(trial) << " writes " << name_of(place);
    }

    static void check_read(FormTrial& trial, TrialPlace place, Seen& seen) {
        const Instruction& in = trial.instruction();
        const bool faulted = trial.run_changed(place) == FormTrial::Outcome::Faulted;
        const bool alike = !faulted && trial.alike_but_for(place) && only_kept_bits_differ(trial, place);
        const PlaceBits written = written_bits(in, place, trial.before(place).size);
        const bool target_differs = differ_in(trial.after(place), trial.after_changed(place), written);
        if (told(in, place, Direction::Read)) {
            seen.read[source_of(in, place, Direction::Read)] |= !alike || target_differs;
            return;
        }
        EXPECT_TRUE(alike) << where(trial) << " reads " << name_of(place);
        EXPECT_TRUE(!target_differs || moves_all(form_at(in.form)))
            << where(trial) << " does not write all of " << name_of(place);
    }
};

constexpr u32 kTrials = 6, kMostTrials = 60, kMostDraws = 600;

TEST_F(FormFacts, AreWhatRunningShows) {
    FormTrial modern(1, CpuModel::P6), old(2, CpuModel::I486);
    for (u16 number = 1; number < form_count(); ++number) {
        const Form& form = form_at(number);
        if ((form.attributes & kUndefined) != 0)
            continue;
        const bool test_register = form.operands[0] == Operand::Td || form.operands[1] == Operand::Td;
        FormTrial& trial = test_register ? old : modern;
        Seen seen;
        for (const u8 operand_size : {u8{4}, u8{2}}) {
            for (const bool memory : {false, true}) {
                u32 ran = 0;
                for (u32 draw = 0; draw < kMostDraws && (ran < kTrials || (ran < kMostTrials && !seen.all())); ++draw) {
                    if (!trial.draw(number, memory, operand_size))
                        break;
                    if (trial.run() == FormTrial::Outcome::Faulted)
                        continue;
                    ++ran;
                    check(trial, seen);
                }
                seen.ran += ran;
            }
        }
        EXPECT_NE(seen.ran, 0u) << form.mnemonic << " was never run";
        for (const auto& [source, shown] : seen.read)
            EXPECT_TRUE(shown) << form.mnemonic << " was never seen to read " << source;
        for (const auto& [source, shown] : seen.written)
            EXPECT_TRUE(shown) << form.mnemonic << " was never seen to write " << source;
    }
}

} // namespace
} // namespace forkscope::test
