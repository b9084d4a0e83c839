#include "emu/base/assert.hpp"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include "emu/base/text/printable.hpp"

namespace forkscope {

namespace {
std::mutex hooks_mutex;
std::map<int, std::function<void()>> hooks;
int next_token = 0;
} // namespace

int add_assert_hook(std::function<void()> hook) {
    const std::lock_guard lock(hooks_mutex);
    hooks.emplace(next_token, std::move(hook));
    return next_token++;
}

void remove_assert_hook(int token) {
    const std::lock_guard lock(hooks_mutex);
    hooks.erase(token);
}

void assert_failed(const char* condition, const char* file, int line, const std::string& message) {
    std::fprintf(stderr, "forkscope: this is our bug, please report it: %s:%d: assertion '%s' failed: %s\n", file, line,
                 condition, printable(message).c_str());
    // A hook that asserts itself must not come back here and find the lock taken.
    static thread_local bool failing = false;
    if (!failing) {
        failing = true;
        for (const auto& [token, hook] : hooks)
            hook();
    }
    std::abort();
}

} // namespace forkscope
