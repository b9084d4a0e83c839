// Owns: Disassembler, Capstone for x86 code of one width.
// Callers: what shows code in this room. Promises: looks only; any bytes get an answer; without memory no instruction
// is known.
#pragma once

#include <span>
#include <vector>

#include <capstone/capstone.h>

#include "mmu/mmu.hpp"

namespace forkscope {

class Disassembler {
  public:
    enum class Bits : u8 { Code16, Code32, Code64 };

    explicit Disassembler(Bits bits) {
        constexpr cs_mode kModes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
        open_ = cs_open(CS_ARCH_X86, kModes[static_cast<u8>(bits)], &handle_) == CS_ERR_OK;
        if (open_)
            instruction_ = cs_malloc(handle_);
    }
    ~Disassembler() {
        if (instruction_ != nullptr)
            cs_free(instruction_, 1);
        if (open_)
            cs_close(&handle_);
    }
    Disassembler(const Disassembler&) = delete;
    Disassembler& operator=(const Disassembler&) = delete;

    // As the processor reads code now.
    static Bits bits_of(bool big_code_segment) { return big_code_segment ? Bits::Code32 : Bits::Code16; }

    // The instruction at `address`, or null where the bytes are none. Valid until the next call.
    const cs_insn* decode(std::span<const u8> bytes, u64 address) {
        const u8* code = bytes.data();
        std::size_t size = bytes.size();
        const bool decoded = instruction_ != nullptr && cs_disasm_iter(handle_, &code, &size, &address, instruction_);
        return decoded ? instruction_ : nullptr;
    }

  private:
    csh handle_ = 0;
    bool open_ = false;
    cs_insn* instruction_ = nullptr;
};

// The guest's bytes at a linear address, as many as are mapped, up to the longest instruction.
inline std::vector<u8> code_bytes(const Mmu& mmu, u32 address) {
    constexpr std::size_t kLongestInstruction = 15;
    std::vector<u8> bytes(kLongestInstruction);
    while (!bytes.empty() && !mmu.peek(LinearAddress(address), bytes))
        bytes.pop_back();
    return bytes;
}

} // namespace forkscope
