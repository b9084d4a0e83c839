// Owns: EMU_ASSERT, the check for our own bugs, on in every build.
// Callers: everyone. Promises: on failure it prints where and why, runs the dump hooks (last trace events), aborts.
#pragma once

#include <functional>
#include <string>

#include <fmt/format.h>

namespace forkscope {

// Called before abort with the text so far; a Machine registers one that prints its last trace events.
// Returns a token for remove_assert_hook. Hooks of other threads' machines are run too.
int add_assert_hook(std::function<void()> hook);
void remove_assert_hook(int token);

[[noreturn]] void assert_failed(const char* condition, const char* file, int line, const std::string& message);

} // namespace forkscope

#define EMU_ASSERT(condition, ...)                                                                                     \
    do {                                                                                                               \
        if (!(condition)) [[unlikely]]                                                                                 \
            ::forkscope::assert_failed(#condition, __FILE__, __LINE__, ::fmt::format(__VA_ARGS__));                    \
    } while (false)
