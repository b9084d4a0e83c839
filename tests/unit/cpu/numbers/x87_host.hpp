// Owns: one x87 instruction executed on two sides from the same state: by the processor of this host, and by our
// handlers; and the random states to start from.
// Callers: x87_test.cpp, float80_test.cpp. Promises: the whole state is loaded and saved, so that whatever an
// instruction does to registers, stack, tags, status, EFLAGS or memory is seen. Host: x86-64 Linux only.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "cpu/decode/decoder.hpp"
#include "cpu/execute/context.hpp"
#include "cpu/execute/dispatch.hpp"
#include "emu/base/random.hpp"

#if defined(__x86_64__) && defined(__linux__)
#define FORKSCOPE_HAS_HOST_X87 1
#endif

namespace forkscope::test {

// What an x87 instruction reads and writes.
struct X87Machine {
    X87State x87;
    std::array<u8, 112> memory{}; // FNSAVE's image is 108 bytes long
    u32 flags = 0;                // the arithmetic six
    u16 ax = 0;
};

std::string describe(const X87Machine& machine, bool longer = false); // with 108 bytes of memory, or 10
std::string describe(const Float80& number);

// An instruction whose memory operand, if it has one, is [edx].
class X87Instruction {
  public:
    // Of a row of the table; register forms name ST(rm).
    X87Instruction(u16 form, u8 rm, u8 operand_size = 4);

    const std::string& text() const { return text_; }
    const Instruction& decoded() const { return in_; }
    const std::vector<u8>& bytes() const { return bytes_; }

  private:
    Instruction in_;
    std::vector<u8> bytes_;
    std::string text_;
};

// Our side: handlers, called directly.
class X87Ours {
  public:
    X87Ours();
    void run(const X87Instruction& instruction, X87Machine& machine);
    Context& cpu() { return cpu_; }

  private:
    Bus bus_;
    Tracer tracer_;
    PhysicalMemory memory_;
    Mmu mmu_;
    Context cpu_;
};

#ifdef FORKSCOPE_HAS_HOST_X87
// The host's side: a stub made for one instruction.
class X87Host {
  public:
    explicit X87Host(const X87Instruction& instruction);
    ~X87Host();
    X87Host(const X87Host&) = delete;
    X87Host& operator=(const X87Host&) = delete;
    void run(X87Machine& machine) const;

  private:
    void* stub_ = nullptr;
};
#endif

enum class OperandClass : u8 {
    Zero,
    Denormal,
    PseudoDenormal,
    SmallInteger,
    Normal,
    Infinity,
    QuietNan,
    SignallingNan,
    Unnormal,
    PseudoInfinity,
    PseudoNan,
    Count,
};
inline constexpr u64 kOperandClasses = static_cast<u64>(OperandClass::Count);

// Numbers with exponents and significands near the places where something changes.
Float80 random_float(Random& random, OperandClass kind);
Float80 random_float(Random& random);
u32 random_single(Random& random);
u64 random_double(Random& random);

// The matrix: rounding x precision x class of ST(0) x class of ST(1) or ST(i). Masks, flags, occupied registers and
// memory operands are random in each cell.
inline constexpr u64 kMatrixCells = 16 * kOperandClasses * kOperandClasses;
X87Machine machine_in_cell(Random& random, const X87Instruction& instruction, u64 cell);

} // namespace forkscope::test
