// Owns: the parsing of what the person typed into Options.
// Callers: main and the commands. Promises: every mistake names the option, what was given and what would fit;
// QEMU's names (-kernel -initrd -append -m -serial -s -S -hda -cdrom -display) are understood.
#pragma once

#include "emu/session/options.hpp"

namespace forkscope {

Result<Options> parse_options(int argc, char** argv);

// "64M", "2G", "512K", "1048576"; a plain number below 64 KiB counts MiB, as QEMU's -m does.
Result<u64> parse_size(const std::string& text);
// "30000000i" instructions, "1e6c" cycles, "10s" or "500ms" simulated time.
Result<RunLimit> parse_limit(const std::string& text, u64 cycles_per_second);

} // namespace forkscope
