// Owns: fork profiles as TOML (docs/fork-profiles.md): reading one, and those that are built into the program.
// Callers: Session for --profile, reports for the built-in kernels. Promises: whatever a file holds, an Error says
// file, line, column and what fits; size and depth are bounded; no other file is opened than the one that is named.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/observe/forks/fork_profile.hpp"

namespace forkscope {

// `file` is what messages call it.
Result<ForkProfile> parse_fork_profile(std::string_view text, const std::string& name, const std::string& file);

// "lunaix", …, "xv6", "linux".
std::vector<std::string> embedded_profile_names();
// nullptr: there is none of that name.
const ForkProfile* find_fork_profile(std::string_view name);

// What --profile gives: a built-in profile's name, else a file.
Result<ForkProfile> open_fork_profile(const std::string& text);
// The same as it is written.
Result<std::string> read_fork_profile(const std::string& text);

} // namespace forkscope
