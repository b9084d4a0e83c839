// Owns: logging for people, to stderr.
// Callers: everyone. Promises: never part of state; `log_once` prints a message with the same key only once a process.
#pragma once

#include <string>

#include <spdlog/spdlog.h>

namespace forkscope {

// "forkscope: MESSAGE" on stderr, and nothing that could steer a terminal.
void tell(const std::string& message);
void log_warning_once(const std::string& key, const std::string& message);

} // namespace forkscope
