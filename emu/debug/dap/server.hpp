// Owns: serve_dap, the Debug Adapter Protocol between two descriptors: an editor starts the program and talks to it.
// Callers: the command `dap`. Promises: one thread; reads no more than it can keep; ends when the client does.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/session/options/options.hpp"

namespace forkscope {

// Until the client disconnects, or its end closes. An Error: a message's frame was broken, or nobody reads the answers.
Result<ExitCode> serve_dap(int input, int output,
                           std::function<Result<Options>(const std::vector<std::string>& words)> options);

} // namespace forkscope
