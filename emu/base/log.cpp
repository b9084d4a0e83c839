#include "emu/base/log.hpp"

#include <mutex>
#include <set>

namespace forkscope {

void log_warning_once(const std::string& key, const std::string& message) {
    static std::mutex mutex;
    static std::set<std::string> seen;
    const std::lock_guard lock(mutex);
    // A hostile guest could make up keys without end; after this many, silence is kinder.
    constexpr std::size_t kMostKeys = 1000;
    if (seen.size() < kMostKeys && seen.insert(key).second)
        spdlog::warn("{}", message);
}

} // namespace forkscope
