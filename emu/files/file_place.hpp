// Owns: what a path leads to on the host: a place to write at, and whether two paths are one file.
// Callers: WholeFile, sessions before they start. Promises: only looks.
#pragma once

#include <optional>
#include <span>
#include <string>

#include <sys/stat.h>

#include "emu/base/result.hpp"

namespace forkscope {

// What a path leads to.
struct FilePlace {
    std::string target;               // behind all symbolic links; empty: no file of a folder, written directly
    std::optional<int> descriptor;    // of this process: /dev/stdout and its kind
    std::optional<mode_t> permission; // of a file that is there already
    int trouble = 0;                  // errno: nothing may be written there
};

FilePlace place_of(const std::string& path);
std::string folder_of(const std::string& path);

// A file that somebody was told to read or to write.
struct NamedFile {
    std::string what; // in messages: "the trace"
    std::string path; // empty: not named
    bool written = false;
};

// Error: two of the files are one, through links too or before it exists, and one of the two is written. Devices and
// terminals may be named twice; what standard output or error goes to may have the name of none that is written.
Result<void> check_distinct(std::span<const NamedFile> files);

} // namespace forkscope
