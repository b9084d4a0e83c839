// Owns: how the stepper's commands read words: addresses, registers, what is left of a line.
// Callers: StepCommands. Promises: any text gets an answer.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "emu/report/stepper/step_commands.hpp"

namespace forkscope {

std::string_view trimmed(std::string_view text);
std::pair<std::string_view, std::string_view> first_word(std::string_view text);
StepAnswer wrong(std::string message, ExitCode code = ExitCode::Usage);

// A number in C's notation, or a symbol of the kernel or of the space's program.
std::optional<u32> address_of(std::string_view word, const Symbolizer& symbols, u32 space);
// A register's name, or the linear address of four bytes that are mapped.
Result<InputEvent> poke_event(const std::string& what, u32 value, Session& session);

} // namespace forkscope
