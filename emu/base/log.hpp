// Owns: logging for people, through spdlog, to stderr.
// Callers: everyone. Promises: never part of state; `log_once` prints a message with the same key only once a process.
#pragma once

#include <string>

#include <spdlog/spdlog.h>

namespace forkscope {

void log_warning_once(const std::string& key, const std::string& message);

} // namespace forkscope
