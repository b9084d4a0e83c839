// Owns: nothing; asks the host how long this thread has been at work.
// Callers: the session, for a past whose ways take about as long on any machine. Promises: nanoseconds, which grow;
// what other programs take does not count.
#pragma once

#include <ctime>

#include "emu/base/types.hpp"

namespace forkscope {

inline u64 cpu_time() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}

} // namespace forkscope
