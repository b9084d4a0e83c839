// Owns: FormTrial, one instruction run twice from random states that differ in one place (a register, a flag, a memory
// operand), and what the two runs say of that place. Callers: form_facts_test.cpp. Promises: both runs start from the
// same state but for the place; an instruction that faults is told apart from one that runs.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "emu/base/random.hpp"
#include "tests/unit/cpu/code_runner.hpp"

namespace forkscope::test {

enum class PlaceKind : u8 { General, Segment, Mm, Xmm, Flag, Operand, Implied };

struct TrialPlace {
    PlaceKind kind;
    u8 number; // of the register; of flags by the letters of "odiszapc"
};
std::string name_of(TrialPlace place);
std::vector<TrialPlace> every_place();

// A place's bits, of which `size` bytes count.
struct PlaceBits {
    std::array<u8, 512> bytes{};
    u32 size = 0;
    bool operator==(const PlaceBits& other) const { return size == other.size && bytes == other.bytes; }
};

class FormTrial {
  public:
    static constexpr u32 kDataPage = 0x40000, kOperandAt = kDataPage + 0x800, kImpliedAt = kDataPage + 0xC00,
                         kStackPage = 0x8000;
    enum class Outcome : u8 { Ran, Faulted };

    FormTrial(u64 seed, CpuModel model);
    // A new instruction of this form, and a state that suits it. False: there is none with such an operand.
    bool draw(u16 form, bool memory, u8 operand_size);
    const Instruction& instruction() const { return in_; }
    const std::vector<u8>& bytes() const { return bytes_; }

    Outcome run();                         // from the state drawn
    Outcome run_changed(TrialPlace place); // the same with other bits in `place`, which all may have changed
    PlaceBits before(TrialPlace place) const { return bits_of(place, start_, start_memory_); }
    PlaceBits changed(TrialPlace place) const { return bits_of(place, changed_, changed_memory_); }
    PlaceBits after(TrialPlace place) const { return bits_of(place, end_, end_memory_); }
    PlaceBits after_changed(TrialPlace place) const { return bits_of(place, changed_end_, changed_end_memory_); }
    // Did the two runs end alike, but for what `place` holds?
    bool alike_but_for(TrialPlace place);
    // Bytes of the data page, and of the stack above the top, that the first run changed outside of both operands.
    bool stray_write() const;
    u32 stack_moved() const; // ESP before, less ESP after

  private:
    using Memory = std::vector<u8>; // the low 64 KB, then the data page

    u32 random_value();
    void fill(u8* bytes, u32 size);
    void draw_registers();
    void draw_memory();
    void suit();
    void suit_vectors();
    void suit_operand();
    void suit_transfer();
    Outcome run_from(const CpuState& state, const Memory& memory, CpuState& end, Memory& end_memory,
                     std::vector<u32>& log);
    PlaceBits bits_of(TrialPlace place, const CpuState& state, const Memory& memory) const;
    void set_bits(TrialPlace place, const PlaceBits& bits, CpuState& state, Memory& memory) const;
    u8* at(Memory& memory, u32 address) const;
    u32 operand_size() const;

    Random random_;
    CodeRunner runner_;
    std::vector<u8> bytes_;
    Instruction in_;
    CpuState base_, start_, end_, changed_, changed_end_;
    Memory base_memory_, start_memory_, end_memory_, changed_memory_, changed_end_memory_;
    std::vector<u32> log_, changed_log_;
};

} // namespace forkscope::test
