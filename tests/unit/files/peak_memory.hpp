// Owns: how much memory something takes at its peak, measured in a child process.
// Callers: tests of files from anybody. Promises: what the caller holds already does not count; -1 if the child died.
#pragma once

#include <fstream>
#include <functional>
#include <string>

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emu/base/types.hpp"

namespace forkscope {

// In KB, as the kernel counts resident memory; `name` is VmRSS or VmHWM, the most that VmRSS ever was.
inline i64 resident_kilobytes(const std::string& name) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(name + ":"))
            return std::stoll(line.substr(name.size() + 1));
    return 0;
}

inline i64 peak_megabytes(const std::function<void()>& act) {
    int ends[2];
    if (::pipe(ends) != 0)
        return -1;
    const pid_t child = ::fork();
    if (child == 0) {
        ::malloc_trim(0);                              // what is free already would be taken first
        std::ofstream("/proc/self/clear_refs") << "5"; // VmHWM starts anew
        const i64 before = resident_kilobytes("VmRSS");
        act();
        const i64 peak = (resident_kilobytes("VmHWM") - before) >> 10;
        ::_exit(::write(ends[1], &peak, sizeof peak) == sizeof peak ? 0 : 1);
    }
    ::close(ends[1]);
    i64 peak = -1;
    const bool answered = ::read(ends[0], &peak, sizeof peak) == sizeof peak;
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return answered && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? peak : -1;
}

} // namespace forkscope
