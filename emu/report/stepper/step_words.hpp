// Owns: how the stepper's commands read what they are to change, and how they say that something is wrong.
// Callers: StepCommands. Promises: any text gets an answer.
#pragma once

#include <string>

#include "emu/base/text/words.hpp"
#include "emu/report/stepper/step_commands.hpp"

namespace forkscope {

StepAnswer wrong(std::string message, ExitCode code = ExitCode::Usage);

// A register's name, or the linear address of four bytes that are mapped.
Result<InputEvent> poke_event(const std::string& what, u32 value, Session& session);

} // namespace forkscope
