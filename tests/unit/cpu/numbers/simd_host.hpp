// Owns: one MMX or SSE instruction executed on two sides from the same state: by the processor of this host, and by our
// handlers; and the random states to start from.
// Callers: simd_test.cpp. Promises: all of MM, XMM, MXCSR, general registers, EFLAGS and the memory operand is loaded
// and saved, so that all effects of an instruction on them are seen. Host: x86-64 Linux only.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "cpu/decode/decoder.hpp"
#include "cpu/execute/context.hpp"
#include "cpu/execute/dispatch.hpp"
#include "emu/base/random.hpp"

#if defined(__x86_64__) && defined(__linux__)
#define FORKSCOPE_HAS_HOST_SIMD 1
#endif

namespace forkscope::test {

// What a SIMD instruction reads and writes.
struct SimdMachine {
    X87State x87;
    std::array<Vector128, 8> xmm{};
    u32 mxcsr = kMxcsrReset;
    std::array<u32, 8> gpr{}; // EDX and EDI point to the memory operand and are left alone
    u32 flags = 0;            // the arithmetic six
    bool faulted = false;
    alignas(16) std::array<u8, 16> memory{};
};

std::string describe(const SimdMachine& machine);
// Differences in anything, in words; empty if there are none.
std::string difference(const SimdMachine& a, const SimdMachine& b);

// An instruction whose memory operand, if it has one, is [edx], or [edi] where it cannot be chosen.
class SimdInstruction {
  public:
    enum class Kind : u8 { Register, Memory };
    // Register numbers and immediate are drawn.
    SimdInstruction(u16 form, Kind kind, Random& random);

    const std::string& text() const { return text_; }
    const Instruction& decoded() const { return in_; }
    const Form& form() const { return form_at(in_.form); }
    const std::vector<u8>& bytes() const { return bytes_; }

  private:
    Instruction in_;
    std::vector<u8> bytes_;
    std::string text_;
};

bool is_simd(const Form& form);

// Our side: handlers, called directly.
class SimdOurs {
  public:
    SimdOurs();
    void run(const SimdInstruction& instruction, SimdMachine& machine);
    Context& cpu() { return cpu_; }

  private:
    Bus bus_;
    Tracer tracer_;
    PhysicalMemory memory_;
    Mmu mmu_;
    Context cpu_;
};

#ifdef FORKSCOPE_HAS_HOST_SIMD
// The host's side: a stub made for one instruction.
class SimdHost {
  public:
    explicit SimdHost(const SimdInstruction& instruction);
    ~SimdHost();
    SimdHost(const SimdHost&) = delete;
    SimdHost& operator=(const SimdHost&) = delete;
    void run(SimdMachine& machine) const;

  private:
    void* stub_ = nullptr;
    u64 instruction_end_ = 0;
};
#endif

// A number of any class, with exponents and fractions near the places where something changes. Bits: u32 or u64.
template <class Bits> Bits random_number(Random& random);
Vector128 random_vector(Random& random, const Form& form);
u32 random_mxcsr(Random& random);
SimdMachine random_machine(Random& random, const SimdInstruction& instruction);

} // namespace forkscope::test
