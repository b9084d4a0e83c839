// Owns: reading a tar archive (v7, ustar, GNU's and pax's long names) in memory, as guest/kernel/files/tar.c does.
// Callers: code that looks for the user programs of an initrd. Promises: any bytes are accepted without harm; entries
// point into the caller's bytes; a damaged archive is an Error that names the offset.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

struct TarEntry {
    std::string name; // without leading "./" or "/"; a hard link has the bytes of its target
    bool directory = false;
    std::span<const u8> data;
};

// A path as TarEntry::name has it.
std::string plain_tar_name(std::string name);

Result<std::vector<TarEntry>> read_tar(std::span<const u8> bytes);

} // namespace forkscope
