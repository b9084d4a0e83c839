// Owns: which encodings are undefined on every processor there has been, and which rows cannot be run on a host at all.
// Callers: the generator (draws the ones, not the others), the comparison. Promises: pure functions; all else that our
// table lacks may have a meaning on a later processor, and is not compared.
#pragma once

#include <span>
#include <vector>

#include "cpu/decode/decoder.hpp"
#include "cpu/state.hpp"
#include "emu/base/random.hpp"

namespace forkscope::test {

// Why the row cannot be compared with a host under Linux, or nullptr.
const char* why_not_drawn(const Form& form);
inline bool is_drawn(const Form& form) { return why_not_drawn(form) == nullptr; }

// May this instruction run on the host? Not if it calls the host's kernel, or depends on the host.
bool is_harmless(const Instruction& in);

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names);

// Does what makers disagree on hang on the registers? FCOMI and its kin clear C1 (SDM 2A, FCOMI), but AMD's leave it as
// it was. MOVUPS and its kin may check alignment to 8 bytes, or not (SDM 3A 6.15, #AC); AMD's check it to 16.
bool is_settled_by_maker(const Instruction& in, const CpuState& before);

// Bytes that raise #UD on every processor.
std::vector<u8> undefined_encoding(Random& random);
bool is_undefined_everywhere(std::span<const u8> bytes);

bool is_prefix(u8 byte);

} // namespace forkscope::test
