#include "emu/base/log.hpp"

#include <cstdio>
#include <mutex>
#include <set>

#include "emu/base/text/printable.hpp"

namespace forkscope {

void tell(const std::string& message) { std::fprintf(stderr, "forkscope: %s\n", printable(message).c_str()); }

void log_warning_once(const std::string& key, const std::string& message) {
    static std::mutex mutex;
    static std::set<std::string> seen;
    const std::lock_guard lock(mutex);
    // A hostile guest could make up keys without end; after this many, silence is kinder.
    constexpr std::size_t kMostKeys = 1000;
    if (seen.size() < kMostKeys && seen.insert(key).second)
        spdlog::warn("{}", printable(message));
}

} // namespace forkscope
