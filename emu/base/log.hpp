// Owns: logging for people, to stderr.
// Callers: everyone. Promises: never part of state; `log_once` prints a message with the same key only once a process.
#pragma once

#include <string>
#include <string_view>

#include <spdlog/spdlog.h>

namespace forkscope {

// Who hands whole lines to the person; without one they go to stderr as stdio writes it.
using MessageWriter = void (*)(std::string_view lines);
void set_message_writer(MessageWriter writer);

// "forkscope: MESSAGE" on stderr, and nothing that could steer a terminal.
void tell(const std::string& message);
void log_warning_once(const std::string& key, const std::string& message);

} // namespace forkscope
