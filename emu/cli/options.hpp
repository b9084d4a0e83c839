// Owns: the command line: what the person typed becomes Options, by the table of emu/session.
// Callers: main. Promises: every mistake names the option, what was given and what would fit; QEMU's spellings are
// understood. CLI11 stays within this header's source.
#pragma once

#include "emu/session/options/options.hpp"

namespace forkscope {

Result<Options> parse_options(int argc, char** argv);

} // namespace forkscope
